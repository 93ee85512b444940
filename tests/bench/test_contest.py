import math
import time

import pytest
import torch

from gatewise.bench.contest import Contestant, Spread, _slice, alternate, difference, fastest, rounded


def test_the_largest_difference_is_found():
    ours = {"y": torch.tensor([1.0, -10.0]), "dL/dx": torch.tensor([2.0])}
    assert difference(ours, ours)[1] == 0
    name, share = difference({"y": torch.tensor([1.5, -10.0]), "dL/dx": torch.tensor([2.2])}, ours)
    assert (name, pytest.approx(share)) == ("dL/dx", 0.1)


@pytest.mark.parametrize(
    "got",
    [{}, {"y": torch.ones(3)}, {"y": torch.tensor([math.nan, 1.0])}, {"y": torch.tensor([math.inf, 1.0])}],
    ids=["missing", "shape", "nan", "infinite"],
)
def test_what_cannot_be_compared_is_infinitely_far(got):
    assert difference(got, {"y": torch.ones(2)})[1] == math.inf


def test_contestants_take_turns_and_first_rounds_and_calls_do_not_count():
    calls = []

    def contestant(name, seconds):
        def run():
            calls.append(name)
            time.sleep(seconds)

        return Contestant(name, run, dict)

    times = alternate([contestant("a", 0.0004), contestant("b", 0.002)], seconds=0.1, rounds=4)
    counted = len(times["a"])
    assert 3 <= counted == len(times["b"]) <= 4  # less on a machine so busy that it takes twice the time
    assert min(times["a"]) >= 400
    assert min(times["b"]) >= 2000
    turns = [name for n, name in enumerate(calls) if n == 0 or calls[n - 1] != name]
    assert turns == ["a", "b"] * (counted + 1)
    assert calls.count("b") >= 2 * (counted + 1)  # each time once more than is counted


def test_a_slice_without_its_first_call():
    waits = iter([0.02] + [0.001] * 1000)
    assert 1000 <= _slice(lambda: time.sleep(next(waits)), 0.03) < 10_000
    assert _slice(lambda: time.sleep(0.002), 0.001) >= 2000


def test_long_calls_end_the_rounds_early():
    times = alternate([Contestant("a", lambda: time.sleep(0.005), dict)], seconds=0.001, rounds=50)
    assert 3 <= len(times["a"]) < 10


def test_spread_and_digits():
    assert Spread.of([3.0, 1.0, 2.0]).document() == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert rounded(123.456) == 123.5
    assert fastest(lambda: time.sleep(0.001), 0.01) >= 0.001
