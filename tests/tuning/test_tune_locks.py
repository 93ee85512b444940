"""Locks and processes: one holder at a time, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from gatewise.tuning import locks, processes
from gatewise.tuning.locks import Lock
from gatewise.tuning.processes import Process, read, this_process, written


@pytest.fixture
def asleep():
    """A process that runs until the end of the test."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.wait()
    child.stdin.close()


def of(number):
    return replace(this_process(), number=number, start=processes._state(number)[1])


def test_a_process_is_read_as_it_was_written():
    assert read(written(this_process())) == this_process()
    assert not this_process().is_dead


@pytest.mark.parametrize("text", ["", "[", "null", "3", '["a", "b", 1]', '["a", "b", "1", 2]', '["a", "b", 0, 2]'])
def test_other_text_is_no_process(text):
    assert read(text) is None


def test_text_that_is_too_deep_is_no_process():
    assert read("[" * 10**5) is None


def test_a_killed_process_is_dead_before_its_parent_has_asked(asleep):
    found = of(asleep.pid)
    assert found.start > 0
    assert not found.is_dead
    os.kill(asleep.pid, signal.SIGKILL)
    os.waitid(os.P_PID, asleep.pid, os.WEXITED | os.WNOWAIT)  # it has died, and stays a zombie
    assert found.is_dead
    asleep.wait()
    assert found.is_dead


def test_a_process_with_the_number_of_a_dead_one_is_another(asleep):
    assert replace(of(asleep.pid), start=of(asleep.pid).start - 1).is_dead


def test_processes_elsewhere_are_not_known_to_be_dead(asleep):
    asleep.kill()
    asleep.wait()
    assert Process("elsewhere", this_process().kernel, asleep.pid, 1).is_dead  # a container's name says nothing
    assert not Process(this_process().host, "another boot", asleep.pid, 1).is_dead
    assert not Process(this_process().host, "", asleep.pid, 1).is_dead


def test_a_lock_is_held_once_and_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    path = tmp_path / "lock"
    with Lock(path):
        assert os.path.islink(path)
        began = time.monotonic()
        with Lock(path):  # of a process that is alive, but too slow
            assert time.monotonic() - began > 0.1
    assert list(tmp_path.iterdir()) == []


def test_what_was_taken_away_is_not_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    slow, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    slow.acquire()
    other.acquire()
    slow.release()
    assert os.path.islink(tmp_path / "lock")
    other.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [lambda path: path.write_text("a copy"), lambda path: os.symlink("?", path)])
def test_what_is_no_lock_of_ours_is_taken_away_in_the_end(tmp_path, monkeypatch, make):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    make(tmp_path / "lock")
    with Lock(tmp_path / "lock"):
        pass
    assert list(tmp_path.iterdir()) == []


DIES = """
import os, signal, sys
from pathlib import Path
from gatewise.tuning.locks import Lock

lock, count, role = *map(Path, sys.argv[1:3]), sys.argv[3]
for _ in range(40 if role == "counts" else 0):
    with Lock(lock):
        count.write_text(str(int(count.read_text()) + 1))
if role == "takes":
    Path.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Lock(lock).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


def dying(tmp_path, role):
    return subprocess.Popen([sys.executable, "-c", DIES, tmp_path / "lock", tmp_path / "count", role])


def test_of_processes_that_die_with_the_lock_each_is_alone(tmp_path):
    (tmp_path / "count").write_text("0")
    for worker in [dying(tmp_path, "counts") for _ in range(4)]:
        assert worker.wait(60) == -signal.SIGKILL
    assert (tmp_path / "count").read_text() == "160"
    began = time.monotonic()
    with Lock(tmp_path / "lock"):  # of the last that died
        assert time.monotonic() - began < locks.PATIENCE / 2


def test_who_dies_while_it_takes_a_lock_away_is_no_obstacle(tmp_path):
    for role in ("holds", "takes", "takes"):
        assert dying(tmp_path, role).wait(60) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    began = time.monotonic()
    with Lock(tmp_path / "lock"):
        assert time.monotonic() - began < locks.PATIENCE / 2
    assert list(tmp_path.iterdir()) == []
