"""The benchmark of GPUs, on a CPU: that it compares and times engines, not how fast they are."""

import torch

from benchmarks import gpu


def test_it_times_the_engines_that_agree():
    engines = ("scan", "aten", "reference")
    found = gpu.measure("mingru", (2, 3, 4), torch.float64, torch.device("cpu"), engines, rounds=2)
    assert found["aten"] == {"not measured": "PyTorch has no layer that gives all that is asked for"}
    for engine in ("scan", "reference"):
        for kind in ("forward", "training"):
            times = found[engine][kind]
            assert 0 < times["least"] <= times["median"] <= times["most"]


def test_an_engine_that_differs_is_not_timed(monkeypatch):
    call = gpu.call

    def wrong(engine, *arguments, **options):
        return [value + (engine == "scan") for value in call(engine, *arguments, **options)]

    monkeypatch.setattr(gpu, "call", wrong)
    found = gpu.measure("mingru", (2, 3, 4), torch.float64, torch.device("cpu"), ("scan",), rounds=1)
    assert "differs by" in found["scan"]["not measured"]


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main()
    assert capsys.readouterr().out == "there is no CUDA GPU here: nothing was measured\n"
