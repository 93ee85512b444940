"""The loss of a model of numbers."""

import math

import numpy as np
import pytest
import torch
from numbers_examples import parts
from scipy.stats import multivariate_normal

from gatewise.tasks.generate.numbers import examples as _trajectory_data


def by_hand(tracer, sequence):
    """Nats of a sequence in its own units, step by step, from what the framework-free model says."""
    state, nats = None, 0.0
    scale, real = np.array(tracer.channels.scale), tracer.channels.real
    layout = tracer.layout
    for number, step in enumerate(sequence):
        state = tracer._advance(tracer.channels.scaled(step), state)
        found = torch.from_numpy(np.asarray(state.output, np.float64))
        scores, means, _, factor = (part.numpy() for part in parts(found, layout))
        ends = 1 / (1 + math.exp(-state.output[-1]))
        if number + 1 == len(sequence):
            return nats - math.log(ends)
        nats -= math.log(1 - ends)
        units = tracer.expected.spread * scale[real]
        middle = np.array(tracer.channels.mean)[real] + scale[real] * state.expected
        weights = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        nats -= math.log(
            sum(
                w * multivariate_normal(middle + units * m, (units[:, None] * f) @ (units[:, None] * f).T).pdf(after)
                for w, m, f in zip(weights, means, factor, strict=True)
                for after in [sequence[number + 1][real]]
            )
        )
        chances = 1 / (1 + np.exp(-state.output[-2:-1]))
        nats -= np.log(np.where(sequence[number + 1][~real] > 0, chances, 1 - chances)).sum()
    return nats


def test_the_loss_is_that_of_each_step_by_hand(fitted, waves):
    some = waves[:3]
    want = sum(by_hand(fitted.tracer(), one) for one in some) / sum(map(len, some))
    assert fitted.evaluate(some)["all"]["loss"] == pytest.approx(want, rel=1e-4)
    assert fitted.score(some) == -fitted.evaluate(some)["all"]["loss"]


def test_pieces_are_as_good_as_the_whole(fitted, waves, monkeypatch):
    whole = fitted.evaluate(waves[:9])["all"]
    monkeypatch.setattr(_trajectory_data, "CHUNK", 7)
    monkeypatch.setattr(_trajectory_data, "ROWS", 4)
    assert fitted.evaluate(waves[:9])["all"] == pytest.approx(whole, rel=1e-5)
