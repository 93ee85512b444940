"""What a memory keeps, when it was written, and whether that says anything of causes.

With all that is not linear in a carried value taken as it is, a step is after = keep * before + write: of an LSTM's c,
keep is f and write is i * g. So what is in the memory at the end is a sum of what each step wrote, times what was kept
of it since. This is exact, and says *when* the memory was written. It does not say which input is responsible: a
network that writes its memory anew at every step has written all of it just now, whatever it is about (`rewriting`).

Source: Murdoch & Szlam (2017), "Automatic rule extraction from long short term memory networks", ICLR,
arXiv 1702.02540, for the sum; Mahto et al. (2021), "Multi-timescale representation learning in LSTM language models",
ICLR, arXiv 2009.12727, for half-lives; here for every cell, from its graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..algebra import Cell
from ..algebra.expression import Node
from ..algebra.forms import Line, line_of
from ..algebra.listing import expression
from ..errors import OptionError, suggest
from .traces import Trace, trace_layer

Array = np.ndarray

REWRITES = 0.5  # share of what is left of an earlier state that came by writing it anew, from which we say so
_LEFT = 0.1  # share of a difference that has to be left for its ways to be asked after
_LEAST_KEPT = 700.0  # -ln of a share kept that counts as nothing: sums of it stay finite


@dataclass(frozen=True)
class Memory:
    """A carried value that keeps some of itself.

    Attributes:
        name: What the equations call it.
        keep, write: after = keep * before + write, as Python would read it.
        line: The same as expressions.
    """

    name: str
    keep: str
    write: str
    line: Line


@lru_cache(maxsize=256)
def memories(cell: Cell) -> tuple[Memory, ...]:
    """The memories among what a cell carries, in its order; a cell such as a plain RNN has none."""
    found = []
    for place, (name, before, after) in enumerate(zip(cell.carry, cell.before, cell.after, strict=True)):
        line = line_of(after, place, before, frozen=True)
        if line is not None and line.slope is not None:
            names = {node: called for node, called in cell.names.items() if node is not after}
            write = "0" if line.offset is None else expression(line.offset, names)
            found.append(Memory(name, expression(line.slope, names), write, line))
    return tuple(found)


def memory_of(cell: Cell, name: str) -> Memory:
    """One of them by name. OptionError if there is none of that name."""
    known = {memory.name: memory for memory in memories(cell)}
    if not known:
        raise OptionError(f"cell '{cell.name}' has no memory: nothing that it carries keeps some of itself")
    if name not in known:
        raise OptionError(suggest("memory", name, known))
    return known[name]


def keep_and_write(trace: Trace, name: str) -> tuple[Array, Array]:
    """(T, B, H) each: the share of a memory that each step keeps, and what it writes. Zeros beyond a row's length."""
    line = memory_of(trace.cell, name).line
    keep, write = (_evaluated(trace, line, part) for part in (line.slope, line.offset))
    return keep, write


def _evaluated(trace: Trace, line: Line, part: Node | None) -> Array:
    if part is None:
        return np.zeros_like(trace.after[line.place])
    return trace.evaluate([part], {line.one: 1.0})[0]


@dataclass(frozen=True)
class Ledger:
    """What is in a memory, by when it was written.

    Attributes:
        value: (B, H) of the memory.
        written: (T, B, H) what is in it of each step's writing; zero from then on.
        start: (B, H) what is in it of the state before the first step. These parts sum to the value.
    """

    value: Array
    written: Array
    start: Array

    @property
    def remainder(self) -> Array:
        """(B, H) what the sum of the parts lacks of the value: rounding alone."""
        return self.value - self.written.sum(0) - self.start


def ledger(trace: Trace, name: str, step: int | None = None) -> Ledger:
    """The account of a memory after a step.

    Args:
        name: Of the memory.
        step: Which step (as x has them, also in reverse); each row's last one that ran if omitted.

    Raises:
        OptionError: There is no such memory or step.
    """
    keep, write = (_in_order(trace, values).astype(np.float64) for values in keep_and_write(trace, name))
    place = memory_of(trace.cell, name).line.place
    counts = _steps_until(trace, step)
    inside = np.arange(len(keep))[:, None, None] < counts[:, None]
    # Shares kept of what each step wrote: the product over the steps after it.
    factors = np.where(inside, keep, 1)[::-1]
    kept = np.concatenate([np.ones_like(keep[:1]), np.cumprod(factors, 0)])[::-1]
    start = trace.start[place]
    last = _in_order(trace, trace.after[place])[np.maximum(counts - 1, 0), np.arange(len(counts))]
    value = np.where((counts > 0)[:, None], last, start)
    return Ledger(value, _in_order(trace, np.where(inside, kept[1:] * write, 0)), kept[0] * start)


def _steps_until(trace: Trace, step: int | None) -> Array:
    """(B,) how many steps of each row have run after this one."""
    if step is None:
        return trace.lengths
    if not 0 <= step < len(trace.x):
        raise OptionError(f"there is no step {step}: the steps are 0 to {len(trace.x) - 1}")
    return np.maximum(trace.lengths - step, 0) if trace.reverse else np.minimum(trace.lengths, step + 1)


def _in_order(trace: Trace, values: Array) -> Array:
    """Steps (T, B, ...) in the order in which they ran, each row's at the beginning; and back."""
    if not trace.reverse:
        return values
    steps = np.arange(len(values))[:, None]
    places = np.where(steps < trace.lengths, trace.lengths - 1 - steps, steps)
    return values[places, np.arange(values.shape[1])]


