"""The journal of a study: whatever its end looks like, no whole record is lost and none is spoiled."""

import json
import os
import resource
import signal
import subprocess
import sys

import optuna
import pytest

from gatewise.errors import OptionError
from gatewise.tuning.journal import opened


def study_at(path):
    return optuna.load_study(study_name="study", storage=opened(path))


def values(study):
    return [trial.value for trial in study.get_trials()]


@pytest.fixture
def path(tmp_path):
    """A journal with three finished trials."""
    path = tmp_path / "journal.log"
    study = optuna.create_study(study_name="study", storage=opened(path))
    for value in range(3):
        trial = study.ask()
        trial.suggest_float("rate", 0, 1)
        study.tell(trial, value)
    return path


def assert_whole(path):
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_the_last_record_torn_at_every_byte(path):
    """Nothing but that record is missing, its bytes are kept, and the study goes on, also in a worker that was there
    before."""
    whole = path.read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    worker = study_at(path)
    for end in range(begin + 1, len(whole)):
        path.write_bytes(whole[:end])
        found = study_at(path)
        assert values(found) == [0, 1, None]
        found.tell(2, 7)
        assert values(study_at(path)) == [0, 1, 7]
        assert_whole(path)
        torn = path.with_name(f"journal.log.torn-{begin}")
        assert torn.read_bytes() == whole[begin:end]
        torn.unlink()
    assert len(values(worker)) == 3


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_worker_that_was_there_before_goes_on(path, cut):
    worker = study_at(path)
    trial = worker.ask()
    with open(path, "ab") as file:
        file.write(b'{"op_code":6,"worker_id":"another","trial_id":3}\n'[:cut])
    worker.tell(trial, 3)
    assert_whole(path)
    assert values(worker) == values(study_at(path)) == [0, 1, 2, 3]


def test_a_disk_that_is_full_costs_the_record_alone(path):
    """The limit on the size of a file stands for it: the system writes what fits."""
    worker = study_at(path)
    trial = worker.ask()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, before[1]))
        with pytest.raises(OSError):
            worker.tell(trial, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not path.read_bytes().endswith(b"\n")
    assert not os.path.lexists(path.with_name("journal.log.lock"))
    worker.tell(trial, 3)
    assert_whole(path)
    assert values(study_at(path)) == [0, 1, 2, 3]


DIES = """
import os, signal, sys
from pathlib import Path
from gatewise.tuning.journal import _JournalLock

path = Path(sys.argv[1])
_JournalLock(path).acquire()
with open(path, "ab") as file:
    file.write(b'{"op_code":6,"wor')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_killed_while_it_writes_is_no_obstacle(path):
    worker = study_at(path)
    assert subprocess.run([sys.executable, "-c", DIES, path]).returncode == -signal.SIGKILL
    assert os.path.lexists(path.with_name("journal.log.lock"))
    worker.tell(worker.ask(), 3)
    assert values(study_at(path)) == [0, 1, 2, 3]
    assert_whole(path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lines: [*lines[:2], b"\0" * 40, *lines[2:]], r"line 3 is no record"),
        (lambda lines: [*lines[:2], lines[2][5:], *lines[3:]], r"line 3 is no record"),
        (lambda lines: [*lines[:-1], lines[-1][:-3]], r"line \d+ is no record"),
        (lambda lines: [b"[1]", *lines], "line 1 is no record"),
        (lambda lines: [b"[" * 10**5, *lines], "line 1 is no record"),
        (lambda lines: [b'{"op_code":0,"study_name":[],"directions":1}', *lines], "TypeError in Optuna"),
        (lambda lines: [b"{}", *lines], "KeyError in Optuna"),
        (lambda lines: [*lines, b'{"op_code": 99}'], "AssertionError in Optuna"),
    ],
)
def test_damage_elsewhere_is_named(path, spoil, told):
    path.write_bytes(b"\n".join(spoil(path.read_bytes().splitlines())) + b"\n")
    before = path.read_bytes()
    with pytest.raises(OptionError, match=rf"journal.log' is damaged \({told}\)"):
        opened(path)
    assert path.read_bytes() == before
