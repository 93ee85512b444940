"""Leases of trials: who runs one, for how long that is believed, and that only one takes it over."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gatewise.errors import OptionError
from gatewise.tuning import leases
from gatewise.tuning.leases import BEAT, GRACE, FolderLeases
from gatewise.tuning.processes import Process, this_process, written

ELSEWHERE = Process("elsewhere", "another boot", 7, 7)


def write(folder, owner, age, number=0):
    """A lease that was touched some seconds ago."""
    path = folder / str(number) / "lease"
    path.parent.mkdir(exist_ok=True)
    path.write_text(written(owner) if owner else "")
    clock = folder / ".clock"
    clock.touch()
    os.utime(path, (0, clock.stat().st_mtime - age))
    return path


def test_a_sign_of_life_every_15_seconds_and_60_of_grace():
    assert (BEAT, GRACE) == (15, 60)


@pytest.mark.parametrize("owner", [ELSEWHERE, None, this_process()], ids=["elsewhere", "nobody", "mine"])
@pytest.mark.parametrize(("age", "over"), [(0, False), (58, False), (61, True), (-3600, False)])
def test_a_lease_is_over_after_a_minute(tmp_path, owner, age, over):
    write(tmp_path, owner, age)
    assert FolderLeases(tmp_path).abandoned([0]) == [0] * over
    assert FolderLeases(tmp_path).take(0) is over
    assert FolderLeases(tmp_path).take(0) is False


def test_seconds_are_those_of_the_file_system(tmp_path, monkeypatch):
    """A machine whose clock is an hour late: the time of this one's own file is compared, not its clock's."""
    monkeypatch.setattr(time, "time", lambda: 0)
    monkeypatch.setattr(Path, "touch", lambda path: (path.write_text(""), os.utime(path, (0, 1000)))[0])
    path = write(tmp_path, ELSEWHERE, 59)
    assert path.stat().st_mtime == 941
    assert FolderLeases(tmp_path).abandoned([0]) == []
    os.utime(path, (0, 939))
    assert FolderLeases(tmp_path).abandoned([0]) == [0]


def test_the_lease_of_a_dead_process_of_this_machine_is_over_at_once(tmp_path):
    write(tmp_path, replace(this_process(), start=1), 0)
    assert FolderLeases(tmp_path).abandoned([0]) == [0]


def test_a_trial_without_a_lease_is_given_a_minute_from_when_it_is_seen(tmp_path):
    """Its worker has asked for it and not yet said so, or died between the two."""
    found = FolderLeases(tmp_path)
    assert found.abandoned([0]) == []
    assert found.abandoned([0]) == []
    os.utime(tmp_path / "0" / "lease", (0, (tmp_path / ".clock").stat().st_mtime - 61))
    assert found.abandoned([0]) == [0]


def test_who_was_only_slow_to_say_so_has_its_trial(tmp_path):
    found = FolderLeases(tmp_path)
    found.abandoned([0])
    with found.held(0):
        assert found.holds(0)


def test_a_damaged_lease_is_nobodys(tmp_path):
    write(tmp_path, None, 30).write_bytes(b"\0\xff" * 20)
    found = FolderLeases(tmp_path)
    assert found.abandoned([0]) == []
    with found.held(0):
        assert found.holds(0)


def test_a_held_lease_is_touched_and_given_back(tmp_path):
    found = FolderLeases(tmp_path, beat=0.01)
    with found.held(0):
        assert found.holds(0)
        assert found.abandoned([0]) == []
        write(tmp_path, this_process(), 3600)
        until = time.monotonic() + 20
        while found.abandoned([0]):
            assert time.monotonic() < until
            time.sleep(0.01)
    assert found.abandoned([0]) == [0]
    assert found.take(0)
    with found.held(0):
        pass


def test_it_is_given_back_when_the_trial_fails(tmp_path):
    found = FolderLeases(tmp_path)
    with pytest.raises(KeyboardInterrupt), found.held(0):
        raise KeyboardInterrupt
    assert found.abandoned([0]) == [0]


def test_a_lease_that_was_lost_is_left_alone(tmp_path):
    """The machine of this process slept, and another one has taken the trial."""
    found = FolderLeases(tmp_path, beat=0.01)
    with found.held(0):
        path = write(tmp_path, ELSEWHERE, 30)
        touched = path.stat().st_mtime
        time.sleep(0.1)
        assert not found.holds(0)
    assert path.stat().st_mtime == touched
    with pytest.raises(OptionError, match="trial 0 is run by process 7 on elsewhere already"), found.held(0):
        pass


def test_a_failed_beat_is_not_the_last(tmp_path, monkeypatch):
    found = FolderLeases(tmp_path, beat=0.01)
    failures = iter([OSError("no space"), OSError("no space")])
    touch = FolderLeases._touch
    touched = []

    def touch_or_fail(self, number):
        for failure in failures:
            raise failure
        touch(self, number)
        touched.append(number)

    monkeypatch.setattr(FolderLeases, "_touch", touch_or_fail)
    with found.held(0):
        until = time.monotonic() + 20
        while not touched:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_lease_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    """As NFS says it."""
    write(tmp_path, ELSEWHERE, 0)
    stale = iter([OSError(leases.errno.ESTALE, "Stale file handle")])
    fstat = os.fstat

    def once_stale(descriptor):
        for failure in stale:
            raise failure
        return fstat(descriptor)

    monkeypatch.setattr(leases.os, "fstat", once_stale)
    assert FolderLeases(tmp_path)._read(0).owner == ELSEWHERE


TAKES = """
import json, sys, time
from pathlib import Path
from gatewise.tuning.leases import FolderLeases

folder = Path(sys.argv[1])
while not (folder / "go").exists():
    time.sleep(0.001)
print(json.dumps([number for number in range(40) if FolderLeases(folder).take(number)]), flush=True)
input()
"""


def test_of_processes_that_take_the_same_trials_one_has_each(tmp_path):
    for number in range(40):
        write(tmp_path, ELSEWHERE, 61, number)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", TAKES, tmp_path], **pipes) for _ in range(3)]
    (tmp_path / "go").touch()
    taken = [number for worker in workers for number in json.loads(worker.stdout.readline())]
    assert sorted(taken) == list(range(40))
    for worker in workers:  # not before: what a dead one took may be taken again
        worker.communicate("\n", timeout=60)
        assert worker.returncode == 0
