"""A table of settings of each problem, with how each trained: what a search is replayed on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest.mock import patch

from gatewise.errors import GatewiseError
from gatewise.tasks import Tagger, find, fitting
from gatewise.tuning.space import RATE, Setting, Space, space_of
from gatewise.tuning.trials import Fit

from .problems import Problem

SETTINGS = 60  # of a table, beside the default
RATES = (0.316, 3.16, 10.0)  # and so many times the default's learning rate, the rest as the default has it
SEEDS = (0, 1, 2, 3, 4)  # of the default; the first is that of all settings, and splits the data
FIRST = 24  # settings before the best of them are repeated
BEST, REPEATED = 5, (1, 2)  # so many settings by validation loss are trained with these seeds as well
SOBOL = 17  # its seed, which no search uses

Row = dict[str, Any]


def space(problem: Problem) -> Space:
    """What `gatewise tune` would search."""
    data, validation, _ = problem.parts
    fit = Fit(find(problem.task)(seed=0, **problem.options), data, None, _reading(validation))
    looked = fit.look().prepared
    return space_of(fit.estimator, {**looked.identity, **vars(looked.plan)}, {}, list(problem.options))


def drawn(searched: Space, count: int) -> list[Setting]:
    """So many settings that fill the space evenly."""
    from torch.quasirandom import SobolEngine

    places = SobolEngine(len(searched.knobs), scramble=True, seed=SOBOL).draw(count)
    return [searched.at([min(float(place), 1 - 1e-6) for place in point]) for point in places]


def of_rates(searched: Space) -> list[Setting]:
    """The default with other learning rates."""
    rate = searched.default[RATE]
    knob = next(own for own in searched.knobs if own.name == RATE)
    return [{**searched.default, RATE: knob.rounded(rate * factor)} for factor in RATES]


def trained(problem: Problem, options: Setting, seed: int) -> Row:
    """One training: the loss of each validation, what the test part says of the best weights, and CPU seconds.

    The seed is of weights and draws; data are split as with the first.
    """
    data, validation, test = problem.parts
    model = find(problem.task)(**{**problem.options, **options}, seed=SEEDS[0])
    spent: list[float] = []
    usual_train, usual_built, usual_prepared = fitting.train, fitting.built, fitting.Prepared

    def train(module: Any, training: Any, validation: Any, plan: Any, **rest: Any) -> Any:
        began = time.process_time()
        try:
            return usual_train(module, training, validation, fitting.replace(plan, seed=seed), **rest)
        finally:
            spent.append(time.process_time() - began)

    def prepared(**parts: Any) -> Any:
        """Without measuring, where the test part stands apart: plain methods take longer than the network."""
        return usual_prepared(**parts if test is None else {**parts, "measure": lambda *_: {}})

    with (
        patch.object(fitting, "train", train),
        patch.object(fitting, "built", lambda _, build: usual_built(seed, build)),
        patch.object(fitting, "Prepared", prepared),
        patch.object(Tagger, "_choose_plain", _known_plain),
    ):
        try:
            model.fit(data, None, **_reading(validation))
        except GatewiseError as error:
            return {"failed": str(error), "cpu": round(sum(spent), 3)}
    if model.outcome_.reason == "interrupted":
        raise KeyboardInterrupt
    steps, losses = model.history_["step"], model.history_["val_loss"]
    figure = problem.figure(model.metrics_) if test is None else model.score(test)
    return {
        "shares": " ".join(f"{step / steps[-1]:.4g}" for step in steps),
        "losses": " ".join(f"{loss:.5g}" for loss in losses),
        "figure": float(f"{figure:.5g}"),
        "cpu": round(sum(spent), 3),
    }


_PLAIN: dict[str, Any] = {}
_choose_plain = Tagger._choose_plain


def _known_plain(tagger: Tagger, parts: Any, *rest: Any) -> Any:
    """The plain method of a tagger, which no setting changes, and which takes longer to learn than the network."""
    data = parts["train"].fingerprint()
    if data not in _PLAIN:
        _PLAIN[data] = _choose_plain(tagger, parts, *rest)
    return _PLAIN[data]


def _reading(validation: Any) -> dict[str, Any]:
    return {} if validation is None else {"validation": validation}


def wanted(searched: Space, rows: dict[str, Row]) -> Iterator[tuple[str, Setting, int]]:
    """Key, setting and seed of each row that a table wants, those first that say most."""
    settings = dict(enumerate([searched.default, *drawn(searched, SETTINGS), *of_rates(searched)]))

    def every(numbers: Iterable[int], seeds: Iterable[int]) -> Iterator[tuple[str, Setting, int]]:
        return ((f"{number}/{seed}", settings[number], seed) for number in numbers for seed in seeds)

    def best() -> Iterator[tuple[str, Setting, int]]:
        first = [number for number in settings if number and f"{number}/{SEEDS[0]}" in rows]
        ranked = sorted(first, key=lambda number: loss(rows[f"{number}/{SEEDS[0]}"]))
        return every(ranked[:BEST], REPEATED)

    yield from every([0], SEEDS)
    yield from every(range(SETTINGS + 1, len(settings)), SEEDS[:1])
    yield from every(range(1, FIRST + 1), SEEDS[:1])
    yield from best()
    yield from every(range(FIRST + 1, SETTINGS + 1), SEEDS[:1])
    yield from best()


def loss(row: Row) -> float:
    """The best validation loss; infinite of a training that failed."""
    return min(map(float, row["losses"].split())) if "losses" in row else float("inf")


def fill(problems: dict[str, Problem], tables: dict[str, Any], save: Callable[[dict[str, Any]], object]) -> None:
    """Train what is missing, of all problems by turns, so that an end at any time leaves something to use."""
    searched = {name: space(problem) for name, problem in problems.items()}
    for name, problem in problems.items():
        about = {"what": problem.what, "task": problem.task, "measure": problem.measure, "options": problem.options}
        tables.setdefault(name, {**about, "space": searched[name].to_json(), "rows": {}})
    while True:
        wants = {name: _missing(searched[name], tables[name]["rows"]) for name in problems}
        missing = {name: want for name, want in wants.items() if want is not None}
        if not missing:
            return
        name = min(missing, key=lambda one: _spent(tables[one]["rows"]))
        key, setting, seed = missing[name]
        row = trained(problems[name], searched[name].options(setting), seed)
        tables[name]["rows"][key] = {"setting": setting, **row}
        save(tables)
        print(time.strftime("%X"), name, key, row.get("cpu"), row.get("figure"), row.get("failed", ""), flush=True)


def _missing(searched: Space, rows: dict[str, Row]) -> tuple[str, Setting, int] | None:
    return next((want for want in wanted(searched, rows) if want[0] not in rows), None)


def _spent(rows: dict[str, Row]) -> float:
    """By which the problem that is next is found: in between equally many rows and equal time."""
    return math.sqrt(len(rows) * sum(row["cpu"] for row in rows.values()))
