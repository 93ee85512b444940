"""Fifty times one of two workers is killed at a random moment: no result is lost, and no trial is left to run for ever.

One of them pretends to be on another machine, so that its trials are taken for its silence and not because it is seen
to be dead.
"""

import random
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from postgres_server import running
from tune_worker import value_of

from gatewise.tuning.storage import opened

KILLS = 50
WORKER = Path(__file__).with_name("tune_worker.py")


class Workers:
    def __init__(self, where):
        self.where = where
        self.killed = {}  # log -> when
        self.live = {}
        self.count = 0

    def start(self, machine):
        log = Path(f"worker-{self.count}.log")
        self.count += 1
        log.touch()
        self.live[machine] = subprocess.Popen([sys.executable, WORKER, self.where, log, machine]), log

    def kill(self, machine):
        process, log = self.live.pop(machine)
        assert process.poll() is None, f"{log} ended by itself"
        process.kill()
        process.wait()
        self.killed[log] = time.monotonic()


def events(log):
    """(time, event, number) of a worker's whole lines."""
    lines = log.read_text().split("\n")[:-1]
    return [(float(at), event, int(number)) for at, event, number in map(str.split, lines)]


def has(log, event):
    return any(name == event for _, name, _ in events(log))


def survive(where, seed):
    draw = random.Random(seed)
    workers = Workers(where)
    for machine in ("", "elsewhere"):
        workers.start(machine)
    for _ in range(KILLS):
        machine = draw.choice(("", "elsewhere"))
        log = workers.live[machine][1]
        until = time.monotonic() + 60
        while not has(log, "begin"):
            assert time.monotonic() < until, f"{log} runs no trial"
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.5))
        workers.kill(machine)
        workers.start(machine)
    Path("stop").touch()
    stopped = time.monotonic()
    for process, _ in workers.live.values():
        assert process.wait(120) == 0
    waited = time.monotonic() - stopped
    logs = sorted(Path().glob("worker-*.log"))
    study = opened(where, None, "toy").study
    trials = study.get_trials()

    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert {trial.state for trial in trials} == {optuna.trial.TrialState.COMPLETE}
    assert all(trial.value == value_of(trial.number) for trial in trials)
    asked = [number for log in logs for _, event, number in events(log) if event == "asked"]
    assert len(set(asked)) == len(asked)
    told = [number for log in logs for _, event, number in events(log) if event == "told"]
    assert len(set(told)) == len(told)
    assert set(told) <= {trial.number for trial in trials}

    runs = defaultdict(list)  # number -> (begin, end) of each worker that ran it
    for log in logs:
        for at, event, number in events(log):
            if event == "begin":
                runs[number].append([at, workers.killed.get(log)])
            elif event == "told?":
                runs[number][-1][1] = at
    for number, spans in runs.items():
        spans.sort()
        for (_, end), (begin, _) in pairwise(spans):
            assert end < begin, f"two workers ran trial {number} at the same time"
    again = sum(len(spans) > 1 for spans in runs.values())
    print(f"{KILLS} kills, {len(trials)} trials, {again} of them taken over, the last {waited:.1f} s after the stop")
    assert again > 0
    assert waited < 60


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_kills_over_a_folder():
    survive("toy.tune", 1)


@pytest.mark.slow
def test_kills_over_postgresql():
    pytest.importorskip("psycopg")
    with running() as url:
        survive(url, 2)
