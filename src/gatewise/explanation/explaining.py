"""A report about one row of data: every part that the model can have, and why the others are not there."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from ..algebra.listing import equations
from ..checks import whole
from ..errors import MissingExtra, extras_named
from ..tasks import load
from ..tasks.estimator import Estimator
from ..tasks.members import cannot
from .attribution import METHODS, Found, attributed_together, attribution_of, occluded
from .because import because
from .changes import flip, interactions
from .composition import Composition
from .insides import insides, named_units
from .question import WITHOUT_TORCH, Ask, Question
from .questions import question
from .reliability import reliability
from .report import Contrast, Provenance, Report


def explain(
    model: Estimator | str | os.PathLike[str],
    data: Any,
    *,
    row: int = 0,
    target: str | None = None,
    against: str | None = None,
    step: int | None = None,
    horizon: int | None = None,
    quantile: float | None = None,
    seed: int = 0,
    units: bool = False,
    query: str | None = None,
    encoding: str = "utf-8",
) -> Report:
    """Why a model answers as it does for one row, and how far that can be relied on. A notebook shows the report as its
    page.

    Args:
        model: A fitted estimator, or a model file.
        data: As its `predict` takes them.
        row: Of the data, from 0.
        target: What to explain: a class, label, tag, word or character, or a column of values. The answer itself, if
            omitted.
        against: The answer that it is compared with; the next best, if omitted.
        step: Of a tag, an anomaly, a symbol or written word, or the place in a text, from 0.
        horizon: Steps ahead of a forecast, from 1.
        quantile: Of a forecast, instead of its point.
        seed: Of what is drawn at random to measure the reliability.
        units: Whether to look for units that follow something nameable in the data, which takes longer: quotes and
            brackets of a text, the level of a channel, tags, the time of day.
        query, encoding: As `predict` takes them.

    Raises:
        OptionError: There is no such row or target, or the model has no network.
        DataError: The data are not like those that the model learned from.
        ModelFileError: The file is none of ours, or damaged.
    """
    ask = Ask(target=target, against=against, step=step, horizon=horizon, quantile=quantile)
    named = "" if isinstance(model, Estimator) else os.path.basename(os.fspath(model))
    fitted = model if isinstance(model, Estimator) else load(model)
    reading = {"encoding": encoding} if query is None else {"encoding": encoding, "query": query}
    return report_of(fitted, data, row, ask, seed=seed, units=units, reading=reading, named=named)


@extras_named()
def report_of(
    model: Estimator,
    data: Any,
    row: int,
    ask: Ask,
    *,
    seed: int,
    units: bool,
    reading: Mapping[str, Any],
    named: str = "",
    command: str = "",
) -> Report:
    """The same.

    Args:
        units: Whether to name units, too.
        reading: "query" and "encoding", as `predict` takes them.
        named: The model's file.
        command: What makes the report again.
    """
    began = time.perf_counter()
    whole("row", row, 0)
    whole("seed", seed, 0)
    model._must_be_fitted()
    if model.members_:
        raise cannot("an explanation is of one")
    asked, name = question(model, data, row, ask, **reading)
    parts, found = _parts(asked, seed, units)
    with_torch = asked.differentiable is not None
    missing = {name: why for name, why in parts.items() if isinstance(why, str)}
    return Report(
        answer=asked.answer,
        target=asked.target,
        inputs=tuple(asked.inputs),
        provenance=Provenance(
            model=named,
            fingerprint=model._digest,
            task=model.task,
            cell=model.find_cell().name,
            equations=equations(model.find_cell()),
            data=name,
            row=row,
            command=command,
            method=METHODS[found.method] if with_torch else f"{found.method}; integrating gradients {WITHOUT_TORCH}",
            points=found.points,
            seed=seed,
            versions={
                "gatewise": version("gatewise"),
                "python": platform.python_version(),
                "numpy": np.__version__,
                **({"torch": version("torch")} if with_torch else {}),
            },
            seconds=time.perf_counter() - began,
            cell_program=model.find_cell().to_json(),
        ),
        missing=missing,
        **{name: part for name, part in parts.items() if name not in missing},
    )


def _parts(asked: Question, seed: int, units: bool) -> tuple[dict[str, Any], Found]:
    """Each part of the report, or why it is missing; and how the attribution was found."""
    others = [*asked.contrasts()]
    (found, *against), hidden = attributed_together([asked, *others], seed), occluded(asked)
    attribution, steps = attribution_of(asked, found, hidden), found.steps
    contrasts = [
        Contrast(target=one.target, attribution=attribution_of(one, own, None))
        for one, own in zip(others, against, strict=True)
    ]
    return {
        "attribution": attribution,
        "because": because(asked.target, asked.inputs, attribution),
        "composition": _composition(asked),
        "contrasts": contrasts or "there is no other answer to compare with",
        **insides(asked, seed),
        "units": named_units(asked, seed)
        if units
        else "units are named where that is asked for: units=True, or --units",
        "flip": "this answer is a number, which has nothing to flip to"
        if asked.answers is None
        else flip(asked, steps),
        "interactions": interactions(asked, steps) or "there are no two phrases that add to the score",
        "reliability": reliability(asked, found, hidden, seed),
    }, found


def _composition(asked: Question) -> Composition | str:
    if asked.composition is None:
        return "only forecasts and anomaly scores are put together from pieces that add up"
    try:
        return asked.composition()
    except MissingExtra:
        return f"taking the network apart {WITHOUT_TORCH}"
