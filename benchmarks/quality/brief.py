"""Rows of quality as far as their test parts: brief fits at the rows' own sizes, and what is asked of their models.

A row reads, fits and measures in one function. Here fits take a few steps, and what a row would measure is handed to
somebody else instead.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from gatewise import tasks
from gatewise.tasks import fitting
from gatewise.tasks.classify.evaluation import Evaluator

from .answers import Asked
from .row import Row

STEPS = 4  # of a training
ITEMS = 1000  # of a training part, where that is not what the test part is cut from
MOST = 2000  # sequences that the plain methods of `classify` learn from; where there are more, networks speak alone
CUT = ("tag", "translate", "caption")  # tasks whose training parts are cut; elsewhere classes would be missing
SHARE = 0.5  # of the network, where there are plain methods


class Enough(Exception):  # noqa: N818  (nothing went wrong)
    """All models of a row were asked; what it would do further says nothing of them."""


class _Unmeasured(dict[str, Any]):
    """Metrics of a model that nobody measured. Who reads them wants those of the test part."""

    def __missing__(self, name: str) -> Any:
        raise Enough


class _First:
    """One batch of validation data."""

    def __init__(self, batches: Any):
        self._batches = batches

    def __len__(self) -> int:
        return 1

    def at(self, step: int) -> Any:
        return self._batches.at(step)


def run(row: Row, data: Any, ask: Callable[[Any, Asked], None]) -> None:
    """Fit the models of a row's first seed briefly.

    Args:
        data: Folder of the shared data sets.
        ask: Is given each model with its test data.
    """
    last: dict[str, Any] = {}  # what was fitted last, to which data, and whether it was asked
    fit = fitting.fit

    def briefly(estimator: Any, prepare: Callable[[], Any], run: Any) -> None:
        if getattr(estimator, "share", 1) is None:
            estimator.share = SHARE
        fit(estimator, lambda: _shortened(estimator, prepare()), run)

    def noting(usual: Callable[..., Any]) -> Callable[..., Any]:
        def noted(self: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            if self.task in CUT and kwargs.get("validation") is not None:
                data = data.take(range(min(ITEMS, len(data))))
            usual(self, data, *args, **kwargs)
            last.update(model=self, data=data, asked=False)
            return self

        return noted

    def asking(**more: Any) -> Callable[..., Any]:
        def asked(self: Any, data: Any, decoding: Any = None, **_: Any) -> Any:
            last["asked"] = True
            ask(self, Asked(data, decoding=decoding, **more))
            if self.task == "classify":  # of which a row may have further models
                return {"all": {"accuracy": 0.0}, "baselines": {}, "share": 0.0, "strongest_plain": {}}
            if self.task == "detect":
                return [np.zeros(len(data))]
            raise Enough

        return asked

    def enough(*_: Any, **__: Any) -> None:
        raise Enough

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(fitting, "fit", briefly))
        for name in tasks.TASKS:
            cls = tasks.find(name)
            stack.enter_context(mock.patch.object(cls, "fit", noting(cls.fit)))
            stack.enter_context(mock.patch.object(cls, "evaluate", asking()))
        for cls, verb, more in (
            (tasks.Captioner, "predict", {}),
            (tasks.Forecaster, "backtest", {"last": True}),
            (tasks.Detector, "scores", {}),
        ):
            stack.enter_context(mock.patch.object(cls, verb, asking(**more)))
        stack.enter_context(mock.patch.object(Evaluator, "evaluate_parts", return_value={}))
        # What rows do once all of their models were asked.
        stack.enter_context(mock.patch.object(tasks.Detector, "events", enough))
        stack.enter_context(mock.patch(f"{__package__}.classify.nearest", enough))
        stack.enter_context(mock.patch(f"{__package__}.detect.plain_scores", enough))
        with suppress(Enough):
            row.run(data, row.seeds[0])
        if not last["asked"]:
            ask(last["model"], Asked(last["data"], learned=True))


def _shortened(estimator: Any, prepared: Any) -> Any:
    """A few steps, one batch of validation, no figures. `classify` learns its plain methods where others measure."""
    steps = min(STEPS, prepared.plan.steps)
    plan = replace(prepared.plan, steps=steps, evaluate_every=steps, warmup=min(2, steps), race=False)

    def measure(finished: bool, tell: Callable[[str], None]) -> dict[str, Any]:
        if estimator.task == "classify":
            prepared.measure(len(prepared.training) * prepared.per_step <= MOST, tell)
        return _Unmeasured(share=SHARE)

    return replace(prepared, plan=plan, validation=_First(prepared.validation), measure=measure, on_evaluation=None)
