"""Robustness cards: what a model's figure becomes when its data change in ways that happen, beside a plain method's.

Changes are made to what was read, not to files, and follow from a seed. Each is as strong as people meet it: a
recording that is 20 dB louder, one typing error in 20 letters, a tenth of the steps missing, half the light.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..data.paired.captions import Captioned
from ..data.sequences import Column, Sequences, offsets_of
from ..errors import OptionError, suggest
from .report import table
from .verdict import MEASURES

Change = Callable[[Sequences, Sequence[str], np.random.Generator], Sequences]  # of these columns
ChangeOfImages = Callable[[Captioned, Sequence[str], np.random.Generator], Captioned]

_LOUDER = math.log(100.0)  # of energies: 20 dB, ten times the amplitude
_NOISE = 0.01  # energy of noise, as a share of a recording's mean energy: 20 dB below it
_TYPOS, _UNKNOWN = 0.05, 0.1  # shares of letters, and of words
_MISSING = 0.1  # share of steps
_GRAIN = 0.1  # standard deviation of noise in images, as a share of their range
_MOVED = 8  # an image is moved by up to one part in so many of its sides
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _energies(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
    """A change of each recording's log energies, (F, M), which may change the number of frames."""

    def changed(data: Sequences, columns: Sequence[str], random: np.random.Generator) -> Sequences:
        [name] = columns
        values = data.steps[name].values
        pieces = [change(np.asarray(values[a:b]), random).astype(np.float32) for a, b in pairwise(data.offsets)]
        steps = {name: replace(data.steps[name], values=np.concatenate(pieces))}
        return Sequences(offsets_of(map(len, pieces)), steps, data.static, data.name)

    return changed


