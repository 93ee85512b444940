"""What a row and a target are for each task, asked of the old models of `tests/tasks/models`."""

import json

import numpy as np
import pytest
import torch
from tasks.test_old_models import MODELS, opened, read

import gatewise
from gatewise.explain.attribution import ends, integrated, steps_of, variants
from gatewise.explain.question import Ask
from gatewise.explain.questions import question

ASKED = {  # a model -> what is asked of it, beside the answer itself
    "classify_number": {},
    "classify_sensors": {},
    "classify_text": {},
    "tag_entities": {"step": 1},
    "tag_numbers": {"step": 2},
    "forecast_quantiles": {"horizon": 2},
    "forecast_counts": {"horizon": 2},
    "detect_prediction": {"step": 9},
    "detect_reconstruction": {"step": 9},
    "detect_both": {"step": 2},
    "translate_characters": {"step": 1},
    "translate_copying": {"step": 0},
    "transcribe_lines": {},
    "transcribe_steps": {},
    "caption_images": {"step": 1},
    "caption_clips": {"step": 0},
    "generate_text": {"step": 5},
    "generate_words": {"step": 2},
}


def asked(name, folder, row=0, **more):
    """A question of an old model about data that it was asked of before."""
    story = json.loads((MODELS / f"{name}.json").read_text())
    model = gatewise.load(opened(name, folder))
    how = ("predict", "predictions", "scores", "evaluate", "next token", "answers")
    of = next(one["of"] for wanted in how for one in story["asked"] if one["ask"] == wanted)
    place = folder / "data"
    place.mkdir(exist_ok=True)
    data = read(story["data"][of], place)
    if isinstance(data, str):
        import io

        data = io.StringIO(data)
    return question(model, data, row, Ask(**{**ASKED[name], **more}))[0]


@pytest.fixture(params=ASKED)
def name(request):
    return request.param


def test_both_networks_give_the_same_score_and_the_parts_add_up(name, tmp_path):
    found = asked(name, tmp_path)
    score, baseline = ends(found)
    arrays = [torch.from_numpy(np.stack([part.values, part.usual], 1)) for part in found.parts]
    with torch.no_grad():
        of_torch = found.scores(found.trainable(), arrays).double().numpy()
    np.testing.assert_allclose(of_torch, [score, baseline], rtol=2e-5, atol=2e-5)
    explained = integrated(found)
    assert explained.gap <= 0.01
    assert sum(part.sum() for part in explained.parts) == pytest.approx(score - baseline, rel=0.0101, abs=1e-5)
    assert [part.input for part in found.parts if part.input is not None]


def test_steps_that_are_all_hidden_are_the_baseline(name, tmp_path):
    found = asked(name, tmp_path)
    input = steps_of(found)
    hidden = np.stack([np.zeros(len(input), bool), np.ones(len(input), bool)])
    arrays = variants(found, hidden, input)
    for part, array in zip(found.parts, arrays, strict=True):
        np.testing.assert_array_equal(array[:, 0], part.values)
        np.testing.assert_array_equal(array[:, 1], part.usual if part.input is not None else part.values)


def test_a_variant_has_the_same_score_beside_others(name, tmp_path):
    """Those of the runtime depend on no other row, but where products of matrices are numpy's."""
    found = asked(name, tmp_path)
    alone = found.read([part.values[:, None] for part in found.parts])[0]
    together = found.read([np.stack([part.usual, part.values, part.values], 1) for part in found.parts])
    assert together[1] == together[2]
    assert together[1] == pytest.approx(alone, rel=1e-6, abs=1e-6)
