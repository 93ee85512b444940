"""The network of `caption`, compared with torch's own layers."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from gatewise import cells
from gatewise.data.paired.captions import from_arrays
from gatewise.tasks.attention_decoder import DecoderOptions, DecoderStep
from gatewise.tasks.caption.architecture import architecture, convolutions, encode, encode_places, image_encoder
from gatewise.tasks.caption.examples import CaptionedBatches, frames
from gatewise.tasks.caption.network import CaptionNetwork
from gatewise.tasks.network import Network


def network(inputs, shape, cell="lstm", layers=1, **options):
    torch.manual_seed(0)
    scale = {"mean": [0.0] * shape[-1], "std": [1.0] * shape[-1]}
    encoder = image_encoder(inputs, shape, **scale, features=6, cell=cells.find(cell), hidden_size=8)
    sizes = {"vocabulary_size": 9, "embedding_size": 5, "hidden_size": 8, "num_layers": layers, "attention_size": 6}
    return CaptionNetwork(architecture(cells.find(cell), encoder, 6, DecoderOptions(**sizes, **options))).eval()


def tensors(batch):
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def test_the_encoder_is_that_of_torchs_layers():
    """Of a clip, against torch.nn.LSTM over the maps and plain loops."""
    model = network("clips", (6, 10, 1))
    encoder = model.encoder
    data = from_arrays([np.random.default_rng(k).random((t, 6, 10)) for k, t in enumerate((3, 1, 2))])
    batch = frames(data, np.arange(3))
    places, lengths = encode_places(encoder, *tensors(batch).values())
    alike, counts = encode_places(model.without_torch().encoder, *batch.values())
    np.testing.assert_allclose(alike, places.detach(), rtol=1e-4, atol=1e-5)
    assert counts.tolist() == lengths.tolist()
    P = int(np.prod(encoder.map))
    assert lengths.tolist() == [3 * P, P, 2 * P]
    lstm = torch.nn.LSTM(6 * P, 8)
    lstm.load_state_dict(encoder.time.state_dict())
    for row in range(3):
        own = torch.from_numpy(data.take([row]).values).movedim(-1, 1)
        maps = (encoder.frame.layers(own) + encoder.places).flatten(2)
        story = lstm(maps.flatten(1)[:, None])[0][:, 0]
        wanted = (maps + encoder.time_output(story)[..., None]).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(places[: lengths[row], row], wanted, rtol=1e-4, atol=1e-5)


def test_maps_are_about_eight_places_wide():
    for side, wide in ((8, 8), (12, 6), (28, 7), (32, 8), (64, 8), (100, 7)):
        block, reduction = convolutions(3, side, 32)
        assert math.ceil(side / reduction) == wide
        with torch.device("meta"):
            assert Network(block).layers(torch.empty(2, 3, side, side)).shape == (2, 32, wide, wide)


@pytest.mark.parametrize(("inputs", "cell"), [("images", "lstm"), ("clips", "gru"), ("features", "mlstm")])
def test_word_by_word_is_the_same_as_all_at_once(inputs, cell):
    """Scores of a given caption by `DecoderStep`, against the loss that training sees."""
    draw = np.random.default_rng(0)
    x = {"images": (3, 9, 8, 2), "clips": (3, 2, 9, 8, 2), "features": (3, 4, 5)}[inputs]
    data = from_arrays(draw.random(x), None, inputs)
    model = network(inputs, data.shape, cell, layers=1 if cell == "mlstm" else 2)
    tokens = [[np.array([1, 2, 3]), np.array([4])], [], [np.array([5, 6])]]
    batch = CaptionedBatches(data, tokens, start=7, end=8, batch_size=3).at(0)
    assert batch["rows"].tolist() == [0, 0, 1]
    assert batch["targets"].T.tolist() == [[1, 2, 3, 8], [4, 8, -1, -1], [5, 6, 8, -1]]
    with torch.no_grad():
        loss, count = model.validation_sums(tensors(batch))
        total = torch.tensor(0.0)
        for image, captions in enumerate(tokens):
            for caption in captions:
                step = DecoderStep(model.without_torch(), encode, frames(data, np.array([image])))
                for before, wanted in zip([7, *caption], [*caption, 8], strict=True):
                    log_p, _ = step(np.array([before]), np.array([0]))
                    total += cross_entropy(torch.from_numpy(log_p), torch.tensor([wanted]))
    assert count == 9
    torch.testing.assert_close(loss, total, rtol=1e-5, atol=1e-5)
