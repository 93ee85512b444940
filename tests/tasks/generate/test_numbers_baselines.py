"""Plain methods that continue sequences of numbers."""

import math

import numpy as np
import pytest
from numbers_examples import read
from scipy.stats import multivariate_normal

from gatewise.data.channels import Channels
from gatewise.tasks.generate.numbers.baselines import Plain
from gatewise.tasks.generate.numbers.examples import Steps


def test_plain_methods_are_those_of_scipy(waves):
    data = [np.asarray(one, np.float32).astype(float) for one in waves]
    sequences = read(data)
    channels = Channels.fit(sequences)
    steps = Steps.of(sequences, channels)
    found = Plain.learn(steps, channels).evaluate(steps, channels, True)
    after = np.concatenate([one[1:, :2] for one in data])
    before = np.concatenate([one[:-1, :2] for one in data])
    lifted = np.concatenate([one[1:, 2] for one in data])
    design = np.hstack([np.ones((len(before), 1)), before])
    left = after - design @ np.linalg.lstsq(design, after, rcond=None)[0]
    N, P = len(data), len(after)
    up = np.concatenate([one[:-1, 2] for one in data])
    last = np.array([one[-1, 2] for one in data])
    for name, rest, was, ended in (("Gaussian", after - after.mean(0), 0 * up, 0 * last), ("linear", left, up, last)):
        nats = -multivariate_normal(np.zeros(2), rest.T @ rest / P).logpdf(rest).sum()
        for value in {*was, *ended}:  # coins that may depend on whether the pen was up
            seen, stops, ones = (was == value).sum(), (ended == value).sum(), lifted[was == value].sum()
            p, e = (ones + 0.5) / (seen + 1), (stops + 0.5) / (seen + stops + 1)
            nats -= ones * math.log(p) + (seen - ones) * math.log(1 - p) + seen * math.log(1 - e)
            nats -= stops * math.log(e)
        assert found[name]["loss"] == pytest.approx(nats / (P + N), rel=1e-4)


def test_two_steps_tell_a_sine_from_its_slope():
    data = read([np.sin(0.2 * np.arange(50) + phase) for phase in range(9)])
    channels = Channels.fit(data)
    steps = Steps.of(data, channels)
    plain = Plain.learn(steps, channels)
    np.testing.assert_allclose(plain.weights[3][:, 0], [0, 2 * math.cos(0.2), -1], atol=5e-3)
    found = plain.evaluate(steps, channels, False)
    assert found["linear, two steps"]["loss"] < found["linear"]["loss"] - 4
