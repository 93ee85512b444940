"""Real signals, sent to a real process."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from training_toy import Toy, at_call, interrupt

from gatewise.training import checkpoint as checkpoints
from gatewise.training.interrupts import Interrupts

CHILD = Path(__file__).parents[1] / "training_child.py"


def test_interrupted_before_any_validation_keeps_the_present_weights(workshop):
    module = Toy(on_training=at_call(3))
    outcome = workshop.train(module)
    assert (outcome.reason, outcome.step, outcome.best_step, outcome.best_loss) == ("interrupted", 3, 0, None)
    stored = checkpoints.read(workshop.checkpoint)[1]
    assert all(torch.equal(stored[f"model.{name}"], p) for name, p in module.named_parameters())
    assert "validation" not in module.begun


def test_interrupted_later_gives_the_best_so_far(workshop):
    module = Toy(on_training=at_call(9))
    assert workshop.train(module).best_step == 6
    stored = checkpoints.read(workshop.checkpoint)[1]
    assert all(torch.equal(stored[f"best.{name}"], p) for name, p in module.named_parameters())
    assert not torch.equal(stored["model.head.bias"], module.head.bias)
    assert module.begun.count("validation") == 1


def test_a_run_inside_another_hands_its_interrupt_on():
    """As when what follows a training is rehearsed, and networks of folds learn for that."""
    with Interrupts() as outer:
        with Interrupts() as inner:
            interrupt()
            assert inner.requested
        assert outer.requested


def test_what_is_thrown_away_ends_at_once_even_inside_another_run():
    with Interrupts() as outer:
        with outer.dropping(), Interrupts():
            interrupt()
            pytest.fail("it went on")
        assert outer.requested


def test_a_second_ctrl_c_inside_another_run_leaves_at_once(workshop):
    """As a KeyboardInterrupt it would pass through Lightning, which makes `sys.exit(1)` of it."""

    def within():
        interrupt()
        with Interrupts():
            interrupt()
            interrupt()

    with pytest.raises(KeyboardInterrupt):
        workshop.train(Toy(on_training=at_call(9, run=within)))
    assert checkpoints.read(workshop.checkpoint)[0]["counters"]["step"] == 6


def test_a_second_ctrl_c_leaves_at_once(workshop):
    def twice():
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        workshop.train(Toy(on_training=at_call(9, run=twice)))
    assert checkpoints.read(workshop.checkpoint)[0]["counters"]["step"] == 6
    assert sorted(path.name for path in workshop.folder.iterdir()) == ["run.checkpoint", "run.jsonl"]


def test_torchrun_makes_a_sigterm_of_the_second_ctrl_c(workshop, monkeypatch):
    def twice():
        for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
            monkeypatch.setenv(name, value)
        interrupt()
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        workshop.train(Toy(on_training=at_call(9, run=twice)))


def test_a_second_request_to_end_changes_nothing(workshop):
    """Whoever waits for an orderly end sends SIGTERM again; a closed terminal sends SIGHUP to all its processes."""

    def twice():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            signal.raise_signal(number)

    assert workshop.train(Toy(on_training=at_call(9, run=twice))).reason == "interrupted"
    assert checkpoints.read(workshop.checkpoint)[0]["counters"]["step"] == 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_arrives_between_steps(workshop, monkeypatch, number):
    """While the checkpoint that the clock asked for is written: after this step looked for signals."""

    def write(path, document, tensors):
        real(path, document, tensors)
        if document["counters"]["step"] == 8:
            signal.raise_signal(number)

    real = checkpoints.write
    monkeypatch.setattr(checkpoints, "write", write)
    outcome = workshop.train(Toy(), checkpoint_seconds=0)
    assert outcome.reason == "interrupted"
    assert outcome.step == checkpoints.read(workshop.checkpoint)[0]["counters"]["step"] in (8, 9)


def test_handlers_are_put_back(workshop):
    def mine(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine), signal.getsignal(signal.SIGINT)
    try:
        workshop.train(Toy(on_training=at_call(2)))
        assert signal.getsignal(signal.SIGTERM) is mine
        workshop.train(Toy())
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == (mine, before[1])
    finally:
        signal.signal(signal.SIGTERM, before[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # as `&` in a script, and nohup, do
def test_a_signal_that_is_ignored_stays_ignored(workshop, number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        raised = at_call(3, run=lambda: signal.raise_signal(number))
        assert workshop.train(Toy(on_training=raised)).reason == "finished"
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_another_thread_can_train(workshop):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(workshop.train(Toy())))
    thread.start()
    thread.join()
    assert outcomes[0].reason == "finished"


def test_signals_and_a_full_disk_in_a_process_of_its_own(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-W", "error", CHILD, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def heard():
        line = child.stdout.readline()
        return json.loads(line) if line else pytest.fail(child.stderr.read())

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            assert heard() == "training"
            sent = time.monotonic()
            child.send_signal(number)
            found = heard()
            assert found["reason"] == "interrupted"
            assert found["step"] == found["checkpoint"] > 0
            assert time.monotonic() - sent < 10
        assert heard() == "training"
        child.send_signal(signal.SIGINT)
        assert heard() == "asked"
        child.send_signal(signal.SIGINT)
        assert heard() == {"reason": "KeyboardInterrupt", "checkpoint": 0}

        found = heard()
        assert found["reason"] == "cannot write"
        assert "run.checkpoint: File too large" in found["message"]
        assert (found["step"], found["best_step"], found["checkpoint"]) == (6, 6, 0)
        assert found["files"] == ["run.checkpoint", "run.jsonl"]
        assert found["usable"]
        assert found["resumed"]
        assert child.wait(60) == 0
        assert child.stderr.read() == ""
    finally:
        child.kill()
        child.communicate()
