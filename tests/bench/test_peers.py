"""Every peer gives our results, on every kind of work that it can do; those of other libraries where installed."""

import pytest

from gatewise.bench import peers
from gatewise.bench.contest import TOLERANCE, difference
from gatewise.bench.peers.pytorch import ours
from gatewise.bench.problem import pose
from gatewise.bench.shapes import Shape
from gatewise.bench.works import WORKS
from gatewise.cells import find
from gatewise.errors import OptionError

PAIRS = [(work, name) for work in WORKS.values() for name in work.peers if name != "compiled"]


@pytest.mark.parametrize(("work", "name"), PAIRS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
def test_a_peer_gives_our_results(work, name):
    for package in peers.missing(name):
        pytest.skip(f"{package} is not installed")
    problem = pose(work, Shape(3, 4, 5, 6, layers=2), 1, own=find("lstmp"))
    first, peer = ours(problem), peers.enter(name, problem)
    want, got = first.read(first.run()), peer.read(peer.run())
    if work.training:
        assert {f"dL/d{key}" for key in problem.weights} <= set(want)
        assert ("dL/dx" in want) == work.input_gradient
    if work.live:
        assert set(want) == {"y", "h", "c"}
    assert difference(got, want)[1] <= TOLERANCE["training" if work.training else "forward"]


@pytest.mark.slow
def test_the_compiled_loop_gives_our_results():
    problem = pose(WORKS["peephole-training"], Shape(2, 3, 4, 5), 1)
    first, peer = ours(problem), peers.enter("compiled", problem)
    assert difference(peer.read(peer.run()), first.read(first.run()))[1] <= TOLERANCE["training"]


def test_peers_are_all_that_are_installed_or_those_named(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda package: None)
    assert peers.choose(None) == ("torch", "lstmcell", "eager")
    assert peers.choose(None, compiled=True) == ("torch", "lstmcell", "eager", "compiled")
    assert peers.choose(["eager"], compiled=True) == ("eager", "compiled")
    with pytest.raises(OptionError, match="no peer named 'jx'"):
        peers.choose(["jx"])
    with pytest.raises(OptionError, match="pip install onnx onnxruntime, or leave 'onnxruntime' out of --peers"):
        peers.choose(["torch", "onnxruntime"])


def test_the_same_problem_is_posed_each_time():
    first, again = (pose(WORKS["ragged"], Shape(3, 4, 5, 6), 1) for _ in range(2))
    assert first.x.equal(again.x)
    assert first.lengths.equal(again.lengths)
    assert all(weight.equal(again.weights[name]) for name, weight in first.weights.items())