def _noisy(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    noise = _NOISE * np.exp(x).mean() * random.standard_exponential(x.shape)
    return np.log(np.exp(x) + noise)


def _narrow(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Without the upper third of the bands, as on a telephone."""
    narrow = x.copy()
    narrow[:, -(x.shape[1] // 3) :] = x.min()
    return narrow


def _later(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """After a silence of up to a quarter of its length."""
    return np.concatenate([np.full((random.integers(0, len(x) // 4 + 1), x.shape[1]), x.min()), x])


def _faster(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """At up to a sixth more or less speed; the pitch stays."""
    frames = max(1, round(len(x) / random.uniform(5 / 6, 7 / 6)))
    places = np.linspace(0, len(x) - 1, frames)
    below = np.minimum(places.astype(np.int64), max(0, len(x) - 2))
    above, share = np.minimum(below + 1, len(x) - 1), (places - below)[:, None]
    return (1 - share) * x[below] + share * x[above]


_OfNumbers = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _numbers(change: _OfNumbers, own: bool = False) -> Change:
    """A change of each sequence's numbers, (T, D), with the standard deviation of each column.

    Args:
        own: Whether that is the sequence's own deviation, as series may lie a thousandfold apart; else that of all.
    """

    def changed(data: Sequences, columns: Sequence[str], random: np.random.Generator) -> Sequences:
        def of(column: Column, offsets: np.ndarray) -> Column:
            values = np.asarray(column.values)
            flat = values.reshape(len(values), -1)
            whole = _deviation(flat)
            pieces = [change(flat[a:b], _deviation(flat[a:b]) if own else whole, random) for a, b in pairwise(offsets)]
            joined = np.concatenate([np.empty((0, flat.shape[1])), *pieces]).astype(values.dtype)
            return replace(column, values=joined.reshape(values.shape))

        each = np.arange(len(data) + 1)
        steps = {n: of(c, data.offsets) if n in columns else c for n, c in data.steps.items()}
        static = {n: of(c, each) if n in columns else c for n, c in data.static.items()}
        return replace(data, steps=steps, static=static)

    return changed


def _deviation(values: np.ndarray) -> np.ndarray:
    """(D,) standard deviations; 0 where nothing is known."""
    known = np.isfinite(values).any(0)
    found: np.ndarray = np.where(known, np.nanstd(np.where(known, values, 0), axis=0), 0)
    return found


def _texts(change: Callable[[str, np.random.Generator], str]) -> Change:
    """A change of each text, or of each token."""

    def changed(data: Sequences, columns: Sequence[str], random: np.random.Generator) -> Sequences:
        def of(column: Column) -> Column:
            values = np.empty(len(column), object)
            values[:] = [None if text is None else change(text, random) for text in column.strings()]
            return Column(column.name, "text", values)

        steps = {n: of(c) if n in columns else c for n, c in data.steps.items()}
        static = {n: of(c) if n in columns else c for n, c in data.static.items()}
        return replace(data, steps=steps, static=static)

    return changed


def mistyped(text: str, random: np.random.Generator) -> str:
    """With one letter in twenty left out, doubled, exchanged with the next one or replaced."""
    letters = list(text)
    for place in np.flatnonzero(random.random(len(letters)) < _TYPOS):
        if not letters[place].isalpha():
            continue
        match random.integers(4):
            case 0:
                letters[place] = "" if len(text) > 1 else letters[place]
            case 1:
                letters[place] *= 2
            case 2 if place + 1 < len(letters):
                letters[place], letters[place + 1] = letters[place + 1], letters[place]
            case _:
                letters[place] = _LETTERS[random.integers(len(_LETTERS))]
    return "".join(letters)


def with_unknown_words(text: str, random: np.random.Generator) -> str:
    """With one word in ten replaced by one that nobody knows. Where words have no spaces between, by characters."""
    spaced = " " in text or len(text) < 20
    words = text.split(" ") if spaced else list(text)
    for place in np.flatnonzero(random.random(len(words)) < _UNKNOWN):
        made = "".join(_LETTERS[letter] for letter in random.integers(0, len(_LETTERS), max(1, len(words[place]))))
        words[place] = made if spaced else "\u3013"
    return (" " if spaced else "").join(words)


def _pixels(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> ChangeOfImages:
    """A change of each image or clip, (T, H, W, C) from 0 to 1, that leaves them in their range."""

    def changed(data: Captioned, columns: Sequence[str], random: np.random.Generator) -> Captioned:
        counted = data.numbers == "uint8"
        least, most = (0.0, 255.0) if counted else (float(data.values.min()), float(data.values.max()))
        values = np.empty_like(data.values)
        for a, b in pairwise(data.offsets):
            shares = (data.values[a:b].astype(np.float32) - least) / ((most - least) or 1.0)
            found = least + (most - least) * np.clip(change(shares, random), 0, 1)
            values[a:b] = np.rint(found) if counted else found
        return replace(data, values=values)

    return changed


def _blurred(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each pixel the mean of itself and the eight around it."""
    for axis in (1, 2):
        before, after = np.delete(x, -1, axis), np.delete(x, 0, axis)
        first, last = np.take(x, [0], axis), np.take(x, [-1], axis)
        x = (np.concatenate([first, before], axis) + x + np.concatenate([after, last], axis)) / 3
    return x


def _moved(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Moved by up to an eighth of its sides, all frames alike; what comes in is like the edge."""
    for axis in (1, 2):
        size = x.shape[axis]
        most = size // _MOVED
        x = np.take(x, np.clip(np.arange(size) - random.integers(-most, most + 1), 0, size - 1), axis)
    return x


SOUND: Mapping[str, Change] = {
    "loudness": _energies(lambda x, random: x + _LOUDER),
    "noise": _energies(_noisy),
    "band": _energies(_narrow),
    "shift": _energies(_later),
    "speed": _energies(_faster),
}
_CHANGES_OF_NUMBERS: Mapping[str, _OfNumbers] = {
    "scale": lambda x, spread, random: 1.5 * x,
    "offset": lambda x, spread, random: x + spread,
    "drift": lambda x, spread, random: x + spread * np.linspace(0, 1, len(x))[:, None],
    "noise": lambda x, spread, random: x + 0.2 * spread * random.standard_normal(x.shape),
    "missing": lambda x, spread, random: np.where(random.random((len(x), 1)) < _MISSING, np.nan, x),
}
NUMBERS = {name: _numbers(change) for name, change in _CHANGES_OF_NUMBERS.items()}
# What a forecast is asked for changes with its past, but noise in it would be noise in the truth.
SERIES = {name: _numbers(change, own=True) for name, change in _CHANGES_OF_NUMBERS.items() if name != "noise"}
TEXTS: Mapping[str, Change] = {
    "case": _texts(lambda text, random: text.upper()),
    "typos": _texts(mistyped),
    "unknown": _texts(with_unknown_words),
}
IMAGES: Mapping[str, ChangeOfImages] = {
    "dark": _pixels(lambda x, random: x / 2),
    "contrast": _pixels(lambda x, random: x.mean() + (x - x.mean()) / 2),
    "grain": _pixels(lambda x, random: x + _GRAIN * random.standard_normal(x.shape)),
    "blur": _pixels(_blurred),
    "moved": _pixels(_moved),
}
_WORDS = {
    "loudness": "20 dB louder",
    "band": "upper third of bands silent",
    "shift": "begins up to a quarter later",
    "speed": "up to a sixth faster or slower",
    "scale": "half as much again",
    "offset": "plus one standard deviation",
    "drift": "drifts by one standard deviation",
    "noise": "noise",
    "missing": "a tenth of the steps missing",
    "case": "all in capitals",
    "typos": "a typing error in 20 letters",
    "unknown": "a word in ten unknown",
    "dark": "half as bright",
    "contrast": "half the contrast",
    "grain": "noise in every pixel",
    "blur": "blurred",
    "moved": "moved by up to an eighth",
}
_KINDS: Mapping[str, Mapping[str, Callable[[Any, Sequence[str], np.random.Generator], Any]]] = {
    "sound": SOUND,
    "numbers": NUMBERS,
    "series": SERIES,
    "texts": TEXTS,
    "images": IMAGES,
}


@dataclass(frozen=True)
class Stressed:
    """What a task hands over to be changed and evaluated.

    Attributes:
        data: Of which no part was learned from.
        columns: Those that may change, by kind: "sound", "numbers", "series", "texts", or "images" of a `Captioned`.
        evaluate: Metrics of such data, with what `verdict.judged` gave.
    """

    data: Sequences | Captioned
    columns: Mapping[str, Sequence[str]]
    evaluate: Callable[[Any], Mapping[str, Any]]


def chosen(known: Collection[str], wanted: Sequence[str], task: str) -> list[str]:
    """The changes that are wanted, or all. OptionError for one that does not go with such data."""
    if not known:
        raise OptionError(f"there is no stress test for such data of the task '{task}'. Leave out --stress")
    for name in wanted:
        if name not in known:
            raise OptionError(suggest("stress test of such data", name, known))
    return [name for name in known if not wanted or name in wanted]


def card(stressed: Stressed, wanted: Sequence[str], task: str, seed: int = 0) -> dict[str, Any]:
    """The judgement of the data as they are, and under each change.

    Args:
        wanted: Names of changes; all that go with the data, if empty.
        seed: Of what is drawn.

    Returns:
        "as it is" and each change -> what `verdict.judged` says of the strongest plain method.

    Raises:
        OptionError: A change does not go with the data, or they lack what a model is judged by.
    """
    columns = {kind: tuple(names) for kind, names in stressed.columns.items() if names}
    known = {name: kind for kind in columns for name in _KINDS[kind]}
    changes = chosen(known, wanted, task)  # before anything is evaluated, which may take minutes
    found = {"as it is": stressed.evaluate(stressed.data)}
    if not found["as it is"].get("strongest_plain"):
        raise OptionError(
            "the model is not compared with a plain method on these data, so there is nothing to compare under stress. "
            "Give data with targets, and a model whose training has finished"
        )
    for place, name in enumerate(changes):
        kind, random = known[name], np.random.default_rng([seed, place])
        found[name] = stressed.evaluate(_KINDS[kind][name](stressed.data, columns[kind], random))
    return {name: metrics["strongest_plain"] for name, metrics in found.items()}


def card_rows(found: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The judgement under each change: what is changed, then the figure and how much better it is than without the
    change, of the model and of the plain method."""
    first = found["as it is"]
    sign = 1 if MEASURES[first["measure"]][1] else -1

    def row(name: str) -> tuple[str, list[str]]:
        at, cells = found[name], []
        for key in ("model", "figure"):
            gained = round(sign * (at[key] - first[key]), 3) + 0.0  # which makes -0 0
            cells += [f"{at[key]:.4g}", "" if name == "as it is" else f"{gained:+.3f}"]
        return _WORDS.get(name, name), cells

    return [row(name) for name in found]


def card_report(found: Mapping[str, Any]) -> str:
    """A row for each change: the model, the strongest plain method, and how much each lost."""
    first = found["as it is"]
    plain = str(first["name"])
    heads = ["model", "gained", plain[:22], "gained"]
    widths = [8, 9, max(9, len(plain[:22]) + 2), 9]
    return "\n".join(
        [
            *table(heads, card_rows(found), left=33, widths=widths, corner=MEASURES[first["measure"]][0]),
            "Gained: how much better than as it is; below 0, how much worse.",
        ]
    )
