"""What a trained captioner answers: captions, tables, attention, and the same bits in any batch."""

import numpy as np
import pytest
import torch
from caption_examples import COLOURS, SMALL, lamps, walkers
from PIL import Image

from gatewise.data.paired.captions import from_arrays
from gatewise.decoding import Decoding
from gatewise.tasks import Captioner
from gatewise.tasks.caption import predictor


def test_it_looks_at_the_lamp_where_it_tells_its_colour(lit):
    """More than half of the attention at the colour's word falls on the half of the image that the lamp is in."""
    data = lamps(20, seed=5)
    halves = []
    for found, captions in zip(lit._predictor().decode(data), data.captions, strict=True):
        ids = found[0].tokens.tolist()
        colour = next(name for name in COLOURS if name in captions[0])
        weights = found[0].attention[ids.index(int(lit.vocabulary_.encode(colour)[0]))].reshape(8, 8)
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        halves.append(weights[4:].sum() if "bottom" in captions[0] else weights[:4].sum())
    assert np.mean(halves) > 0.5


def test_together_as_alone(lit):
    """To the last bit: images side by side, and each of them alone."""
    data = lamps(12, seed=6)
    for i, [best, *_] in enumerate(lit._predictor().decode(data)):
        [[alone, *_]] = lit._predictor().decode(data.take([i]))
        assert alone.tokens.tolist() == best.tokens.tolist()
        assert alone.log_probability == best.log_probability


def test_large_images_are_captioned_a_few_at_a_time(lit, monkeypatch):
    """So many that their numbers fit: three of these, and never none."""
    data, sizes = lamps(8, seed=6), []
    real = predictor.frames
    monkeypatch.setattr(
        predictor, "frames", lambda data, rows: sizes.append(len(set(rows.tolist()))) or real(data, rows)
    )
    whole = lit.predict(data.values)
    for numbers, wanted in ((3 * data.values[0].size, [3, 3, 2]), (1, [1] * 8)):
        sizes.clear()
        monkeypatch.setattr(predictor, "_NUMBERS", numbers)
        assert lit.predict(data.values) == whole
        assert sizes == wanted


def test_captions_are_as_long_as_asked_for_and_never_empty(lit, tmp_path):
    x = lamps(4, seed=2).values
    assert lit.predict(x, Decoding(beam_size=5)) == lit.predict(x)
    for options, least, most in (
        (Decoding(min_length=50, max_length=60), 50, 60),
        (Decoding(min_length=40), 40, 40),
        (Decoding(max_length=1), 1, 1),
    ):
        lengths = [len(found[0].tokens) for found in lit._predictor().decode(from_arrays(x), options)]
        assert least <= min(lengths)
        assert max(lengths) <= most
    lit.save(tmp_path / "model")
    silent = Captioner.load(tmp_path / "model")
    with torch.no_grad():
        silent.model_.output.bias[silent.tokens_.end] += 1000
    for options in (None, Decoding(), Decoding(sampling=True)):
        assert [len(said.split()) for said in silent.predict(x, options)] == [1] * 4


def test_tables_of_predictions(lit):
    data = lamps(5, seed=2)
    [table] = lit.predictions(data, decoding=Decoding(beam_size=4, n_best=2))
    assert table["image"] == [str(i) for i in range(5) for _ in range(2)]
    assert table["caption"][::2] == lit.predict(data, Decoding(beam_size=4))
    assert (table["score"][::2] >= table["score"][1::2]).all()


@pytest.mark.parametrize("data", ["images", "clips", "features"])
def test_pictures_of_where_it_looked(data, tmp_path, lit):
    if data == "images":
        captioner, x = lit, lamps(1)
    else:
        x = walkers(6) if data == "clips" else from_arrays(np.ones((6, 3, 2)), ["a b"] * 6, "features")
        captioner = Captioner(inputs=data, epochs=1, **SMALL).fit(x)
    captioner.plot(x, tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as picture:
        assert picture.size[0] > 200
