"""Flips and interactions, of questions whose answers are known."""

from itertools import combinations

import numpy as np
import pytest

from gatewise.explanation.attribution import occluded
from gatewise.explanation.changes import flip, interactions
from gatewise.explanation.insides import connectivity
from gatewise.explanation.question import Part, Question
from gatewise.explanation.reliability import agreement_of, judge
from gatewise.explanation.report import Answer, Input, Target


def of(function, values, words):
    """A question whose score is a function of the numbers of its steps (N, T)."""
    return Question(
        answer=Answer(text="yes"),
        target=Target(kind="class", text="the lead of yes over no", unit="nats", name="yes", against="no"),
        inputs=[Input(name="text", kind="tokens", labels=words, separator=" ")],
        parts=[Part(0, np.array(values, np.float32)[:, None], np.zeros((len(values), 1), np.float32))],
        usual="zero",
        outputs=lambda net, arrays: function(arrays[0][..., 0].T),
        answers=lambda scores: ["yes" if s > 0 else "no" for s in scores],
        network=None,
        trainable=lambda: None,
    )


@pytest.mark.parametrize("seed", range(6))
def test_no_smaller_set_flips_an_answer(seed):
    """Against all sets of steps there are, of a score in which two steps may stand in for one another."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=9)

    def function(x):
        return x.sum(1) + np.maximum(x[:, 0], x[:, 1]) + 1.5 * x[:, 2] * x[:, 3] - 0.1

    asked = of(function, values, list("abcdefghi"))
    before = function(values[None].astype(np.float32))[0] > 0
    found = flip(asked, values)
    sizes = [
        size
        for size in range(1, 10)
        for which in combinations(range(9), size)
        if (function(np.where(np.isin(np.arange(9), which), 0, values)[None].astype(np.float32))[0] > 0) != before
    ]
    assert len(found.places) == (min(sizes) if sizes else 0)
    if sizes:
        assert found.exhaustive
        assert found.answer == ("no" if before else "yes")
        changed = np.where(np.isin(np.arange(9), [one.step for one in found.places]), 0, values)
        assert found.score == pytest.approx(function(changed[None])[0], abs=1e-5)


def test_not_and_good_act_together():
    """Each by itself adds something else than both: not x good is bad."""
    asked = of(lambda x: x[:, 3] * (1 - 3 * x[:, 1]), [0.1, 1.0, 0.1, 1.0], ["was", "not", "so", "good"])
    found = next(one for one in interactions(asked, np.array([0, -3.0, 0, -2.0])) if "not" in one.texts[0])
    assert found.texts == ("not", "good")
    assert found.alone == pytest.approx((-3.0, -2.0))
    assert found.together == pytest.approx(-2.0)


def test_agreement_is_of_the_steps_that_matter():
    one = np.array([5.0, 0.001, 0.002, 0.003, -4.0])
    assert agreement_of(one, np.array([4.0, 0.003, 0.002, 0.001, -5.0])) > 0.99
    assert agreement_of(one, -one) < -0.99
    assert agreement_of(one, np.zeros(5)) < 0.7
    equal = np.array([1.0, -1.0, 1.0, -1.0])  # without differences in weight, Spearman's
    assert agreement_of(equal, equal) == pytest.approx(1)


@pytest.mark.parametrize(
    ("measured", "verdict", "reason"),
    [
        ((0.009, 3.1, 0.71, 0.49, 0.71), "reliable", None),
        ((0.02, 3.1, 0.71, 0.49, 0.71), "rough", "or may be wrong by, 2.0%"),
        ((0.2, 3.1, 0.71, 0.49, 0.71), "do not rely on this", "or may be wrong by, 20.0%"),
        ((0.009, 2.0, 0.71, 0.49, 0.71), "rough", "2.0 times what random steps do"),
        ((0.009, 0.9, 0.71, 0.49, 0.71), "do not rely on this", "0.9 times what random steps do"),
        ((0.009, 3.1, 0.3, 0.49, 0.71), "do not rely on this", "agree by 0.30"),
        ((0.009, 3.1, 0.71, 0.9, 0.71), "rough", "still 0.90 like this"),
        ((0.009, 3.1, 0.71, 0.49, 0.1), "do not rely on this", "noise leaves 0.10"),
        ((0.009, None, 0.71, 0.49, 0.71), "rough", "nothing to compare with"),
        ((0.009, 3.1, None, None, None), "rough", "fewer than 3 steps"),
    ],
)
def test_verdicts_follow_from_thresholds(measured, verdict, reason):
    found, reasons = judge(*measured)
    assert found == verdict
    assert reasons == [] if reason is None else reason in reasons[0]


def test_connectivity_is_the_norm_of_the_jacobian():
    """Of a layer of six units, against the derivatives that autograd gives one by one."""
    import torch

    from gatewise.nn import Recurrent

    torch.manual_seed(0)
    layers = Recurrent("gru", 3, 6)
    x = torch.randn(5, 1, 3)
    asked = of(lambda x: x, [0.0] * 5, list("abcde"))
    asked = Question(
        **{
            **vars(asked),
            "parts": [Part(0, x[:, 0].numpy(), np.zeros((5, 3), np.float32))],
            "outputs": lambda net, arrays: net(arrays[0])[0].sum(),
            "trainable": lambda: layers,
        }
    )
    found = connectivity(asked, seed=0)
    wanted = torch.autograd.functional.jacobian(lambda x: layers(x)[0][:, 0], x)[:, :, :, 0]  # (T, H, T, D)
    norms = wanted.square().sum((1, 3)).sqrt()
    np.testing.assert_allclose(found.strength.array, norms.numpy(), rtol=1e-4, atol=1e-6)
    assert found.outputs == found.inputs == list(range(5))


def test_many_steps_are_hidden_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("gatewise.explanation.attribution.MOST_HIDDEN", 4)
    values = np.arange(1.0, 11.0)
    asked = of(lambda x: x.sum(1), values, list("abcdefghij"))
    np.testing.assert_allclose(occluded(asked), [2, 2, 2, 5, 5, 5, 8, 8, 8, 10])
