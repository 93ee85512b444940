"""No advice on ten trainings on real data, with default settings or fewer epochs, that nothing is wrong with."""

import pytest
from healthy import RUNS

from gatewise.training.history import read
from gatewise.watch import look


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_said_of_a_healthy_training(name, shared, tmp_path, monkeypatch):
    monkeypatch.setattr(look.Look.__init__, "__defaults__", (1.0,))  # as many looks as there are validations
    output = tmp_path / "model.gatewise"
    model = RUNS[name](shared, output=output, watch=tmp_path / "run.html")
    looks = [line for line in read(f"{output}.metrics.jsonl") if line["kind"] == "look"]
    assert len(looks) >= 3
    assert all(one["layers"] for one in looks)
    assert model.advice_ == []
