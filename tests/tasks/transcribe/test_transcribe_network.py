"""The 2-D LSTM that reads images of lines."""

import numpy as np
import pytest
import torch
from PIL import Image

from gatewise.errors import OptionError
from gatewise.nn import MultiDimensionalLSTM
from gatewise.runtime.layers import network_of
from gatewise.tasks import Transcriber
from gatewise.tasks.document import weights_of
from gatewise.tasks.network import Network
from gatewise.tasks.transcribe.architecture import image_reader, read_image


def test_a_line_is_read_in_blocks_by_the_two_dimensional_lstm():
    torch.manual_seed(0)
    images = torch.randn(2, 6, 8)  # height 6, width 8
    block, width = image_reader(height=6, block=2, hidden_size=3)
    reader = Network(block)
    x = images.permute(2, 0, 1).reshape(4, 2, 2, 6).permute(0, 2, 1, 3).flatten(2)  # steps of two columns
    lengths = torch.tensor([4, 3])
    y = read_image(reader, x, lengths)
    assert y.shape == (4, 2, width) == (4, 2, 3 * 12)
    alike = read_image(network_of(block, weights_of(reader)), x.numpy(), lengths.numpy())
    np.testing.assert_array_equal(alike, y.detach())
    layer: MultiDimensionalLSTM = reader.reader
    for b in range(2):
        T = int(lengths[b])
        blocks = torch.stack(
            [
                torch.stack([images[b, 2 * r : 2 * r + 2, 2 * t : 2 * t + 2].T.flatten() for t in range(T)])
                for r in range(3)
            ]
        )
        alone, _ = layer(blocks[None])
        torch.testing.assert_close(y[:T, b], alone[0].permute(1, 0, 2).flatten(1))


def test_image_lines_are_learned(tmp_path):
    random = np.random.default_rng(0)
    shapes = {"|": np.eye(4)[[1] * 4], "-": np.eye(4)[:, 1:2] * np.ones(4), "/": np.eye(4)[::-1]}
    for number in range(48):
        text = "".join(random.choice(list(shapes), random.integers(1, 4)))
        line = np.concatenate([np.pad(shapes[c], ((0, 0), (0, 1))) for c in text], 1)
        line = np.clip(255 * (0.9 * line + 0.1 * random.random(line.shape)), 0, 255).astype(np.uint8)
        Image.fromarray(line).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(text)
    transcriber = Transcriber(hidden_size=24, epochs=6, batch_size=4, learning_rate=0.03, image_hidden_size=4).fit(
        tmp_path
    )
    assert transcriber.model_.image is not None
    cer = {name: found["cer"] for name, found in transcriber.metrics_["baselines"].items()}
    assert transcriber.metrics_["test"]["cer"] < cer["most frequent"] / 2
    transcriber.save(tmp_path / "model")
    loaded = Transcriber.load(tmp_path / "model")
    high = Image.open(tmp_path / "3.png")
    (tmp_path / "high").mkdir()
    high.resize((high.width * 5, high.height * 5), Image.Resampling.NEAREST).save(tmp_path / "high" / "3.png")
    assert loaded.predict(tmp_path / "high") == loaded.predict(tmp_path / "3.png")  # brought to the same height
    assert loaded.predict(tmp_path / "3.png") == transcriber.predict(tmp_path / "3.png")
    with pytest.raises(OptionError, match=r"reads ahead \(bidirectional=True\)"):
        loaded.stream()
