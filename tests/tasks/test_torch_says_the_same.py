"""A predictor says the same of the module that was trained as of the runtime's layers over its weights.

Each old model (`test_old_models.py`) is asked again, its network computing on torch's tensors; at the sizes that
training chooses, `benchmarks.quality.alike` does so.
"""

import json

import numpy as np
import pytest
from test_old_models import MODELS, NAMES, compare, opened, read

import gatewise
from benchmarks.quality.alike import on_torch
from benchmarks.quality.answers import Said, _Watched, compared
from gatewise.decoding.sampling import Sampler


def told(name):
    return json.loads((MODELS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_torch_says_what_the_runtime_says(name, tmp_path):
    model, story = gatewise.load(opened(name, tmp_path)), told(name)
    asked = [one for one in story["asked"] if one["ask"] != "stream"]  # which steps by the engine's layers alone
    assert asked
    with on_torch():
        compare(model, {**story, "asked": asked}, tmp_path)


def test_it_is_torch_that_is_asked(tmp_path):
    model, story = gatewise.load(opened("classify_number", tmp_path)), told("classify_number")
    data = read(story["data"][0], tmp_path)
    said = model.predict(data)
    model.model_.members[0].output.register_forward_hook(lambda module, inputs, output: output + 1)
    np.testing.assert_array_equal(model.predict(data), said)
    with on_torch():
        assert not np.allclose(model.predict(data), said, atol=1e-3)


def test_a_difference_is_told_with_how_close_the_next_answer_was():
    def said(scores, answers, margins):
        return Said([np.array(scores)], np.array(answers, object), np.array(margins))

    one = said([100.0, 0.5], ["a", "b", "c"], [0.3, 0.01, np.nan])
    found = compared(one, said([101.0, 0.5], ["a", "x", "c"], [0.3, 0.02, np.nan]))
    assert found == {"scores": 2, "difference": 0.01, "answers": 3, "differ": 1, "margin": 0.02}
    assert compared(one, one)["margin"] is None


def test_of_a_text_the_first_token_that_differs_counts():
    def said(tokens, margins):
        return Said([np.zeros(1)], np.array([7, *tokens], object), np.array([0.5, *margins]), drawn=len(tokens))

    found = compared(said([1, 2, 3, 4], [0.1, 1e-8, 0.2, 0.3]), said([1, 5, 6, 4], [0.1, 2e-8, 0.9, 0.9]))
    assert (found["differ"], found["margin"]) == (1, 2e-8)


def test_a_watched_sampler_draws_what_any_does():
    rng = np.random.default_rng(0)
    watched, usual = _Watched(seed=3, temperature=0.8), Sampler(seed=3, temperature=0.8)
    for scores in rng.normal(size=(20, 5)):
        assert watched(scores) == usual(scores) == watched.tokens[-1]
        p, margin = usual.probabilities(scores), watched.margins[-1]
        edges = np.cumsum(p)[:-1]
        assert 0 <= margin <= np.diff([0, *edges, 1]).max()
