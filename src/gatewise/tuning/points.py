"""Which setting to try next: other rates alone, then spread evenly, then where Optuna's model of the trials so far
expects the best.

A point follows from the seed and the trials there are, not from who asks: a study that was interrupted goes on as if it
had not been. So each point has a sampler of its own, over a copy of the trials.

Source: Sobol (1967), "On the distribution of points in a cube"; Bergstra et al. (2011), "Algorithms for hyper-parameter
optimization", NeurIPS 24 (TPE).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .records import DEFAULT, FAILED, FINISHED, SEARCH, Record
from .space import RATE, Setting, Space

if TYPE_CHECKING:
    import optuna

_FACTORS = (math.sqrt(10.0), math.sqrt(0.1))  # of the learning rate, what is tried first
SPREAD = 10  # settings before the model of them is asked
_TRIES = 10  # before a search that finds no new point counts as converged


def next_point(space: Space, records: Sequence[Record], seed: int) -> Setting | None:
    """A setting that was not tried yet, or None if there seems to be none.

    Args:
        records: The trials so far.
        seed: Of the search.
    """
    tried = [space.rounded(own.setting) for own in records]
    if other := next((point for point in _rates(space) if point not in tried), None):
        return other
    count = sum(own.kind in (DEFAULT, SEARCH) for own in records)
    study = _study_of(space, records) if sum(own.counts for own in records) >= SPREAD else None
    for attempt in range(_TRIES):
        if study is None:
            point = space.at(_spread(len(space.knobs), count + attempt * SPREAD, seed))
        else:
            point = space.rounded(_modelled(study, space, seed + 1_000 * count + attempt))
        if point not in tried:
            return point
    return None


def _rates(space: Space) -> list[Setting]:
    """The default with a higher and a lower learning rate: what matters most, alone."""
    default = space.rounded(space.default)
    knobs = [knob for knob in space.knobs if knob.name == RATE and not knob.choices]
    return [{**default, RATE: knob.rounded(default[RATE] * factor)} for knob in knobs for factor in _FACTORS]


def _spread(dimensions: int, index: int, seed: int) -> list[float]:
    """A point of a sequence that fills the cube evenly."""
    from torch.quasirandom import SobolEngine

    points = SobolEngine(dimensions, scramble=True, seed=seed).draw(index + 1)
    return [min(float(place), 1 - 1e-6) for place in points[-1]]


def _modelled(study: optuna.Study, space: Space, seed: int) -> dict[str, Any]:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(seed=seed % 2**32, multivariate=True, n_startup_trials=1)
    return study.ask(space.distributions()).params


def _study_of(space: Space, records: Sequence[Record]) -> optuna.Study:
    """A study in memory of these trials. Those that run or pause count by the rungs that they have reached."""
    import optuna
    from optuna.trial import TrialState, create_trial

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(before)
    distributions = space.distributions()
    for own in records:
        if own.state == FAILED or not (own.rungs or own.state == FINISHED):
            continue
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if own.state == FINISHED else TrialState.PRUNED,
                value=own.score if own.state == FINISHED else None,
                params={name: own.setting[name] for name in distributions},
                distributions=distributions,
                intermediate_values=dict(enumerate(own.rungs)),
            )
        )
    return study