def half_lives(trace: Trace, name: str) -> Array:
    """(H,) steps after which a memory has kept half of what was in it, over all steps of all rows.

    ln 2 over the mean of -ln keep. Infinite where nothing is lost; NaN if there are no steps.
    """
    keep, _ = keep_and_write(trace, name)
    fading = _fading(keep[np.arange(len(keep))[:, None] < trace.lengths])
    if not len(fading):
        return np.full(keep.shape[-1], np.nan)
    mean = fading.mean(0)
    return np.where(mean > 0, np.log(2) / np.where(mean > 0, mean, 1), np.inf)


def _fading(keep: Array) -> Array:
    """-ln of shares kept, in float64; of nothing, a large number."""
    return -np.log(np.maximum(np.abs(keep.astype(np.float64)), np.exp(-_LEAST_KEPT)))


def life_lines(trace: Trace, name: str) -> Array:
    """(T, B, H) whole numbers: for how many further steps at least half of what each step wrote is kept.

    It is cut off where its row ends. Zero beyond a row's length.
    """
    keep, _ = keep_and_write(trace, name)
    keep = _in_order(trace, keep)
    found = np.zeros(keep.shape, np.int64)
    for row, count in enumerate(trace.lengths):
        faded = np.cumsum(_fading(keep[:count, row]), 0)
        # The last step until which no more than half has faded. Where a memory grows again, that may be a later one.
        least = np.minimum.accumulate(faded[::-1], 0)[::-1]
        for unit in range(keep.shape[-1]):
            last = np.searchsorted(least[:, unit], faded[:, unit] + np.log(2) * (1 + 1e-12), side="right") - 1
            found[:count, row, unit] = last - np.arange(count)
    return _in_order(trace, found)


def ages(trace: Trace, name: str, step: int | None = None) -> Array:
    """(B, H) mean number of steps since what is in a memory was written, by the sizes of the parts of its `ledger`.

    What was there before the first step is as old as the row. NaN where there is nothing.
    """
    found = ledger(trace, name, step)
    counts = _steps_until(trace, step)
    parts = np.concatenate([np.abs(found.start)[None], np.abs(_in_order(trace, found.written))]).astype(np.float64)
    since = np.maximum(counts - np.arange(len(parts))[:, None], 0)
    total = parts.sum(0)
    return np.where(total > 0, (since[..., None] * parts).sum(0) / np.where(total > 0, total, 1), np.nan)


@dataclass(frozen=True)
class Rewriting:
    """How what a memory still knows of an earlier state came to the end of the rows.

    The state some steps before the end is replaced by that before the first step, as if nothing had been read, and the
    rest of the row run again. Of the difference that this makes to the memory at the end, one part was kept, as keep
    says; the rest came through what the steps between wrote.

    Attributes:
        lags: (L,) how many steps before the end.
        left: (L,) the difference at the end as a share of that in the replaced memory.
        rewritten: (L,) the share of the two parts' sizes that came through writing; NaN where nothing is left.
    """

    lags: Array
    left: Array
    rewritten: Array

    @property
    def lag(self) -> int | None:
        """The longest of the lags of which at least a tenth is left, which decides; None if there is none."""
        found = self.lags[self.left >= _LEFT]
        return int(found.max()) if len(found) else None

    @property
    def share(self) -> float:
        """Of what is left at that lag, how much came through writing; 0 if nothing is."""
        return 0.0 if self.lag is None else float(self.rewritten[self.lags == self.lag][0])

    @property
    def rewrites(self) -> bool:
        """Whether to say: this network re-writes its memory, so ages are not causes."""
        return self.share >= REWRITES


def rewriting(trace: Trace, name: str, readout: Array | None = None) -> Rewriting:
    """Measure it, at lags of 1, 2, 4, ... steps, and from the state after the longest row's first step.

    Args:
        name: Of the memory.
        readout: (K, H) weights by which what matters is read from the memory; each unit for itself, in its own
            standard deviations, if omitted.
    """
    place = memory_of(trace.cell, name).line.place
    keep, x = _in_order(trace, keep_and_write(trace, name)[0]).astype(np.float64), _in_order(trace, trace.x)
    before, after = (_in_order(trace, values[place]) for values in (trace.before, trace.after))
    longest = int(trace.lengths.max(initial=0))
    if not longest:
        return Rewriting(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    deviation = after[np.arange(len(x))[:, None] < trace.lengths].std(0)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)

    def size(difference: Array) -> float:
        return float(np.abs(difference * scale if readout is None else difference @ readout.T).sum())

    lags = sorted({longest - 1, *(2**k for k in range(longest.bit_length()) if 2**k < longest)} - {0, -1})
    left, rewritten = [], []
    for lag in lags:
        rows = np.flatnonzero(trace.lengths > lag)
        first, last = trace.lengths[rows] - lag, trace.lengths[rows] - 1
        steps = first + np.arange(lag)[:, None], rows
        state = [start[rows] for start in trace.start]
        again = trace_layer(trace.cell, x[steps], state, trace.stored, precision=trace.precision)
        replaced = before[first, rows] - state[place].astype(np.float64)
        changed = after[last, rows] - again.after[place][-1].astype(np.float64)
        kept = keep[steps].prod(0) * replaced
        parts = size(kept), size(changed - kept)
        left.append(size(changed) / (size(replaced) or 1))
        rewritten.append(parts[1] / sum(parts) if sum(parts) else np.nan)
    return Rewriting(np.array(lags, np.int64), np.array(left), np.array(rewritten))
