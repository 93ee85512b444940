"""Units with a name: correlation proposes what a unit follows, silencing the unit decides.

A unit is proposed for a feature if it follows it better than any unit follows shifted copies of it. A shift keeps what
makes correlations of sequences large by chance, that neighbouring steps resemble each other; all shifts at once are one
Fourier transform. It is kept if it follows the feature on the other half of the data as well. It is confirmed if
holding it at its mean there costs the network something, in some kind of step that the feature tells apart, that
holding others does not.

Source: of the search, Karpathy, Johnson & Li (2015), arXiv 1506.02078; of silencing, Lakretz et al. (2019), NAACL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .effects import by_layer
from .memory import memories
from .traces import Held, Trace, trace

Array = np.ndarray

LEVEL = 0.05  # chance that anything is named where no unit follows anything
KINDS = ("while it is on", "while it is off", "where it begins", "where it ends")  # steps that a feature tells apart
OTHERS = 19  # other units that are silenced: one of twenty is first by chance once in twenty times
_FOLLOWS = 0.3  # correlation below which a unit does not follow anything, however sure it is
_RESEMBLES = 0.5  # correlation of a feature with a shifted copy, from which the copy is the feature again
_FEWEST = 20  # shifted copies, far enough from one another to be told apart, without which there is no null
_STEPS = 10  # of a kind, below which its cost is not looked at
_ERRORS = 3.0  # standard errors that an effect has to be away from none
_TOGETHER = 64  # units transformed at once


@dataclass(frozen=True)
class Proposal:
    """What correlation says of a feature.

    Attributes:
        feature: Its name.
        unit: The unit that follows it best on the first half, of all that were asked.
        correlation: Of the two there.
        null: What the best of all units reaches for shifted copies of it, but for the share `LEVEL` of the copies
            divided by the number of features.
        unseen: The correlation on the second half.
    """

    feature: str
    unit: int
    correlation: float
    null: float
    unseen: float

    @property
    def holds(self) -> bool:
        """Whether the unit may be named: it follows, above the null, and on the unseen half still half as much."""
        beyond = abs(self.correlation) > max(self.null, _FOLLOWS)
        return beyond and self.correlation * self.unseen > 0 and abs(self.unseen) >= abs(self.correlation) / 2


@dataclass(frozen=True)
class Silenced:
    """What silencing a unit costs in one kind of step, on the unseen half.

    Attributes:
        steps: How many there are.
        before, after: Mean cost of such a step.
        error: Standard error of the difference.
        others: The largest change of this mean, in size, that silencing one of the other units makes.
    """

    steps: int
    before: float
    after: float
    error: float
    others: float

    @property
    def counts(self) -> bool:
        """Whether this is more than chance: dearer by several standard errors, and by more than any other unit."""
        dearer = self.after - self.before
        return self.steps >= _STEPS and dearer > _ERRORS * self.error and dearer > self.others


@dataclass(frozen=True)
class NamedUnit:
    """A unit that follows a feature.

    Attributes:
        place, layer, reverse: Of the layer, as in its `Trace`.
        unit: Which of its units, from 0.
        proposal: What correlation says.
        silenced: Kind of step -> what silencing costs there. The kinds are `KINDS`, of rows its first two, and those
            that were given.
    """

    place: str
    layer: int
    reverse: bool
    unit: int
    proposal: Proposal
    silenced: Mapping[str, Silenced]

    @property
    def confirmed(self) -> bool:
        """Whether the network needs the unit for what it follows: dearer in a kind of step that the feature makes."""
        return any(self.silenced[kind].counts for kind in KINDS if kind in self.silenced)


def propose(states: Array, features: Mapping[str, Array]) -> list[Proposal]:
    """Which unit follows each feature best, by the first half of the steps and then by the second.

    Args:
        states: (N, U) of all steps, sequences behind one another.
        features: (N,) each.

    Raises:
        DataError: They are not of the same steps.
    """
    half = len(states) // 2
    features = {name: np.asarray(values, np.float64) for name, values in features.items()}  # may be booleans
    for name, values in features.items():
        if len(values) != len(states):
            raise DataError(f"the feature '{name}' has {len(values)} steps, where the network has {len(states)}")
    if half < _FEWEST:
        return []
    names = [name for name, values in features.items() if np.ptp(values[:half]) > 0]
    if not names:
        return []
    first = _standardised(states[:half])
    own = _standardised(np.stack([features[name][:half] for name in names], 1))
    correlations, highest = own.T @ first / half, _highest_by_shift(first, own)
    found = []
    for place, name in enumerate(names):
        unit = int(np.abs(correlations[place]).argmax())
        null = _null(highest[:, place], own[:, place], len(features))
        later = _standardised(np.stack([states[half:, unit], features[name][half:]], 1))
        unseen = float(later[:, 0] @ later[:, 1]) / len(later)
        found.append(Proposal(name, unit, float(correlations[place, unit]), null, unseen))
    return found


def _standardised(values: Array) -> Array:
    """Columns with mean 0 and deviation 1, or zeros where nothing varies."""
    centred = values - values.mean(0)
    deviation = centred.std(0)
    found: Array = np.where(deviation > 1e-12, centred / np.where(deviation > 1e-12, deviation, 1), 0)
    return found


def _highest_by_shift(states: Array, features: Array) -> Array:
    """(N, F) for each circular shift of each feature the largest correlation, in size, that any unit has with it."""
    N = len(states)
    spectra = np.fft.rfft(features, axis=0).conj()
    highest = np.zeros(features.shape)
    for start in range(0, states.shape[1], _TOGETHER):
        block = np.fft.rfft(states[:, start : start + _TOGETHER], axis=0)
        for place in range(features.shape[1]):
            each = np.fft.irfft(block * spectra[:, place, None], N, axis=0)
            np.maximum(highest[:, place], np.abs(each).max(1), out=highest[:, place])
    return highest / N


def _null(highest: Array, feature: Array, features: int) -> float:
    """What a shifted copy reaches but rarely. Copies that are the feature again, as near it, are none.

    Infinite where the feature changes so slowly that there are few copies: two trends always go together; and where all
    copies are the feature again, as of one that is on at every other step.
    """
    again = np.fft.irfft(np.abs(np.fft.rfft(feature)) ** 2, len(feature)) / len(feature)
    other = np.abs(again) <= _RESEMBLES
    copies, near = highest[other], 2 * int(other.argmax()) - 1  # `near` shifts around none are one copy
    if not len(copies) or len(copies) < _FEWEST * near:
        return np.inf
    return float(np.quantile(copies, 1 - LEVEL / features, method="higher"))


def name_units(
    network: Any,
    run: Callable[[Any], Array],
    features: Mapping[str, Array],
    kinds: Mapping[str, Array] | None = None,
    seed: int = 0,
) -> list[NamedUnit]:
    """Find units that follow features, and silence them.

    Args:
        network: As for `trace`.
        run: A function of the network to what each step costs, (T, B): nats of the next character, squared errors.
            What it says of padding does not count. Or (B,) what each row costs, where an answer is one of a whole row:
            then what is told apart are rows, by whether the feature's mean in them is above the median.
        features: (T, B) each, of the steps that the layers run.
        kinds: Booleans of the shape of the cost: further kinds of steps to look at when a unit is silenced, such as
            those before each kind of character.
        seed: Of the choice of other units.

    Returns:
        The units whose correlation holds, confirmed ones first.
    """
    cost, traces = trace(network, run)
    cost = np.asarray(cost)
    shapes = [np.shape(values) for values in features.values()] if cost.ndim == 1 else [cost.shape]
    layers = [of_one[0] for of_one in by_layer(traces) if of_one[0].x.shape[:2] in shapes]
    if shapes and not layers:
        raise DataError(f"no recurrent layer runs the steps and rows {shapes[0]} that `run` tells the cost of")
    if not layers:
        return []
    steps = _Steps(layers[0].lengths, len(layers[0].x))
    costs = _Rows(layers[0].lengths) if cost.ndim == 1 else steps
    states = np.concatenate([steps.flat(_activity(one), "a layer") for one in layers], 1)
    flat = {name: steps.flat(values, f"the feature '{name}'") for name, values in features.items()}
    more = {name: costs.flat(values, f"the kind '{name}'").astype(bool) for name, values in (kinds or {}).items()}
    places = [(one, unit) for one in layers for unit in range(one.after[0].shape[-1])]

    def silenced(number: int) -> Array:
        one, unit = places[number]
        changed, _ = trace(network, run, [_silence(one, unit)])
        return costs.unseen(costs.flat(changed, "the cost"))

    proposals = [one for one in propose(states, flat) if one.holds]
    if not proposals:
        return []
    before = costs.unseen(costs.flat(cost, "the cost"))
    rest = np.setdiff1d(np.arange(len(places)), [one.unit for one in proposals])
    chosen = np.random.default_rng(seed).permutation(rest)[:OTHERS]
    others = [silenced(number) for number in chosen]
    after = {number: silenced(number) for number in {one.unit for one in proposals}}
    found = []
    for one in proposals:
        named, unit = places[one.unit]
        told_apart = {**costs.kinds(flat[one.feature]), **more}
        changed = after[one.unit]
        each = {kind: _silenced(before, changed, others, costs.unseen(some)) for kind, some in told_apart.items()}
        found.append(NamedUnit(named.place, named.layer, named.reverse, unit, one, each))
    return sorted(found, key=lambda unit: (not unit.confirmed, -abs(unit.proposal.correlation)))


class _Steps:
    """Steps of a batch behind one another, row by row, without padding."""

    def __init__(self, lengths: Array, steps: int):
        self._inside = np.arange(steps) < lengths[:, None]

    def flat(self, values: Array, what: str) -> Array:
        """(T, B, ...) to (N, ...). DataError if they are of other steps; `what` says of what."""
        found = np.swapaxes(np.asarray(values), 0, 1) if np.ndim(values) > 1 else np.asarray(values)
        if found.shape[:2] != self._inside.shape:
            shapes = np.shape(values)[:2], self._inside.shape[::-1]
            raise DataError(f"{what} has the steps and rows {shapes[0]}, where the network has {shapes[1]}")
        return found[self._inside]

    def unseen(self, values: Array) -> Array:
        """The second half of the steps."""
        return values[len(values) // 2 :]

    def kinds(self, feature: Array) -> dict[str, Array]:
        """Steps that a feature tells apart: (N,) booleans. A number is on where it is above its median."""
        on = feature > (feature.min() if len(np.unique(feature)) == 2 else np.median(feature))
        later = np.append(on[1:], on[-1:])
        return dict(zip(KINDS, (on & later, ~on & ~later, ~on & later, on & ~later), strict=True))


class _Rows:
    """The rows of a batch, of which each has one cost."""

    def __init__(self, lengths: Array):
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths

    def flat(self, values: Array, what: str) -> Array:
        """(B,) as it is. DataError if it is of other rows."""
        if np.shape(values) != self._ends.shape:
            raise DataError(f"{what} has the shape {np.shape(values)}, where there are {len(self._ends)} rows")
        return np.asarray(values)

    def unseen(self, values: Array) -> Array:
        """Rows that lie in the second half of the steps."""
        return values[self._starts >= self._ends[-1] // 2]

    def kinds(self, feature: Array) -> dict[str, Array]:
        """Rows that a feature (N,) tells apart, by its mean in them: (B,) booleans."""
        inside = np.flatnonzero(self._ends > self._starts)
        means = np.zeros(len(self._ends))
        means[inside] = np.add.reduceat(feature, self._starts[inside]) / (self._ends - self._starts)[inside]
        on = means > np.median(means[inside])
        return dict(zip(KINDS, (on, ~on), strict=False))


def _activity(one: Trace) -> Array:
    """(T, B, H) what a unit is looked at by: the squashed memory, where a memory has one number per unit, else h.

    Memory is more telling, since a unit may remember what it does not say at every step; squashed, because some units
    count to hundreds.
    """
    cell = one.cell
    size = cell.carry_sizes[0]
    for memory in memories(cell):
        if memory.line.place and cell.carry_sizes[memory.line.place] == size:
            return np.tanh(one.after[memory.line.place])
    return one.after[0]


def _silence(one: Trace, unit: int) -> Held:
    """What holds the output of a unit at its mean."""
    inside = np.arange(len(one.x))[:, None] < one.lengths
    level = one.after[0][inside].mean(0)
    return Held(one.place, one.layer, one.reverse, one.cell.carry[0], np.arange(len(level)) == unit, level)


def _silenced(before: Array, after: Array, others: Sequence[Array], inside: Array) -> Silenced:
    count = int(inside.sum())
    if not count:
        return Silenced(0, np.nan, np.nan, np.nan, np.nan)
    dearer = (after - before)[inside].astype(np.float64)
    error = float(dearer.std(ddof=1) / np.sqrt(count)) if count > 1 else np.inf
    elsewhere = max((abs(float((other - before)[inside].mean())) for other in others), default=0.0)
    return Silenced(count, float(before[inside].mean()), float(after[inside].mean()), error, elsewhere)
