"""Searches over curves instead of trainings, with a clock that only they move."""

import contextlib
import math
from types import SimpleNamespace

import optuna

from gatewise.tuning import search
from gatewise.tuning.records import DEFAULT, Records
from gatewise.tuning.search import Limits, Search, Told
from gatewise.tuning.space import Knob, Space
from gatewise.tuning.trials import Standing

SPACE = Space(
    (
        Knob("hidden_size", 64, 16, 256, log=True, whole=True),
        Knob("dropout", 0.3, 0.0, 0.6),
        Knob("learning_rate", 0.003, 0.0003, 0.03, log=True),
    )
)
VALIDATIONS = 20


class Memory:
    """A storage of one process that forgets."""

    def __init__(self, folder):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study, self.folder = optuna.create_study(), folder

    def lease(self, number):
        return contextlib.nullcontext()

    def holds(self, number):
        return True

    def abandoned(self):
        """A trial that runs while nobody runs one was interrupted."""
        running = self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        return [trial.number for trial in running]

    def take(self, number):
        return True


class Curves:
    """Trials whose losses and seconds are functions of their setting.

    Args:
        loss: Of a setting and a seed, at the end.
        curve: Of the loss at the end and a share of the steps: the loss there. It falls from a thousand times as much.
        closing: Seconds that measuring takes, if that is found out when the default ends.
        seconds: Of a whole trial of a setting.
        stops: Called before each validation; may raise.
        fails: Whether a setting fails with a seed, after its first validation.
    """

    def __init__(
        self,
        folder,
        loss,
        seconds=lambda setting: 10.0,
        stops=lambda number, share: None,
        fails=lambda setting, seed: False,
        curve=lambda end, share: end * (1 + 999 * (1 - share) ** 6),
        closing=None,
    ):
        self.now, self.loss, self.seconds, self.stops, self.fails = 0.0, loss, seconds, stops, fails
        self.curve, self.closing = curve, closing
        self.records = Records(Memory(folder))
        self.order = []  # number and share of each session of a trial

    def run(self, fit, space, records, record, halts, clock):
        began, done = clock(), round(record.share * VALIDATIONS)
        curve = [list(point) for point in record.curve]
        end = self.loss(record.setting, record.seed)
        for validation in range(done + 1, VALIDATIONS + 1):
            share = validation / VALIDATIONS
            self.now += self.seconds(record.setting) / VALIDATIONS
            self.stops(record.number, share)
            score = self.curve(end, share)
            curve.append([share, score])
            spent = record.seconds + clock() - began
            records.note(record.number, {"share": share, "score": score, "curve": curve, "seconds": spent})
            if self.fails(record.setting, record.seed):
                records.fail(record.number, "the loss is not finite")
                return
            if share < 1 and halts(Standing(share, score, spent)):
                records.note(record.number, {}, paused=True)
                self.order.append((record.number, share))
                return
        self.order.append((record.number, 1.0))
        if self.closing is not None and record.kind == DEFAULT:
            self.now += self.closing
            records.note(record.number, {"closing": self.closing})
        records.finish(record.number, score)

    def search(self, monkeypatch, limits, seed=0, told=None, space=SPACE):
        monkeypatch.setattr(search.trials, "run", self.run)
        fit = SimpleNamespace(estimator=SimpleNamespace(seed=seed))
        Search(fit, space, self.records, limits, told or Told(), 0.5, began=self.now, clock=lambda: self.now).run()
        return self.records.all()


def bowl(setting, seed=0):
    """Best at a rate of 0.01 and 128 units; the seed moves it a little."""
    away = math.log(setting["learning_rate"] / 0.01) ** 2 + 0.3 * math.log(setting["hidden_size"] / 128) ** 2
    return 1 + away + 0.01 * math.sin(7 * seed)


def trials(count):
    return Limits(None, count)
