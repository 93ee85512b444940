"""What a search tells at its end, as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .records import DEFAULT, FINISHED, PAUSED, Record
from .selection import Selection, repeats_of
from .space import Space

_SHOWN = 10  # best settings that are listed
# Of the time of the default what a trial takes, as replayed (docs/tune.md): many end at a rung, wide ones take longer.
_SHARE = 0.67


def settings_text(values: Mapping[str, Any]) -> str:
    """learning_rate 0.003, hidden_size 64"""
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items())


def value_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def space_text(space: Space) -> str:
    """A line for each knob."""
    width = max(len(knob.name) for knob in space.knobs)
    return "\n".join(f"{knob.name:<{width}}  {knob.text()}" for knob in space.knobs)


def trials_text(space: Space, records: Sequence[Record]) -> str:
    """The best settings, best first, as a plain table; beside each the losses of its repeats."""
    tried = [own for own in records if own.counts and not math.isnan(own.score)]
    tried.sort(key=lambda own: (not own.finished, -own.share, own.score))
    names = [knob.name for knob in space.knobs]
    cells = [["trial", *names, "done", "loss", "with other seeds", "time"]]
    for own in tried[:_SHOWN]:
        repeats = " ".join(f"{other.score:.4g}" for other in repeats_of(own, records))
        name = f"{own.number}{', the default' if own.kind == DEFAULT else ''}"
        values = [value_text(own.setting[knob]) for knob in names]
        cells.append([name, *values, f"{own.share:.0%}", f"{own.score:.4g}", repeats, time_text(own.seconds)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    more = len(tried) - _SHOWN
    return "\n".join([*lines, *([f"and {more} more settings"] if more > 0 else [])])


def counts_text(records: Sequence[Record]) -> str:
    """40 trials: 12 finished, 25 paused, 3 failed"""
    states = [own.state for own in records]
    each = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(records)} trials: {each}"


def verdict(found: Selection) -> str:
    """What was found, in a sentence or two."""
    noise = f"{found.noise:.2g}"
    if found.best.number == found.default.number:
        return f"Nothing better found: the default has the lowest validation loss, {found.default.score:.4g}."
    gap = found.default.score - found.best.score
    best = f"The best trial, {found.best.number}, was {gap:.2g} below the default's {found.default.score:.4g}"
    if math.isnan(found.margin):
        return (
            f"{best}, but too few repeats with other seeds finished, for want of time or because they failed, and the "
            "best of many trials looks better than it is. The default is kept."
        )
    seeds = sum(len(own.losses) for own in found.candidates)
    if found.keeps_default:
        return (
            f"Nothing better found: the default is within noise. {best}. In {seeds} fits with several seeds the loss "
            f"varied by {noise} from seed to seed, and no setting was ahead by the {found.margin:.2g} that rules out "
            "chance."
        )
    chosen = found.chosen
    return (
        f"Trial {chosen.number} is taken: {settings_text(chosen.setting)}. Repeated with other seeds, its validation "
        f"loss is {found.gain:.2g} below the default's, where up to {found.margin:.2g} could be chance; it varies by "
        f"{noise} from seed to seed."
    )


def rungs_text(places: Sequence[float]) -> str:
    """Where trials pause that are behind, once it is known."""
    if not places:
        return "the default learns so late that no trial is paused on its way"
    shares = " and ".join(filter(None, [", ".join(f"{place:.0%}" for place in places[:-1]), f"{places[-1]:.0%}"]))
    return f"trials are compared after {shares} of their steps, as the default learns"


def estimate_text(default_seconds: float, seconds: float | None) -> str:
    """The default takes 2.1 min here: about 14 trials in 30 min."""
    text = f"the default takes {time_text(default_seconds)} here"
    if seconds is None:
        return text
    if seconds < default_seconds:
        return f"{text}, longer than the {time_text(seconds)} that there are"
    # Repeats take a quarter of it all. Where the rungs are is not known yet.
    trials = 0.75 * seconds / default_seconds / _SHARE
    return f"{text}: about {trials:.0f} trials in {time_text(seconds)}, and repeats of the best"


def time_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def ended_text(record: Record) -> str:
    """How a trial ended, for a line while the search runs."""
    if record.state == PAUSED:
        return f"paused at {record.share:.0%}, validation loss {record.score:.4g}"
    if record.state == FINISHED:
        return f"validation loss {record.score:.4g}"
    return f"failed: {record.why}"
