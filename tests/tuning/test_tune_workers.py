"""Processes that run one study: shown, joined and stopped together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatewise.tuning import workers
from gatewise.tuning.workers import REFUSED, run_workers

# Stands for `gatewise`: notes its process, then does what its first word says.
STANDS_IN = """
from gatewise.tuning.workers import tie; tie()
import os, sys, time
from pathlib import Path

own = str(os.getpid())
if sys.argv[1] in ("wait", "refuse"):
    try:
        Path(f"{os.getpid()}.begun").touch()
        while sys.argv[1] == "wait" or len(begun := sorted(Path().glob("*.begun"))) < 2 or begun[0].stem != own:
            time.sleep(0.01)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        Path(f"{os.getpid()}.stopped").touch()
        sys.exit(130)
Path(f"{os.getpid()}.begun").touch()
print("dropped")
print("trial 1: \\x1b[2J", sys.argv[1:], os.environ["OMP_NUM_THREADS"], file=sys.stderr)
if sys.argv[1] == "fail":
    while len(begun := sorted(Path().glob("*.begun"))) < 2:
        time.sleep(0.01)
    sys.exit(3 if begun[0].stem == str(os.getpid()) else 0)
"""

RUNS = """
import sys
from gatewise.tuning import workers
workers._BEGIN = sys.argv[1]
workers.run_workers(2, ["wait"])
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "_BEGIN", STANDS_IN)
    return tmp_path


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_all_are_joined_and_shown(capfd):
    assert run_workers(2, ["say", "two words"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert sorted(err.splitlines()) == [
        rf"worker {number}: trial 1: \x1b[2J ['say', 'two words'] 1" for number in (1, 2)
    ]
    assert len(list(Path().glob("*.begun"))) == 2


def test_one_that_fails_is_told_and_stops_no_other():
    assert run_workers(2, ["fail"]) == 3
    assert len(list(Path().glob("*.begun"))) == 2


def test_one_that_refuses_the_command_stops_the_others():
    assert run_workers(2, ["refuse"]) == REFUSED
    assert len(list(Path().glob("*.begun"))) == 2
    assert len(list(Path().glob("*.stopped"))) == 1


def test_it_is_gatewise_that_runs(monkeypatch, capfd):
    monkeypatch.undo()
    assert run_workers(1, ["info", "no such file"]) == 2
    assert "worker 1: gatewise: there is no file" in capfd.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_they_stop_with_who_began_them(how):
    """At a Ctrl-C in their own way, each told once; otherwise by a SIGTERM."""
    parent = subprocess.Popen([sys.executable, "-c", RUNS, STANDS_IN], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(Path().glob("*.begun"))) == 2)
    children = [int(path.stem) for path in Path().glob("*.begun")]
    parent.send_signal(how)
    err = parent.communicate(timeout=60)[1]
    if how is signal.SIGINT:
        assert err.count(": interrupted.\n") == 2
        assert "KeyboardInterrupt" in err
        assert len(list(Path().glob("*.stopped"))) == 2
    wait_for(lambda: not any(map(runs, children)))


def test_a_worker_that_does_not_stop_is_killed(monkeypatch):
    """As is one at a second Ctrl-C."""
    monkeypatch.setattr(workers, "_PATIENCE", 0.2)
    monkeypatch.setattr(workers, "_BEGIN", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + STANDS_IN)
    show = workers._show

    def interrupt(*given):
        wait_for(lambda: len(list(Path().glob("*.begun"))) == 1)
        os.kill(os.getpid(), signal.SIGINT)
        show(*given)

    monkeypatch.setattr(workers, "_show", interrupt)

    with pytest.raises(KeyboardInterrupt):
        run_workers(1, ["wait"])
    (path,) = Path().glob("*.begun")
    assert not runs(int(path.stem))


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
