import json

import pytest
import torch

from gatewise.bench import compare, text
from gatewise.bench.comparison import mistakes
from gatewise.bench.peers import pytorch
from gatewise.bench.shapes import Shape
from gatewise.errors import OptionError

TINY = Shape(2, 3, 4, 5)
SHORT = {"seconds": 0.01, "rounds": 2, "threads": 1}


def test_a_comparison_tells_all_there_is():
    said = []
    found = compare([TINY], ["forward", "training"], ["torch"], progress=said.append, **SHORT)
    assert said == ["[1/2] forward 2,3,4,5", "[2/2] training 2,3,4,5"]
    assert found.keys() == {"threads", "seconds", "environment", "ceilings", "comparisons"}
    assert (found["threads"], found["seconds"]) == (1, 0.01)
    first, second = found["comparisons"]
    assert (first["work"], second["work"]) == ("forward", "training")
    for row in found["comparisons"]:
        assert row.keys() == {
            "work", "summary", "cell", "shape", "contestants", "limit", "reached_percent",
        }  # fmt: skip
        assert row["limit"].keys() == {"rule", "floor_microseconds", "flops"}
        ours, peer = row["contestants"]["gatewise"], row["contestants"]["torch"]
        assert ours.keys() == {"microseconds"}
        assert peer.keys() == {"difference", "microseconds", "ratio"}
        assert ours["microseconds"]["least"] <= ours["microseconds"]["median"] <= ours["microseconds"]["most"]
        floor = row["limit"]["floor_microseconds"]
        assert row["reached_percent"] == pytest.approx(100 * floor / ours["microseconds"]["median"], rel=1e-2)
        assert peer["ratio"]["median"] == pytest.approx(
            peer["microseconds"]["median"] / ours["microseconds"]["median"], rel=2
        )
    assert mistakes(found) == []
    json.dumps(found)


def test_the_number_of_threads_is_set_for_a_while(monkeypatch):
    seen = []
    monkeypatch.setattr(pytorch, "torch_layer", lambda problem: seen.append((problem.threads, torch.get_num_threads())))
    compare([TINY], ["forward"], ["torch"], **SHORT | {"threads": 2})
    assert seen == [(2, 2)]
    assert torch.get_num_threads() == 1


def test_a_peer_whose_results_differ_is_not_timed(monkeypatch):
    runs = []

    def enter(problem):
        def call(x):
            runs.append(x)
            return problem.layer(x)[0] * 1.001, None

        return pytorch.contestant("torch", problem, call, [])

    monkeypatch.setattr(pytorch, "torch_layer", enter)
    found = compare([TINY], ["forward"], ["torch"], **SHORT)
    row = found["comparisons"][0]["contestants"]["torch"]
    assert row.keys() == {"error"}
    assert len(runs) == 1
    (said,) = mistakes(found)
    assert said.startswith("forward 2,3,4,5: torch differs: y by 1.0e-03 of its largest value, more than 2e-05")
    assert "differs" in text(found)


def test_a_peer_that_lacks_a_gradient_differs(monkeypatch):
    enter = pytorch.torch_layer

    def without_bias(problem):
        entrant = enter(problem)
        read = {key: value for key, value in entrant.read(entrant.run()).items() if key != "dL/dbias_hh_l0"}
        return pytorch.Contestant("torch", entrant.run, lambda result: read)

    monkeypatch.setattr(pytorch, "torch_layer", without_bias)
    (said,) = mistakes(compare([TINY], ["training"], ["torch"], **SHORT))
    assert "torch differs: dL/dbias_hh_l0 by inf" in said


def test_a_peer_that_fails_is_told_of(monkeypatch):
    monkeypatch.setattr(pytorch, "torch_layer", lambda problem: 1 / 0)
    found = compare([TINY], ["forward"], ["torch"], **SHORT)
    assert mistakes(found) == ["forward 2,3,4,5: torch failed: ZeroDivisionError: division by zero"]
    assert "failed" in text(found)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": 0}, "threads must be 1 or more, not 0"),
        ({"seconds": 0.0}, "seconds must be more than 0 and finite, not 0"),
        ({"seconds": float("inf")}, "seconds must be more than 0 and finite, not inf"),
        ({"shapes": [TINY, Shape(1, 1, 1, 1)], "works": ["projected"]}, "H must be 2 or more, not 1"),
    ],
)
def test_the_impossible_is_refused_before_anything_is_measured(options, said):
    with pytest.raises(OptionError, match=said):
        compare(**{"shapes": [TINY], "works": ["forward"], "progress": pytest.fail} | SHORT | options)
