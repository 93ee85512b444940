"""Trains in a process of its own, for test_training_interrupts.py: says when to interrupt it, then what came of it."""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import torch
from training_toy import Toy, Workshop

from gatewise.training import TrainingStopped
from gatewise.training import checkpoint as checkpoints


def say(value):
    print(json.dumps(value), flush=True)


def written(workshop):
    return checkpoints.read(workshop.checkpoint)[0]["counters"]["step"]


def slowly(call, toy):
    if call == 4:
        say("training")
    time.sleep(0.02 if call < 60 else 60)


def stuck(call, toy):
    """A step that a first Ctrl-C does not end."""
    if call == 4:
        interrupts = signal.getsignal(signal.SIGINT).__self__
        say("training")
        while not interrupts.requested:
            time.sleep(0.01)
        say("asked")
        time.sleep(60)


torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests run in the background
home = Path(sys.argv[1])

for name in ("int", "term"):
    (home / name).mkdir()
    workshop = Workshop(home / name)
    outcome = workshop.train(Toy(on_training=slowly), workshop.plan(steps=4000))
    say({"reason": outcome.reason, "step": outcome.step, "checkpoint": written(workshop)})

(home / "twice").mkdir()
workshop = Workshop(home / "twice")
try:
    workshop.train(Toy(on_training=stuck))
except KeyboardInterrupt:
    say({"reason": "KeyboardInterrupt", "checkpoint": written(workshop)})

(home / "full").mkdir()
workshop = Workshop(home / "full")
whole = Toy()
want = workshop.train(whole)


def fill_up(call, toy):
    """No file may grow beyond the first checkpoint, which has neither moments nor best weights yet."""
    if call == 1:
        size = workshop.checkpoint.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))


module = Toy(on_training=fill_up)
try:
    workshop.train(module)
except TrainingStopped as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    found = {"message": str(error), **vars(error.outcome), "checkpoint": written(workshop)}
    found["files"] = sorted(os.listdir(workshop.folder))
    with torch.no_grad():
        found["usable"] = bool(module.validation_sums(workshop.validation.at(0))[0].isfinite())
    again = Toy()
    outcome = workshop.train(again, resume=True)
    same = [torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True)]
    found["resumed"] = outcome.best_loss == want.best_loss and all(same)
    say(found)
