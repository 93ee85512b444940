"""What a unit may follow: nameable things about each step of a text, of numbers, or of tags.

Each function makes one array of a number per step for each name. What always has the same value is left out, unless
there are other rows in which it may not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Array = np.ndarray

_PAIRS = {"“": "”", "‘": "’", "「": "」", "『": "』", "《": "》", "«": "»"}
_BRACKETS = dict(zip(")]}）】", "([{（【", strict=True))  # closing -> opening
_ENDS = frozenset(".!?。！？")
_RECENT = 10  # steps of a running mean


def text_features(pieces: Sequence[str], constant: bool = False) -> dict[str, Array]:
    """Of a text, after each of its pieces was read: characters, or words with what stands before them.

    Features are ours to say, not the network's: "column" counts characters whatever the pieces are.

    Args:
        constant: Whether to keep what always has the same value.
    """
    reader = _Reader()
    found: dict[str, list[float]] = {}
    for place, piece in enumerate(pieces):
        for position, character in enumerate(piece):
            ahead = piece[position + 1 :] or (pieces[place + 1] if place + 1 < len(pieces) else "")
            reader.read(character, ahead[:1])
        for name, value in reader.features().items():
            found.setdefault(name, []).append(value)
    return _arrays(found, constant)


class _Reader:
    """Where in a text one is."""

    def __init__(self) -> None:
        self.before = ""
        self.straight = {'"': False, "'": False, "`": False}
        self.pairs = dict.fromkeys(_PAIRS, 0)
        self.brackets: list[str] = []
        self.column = self.indentation = self.in_word = self.words = self.characters = 0
        self.leading, self.comment = True, False

    def read(self, character: str, ahead: str) -> None:
        """One more character; `ahead` is the one after it, which tells an apostrophe from a quotation mark."""
        apostrophe = character == "'" and self.before.isalnum() and (ahead.isalnum() or not self.straight["'"])
        if character in self.straight and not apostrophe:
            self.straight[character] = not self.straight[character]
        for opening, closing in _PAIRS.items():
            depth = self.pairs[opening] + (character == opening) - (character == closing)
            self.pairs[opening] = max(depth, 0)
        if character in _BRACKETS.values():
            self.brackets.append(character)
        elif self.brackets and _BRACKETS.get(character) == self.brackets[-1]:
            self.brackets.pop()
        self._place(character)
        self.before = character

    def _place(self, character: str) -> None:
        if character == "\n":
            self.column = self.indentation = 0
            self.leading, self.comment = True, False
        else:
            self.column += 1
            self.leading = self.leading and character in " \t"
            self.indentation += self.leading
            self.comment = self.comment or character == "#"
        starts = character.isalnum() and not self.in_word
        self.in_word = self.in_word + 1 if character.isalnum() else 0
        if character in _ENDS:
            self.words = self.characters = 0
        else:
            self.words += starts
            self.characters += 1

    def features(self) -> dict[str, float]:
        return {
            **{f"inside {quote}…{quote}": float(inside) for quote, inside in self.straight.items()},
            **{f"inside {opening}…{_PAIRS[opening]}": float(depth > 0) for opening, depth in self.pairs.items()},
            "depth of brackets": len(self.brackets),
            "column": self.column,
            "indentation": self.indentation,
            "at the beginning of a line": float(self.leading),
            "position in the word": self.in_word,
            "words since the sentence began": self.words,
            "characters since the sentence began": self.characters,
            "capital letter": float(self.before.isupper()),
            "digit": float(self.before.isdigit()),
            "white space": float(self.before.isspace()),
            "after # in the line": float(self.comment),
        }


def number_features(
    values: Array,
    names: Sequence[str] = (),
    period: float | None = None,
    missing: Array | None = None,
    times: Array | None = None,
    constant: bool = False,
) -> dict[str, Array]:
    """Of a series of numbers.

    Args:
        values: (T, C).
        names: Of the channels; numbers from 1 if omitted.
        period: Steps after which the series begins anew, as 24 of hours: its phase is a feature.
        missing: (T, C) booleans: values that are not there.
        times: (T,) datetime64: the hour of the day, the day of the week and of the year are features.
        constant: Whether to keep what always has the same value.
    """
    T, C = values.shape
    found: dict[str, Sequence[float] | Array] = {"position": np.arange(T)}
    for channel, name in enumerate(names or map(str, range(1, C + 1))):
        level = values[:, channel]
        slope = np.diff(level, prepend=level[:1])
        rising = slope > 0
        peaks = np.concatenate([[False], rising[:-1] & (slope[1:] <= 0)])  # known one step after the peak
        found[f"level of {name}"] = level
        found[f"slope of {name}"] = slope
        found[f"mean of the last {_RECENT} of {name}"] = _running_mean(level)
        found[f"steps since {name} changed"] = _since(slope != 0)
        found[f"steps since the last peak of {name}"] = _since(peaks)
        found[f"sign of {name}"] = (level > 0).astype(float)
        if missing is not None:
            found[f"steps for which {name} is missing"] = _since(~missing[:, channel])
    if period is not None:
        turn = 2 * np.pi * np.arange(T) / period
        found |= {"phase, sine": np.sin(turn), "phase, cosine": np.cos(turn)}
    if times is not None:
        found |= _calendar(np.asarray(times, "datetime64[s]"))
    return _arrays(found, constant)


def _running_mean(values: Array) -> Array:
    """(T,) of each value and those before it, at most `_RECENT`."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _RECENT, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _calendar(times: Array) -> dict[str, Array]:
    days = times.astype("datetime64[D]")
    weekday = (days.astype(np.int64) + 3) % 7  # 1970 began on a Thursday
    turns = {
        "hour of the day": (times - days).astype(np.float64) / 86_400,
        "day of the year": (days - times.astype("datetime64[Y]")).astype(np.float64) / 365.25,
    }
    found: dict[str, Array] = {"weekend": (weekday >= 5).astype(float)}
    for name, turn in turns.items():
        found |= {f"{name}, sine": np.sin(2 * np.pi * turn), f"{name}, cosine": np.cos(2 * np.pi * turn)}
    return found


def tag_features(tags: Sequence[str], outside: str = "O", constant: bool = False) -> dict[str, Array]:
    """Of tagged steps: inside an entity, inside one of each type, and how many steps it has had.

    Args:
        tags: As data have them, "B-PER"; the type is what stands behind the first hyphen, or the whole tag.
        outside: The tag of what is no entity.
        constant: Whether to keep what always has the same value.
    """
    inside = [tag != outside for tag in tags]
    types = [tag.partition("-")[2] or tag for tag in tags]
    found: dict[str, Sequence[float] | Array] = {"inside an entity": [float(each) for each in inside]}
    for kind in sorted({kind for kind, each in zip(types, inside, strict=True) if each}):
        found[f"inside {kind}"] = [float(each and own == kind) for each, own in zip(inside, types, strict=True)]
    begins = [
        not each or tag.startswith("B-") or not inside[place - 1] or types[place - 1] != types[place]
        for place, (tag, each) in enumerate(zip(tags, inside, strict=True))
    ]
    found["steps of the entity so far"] = _since(np.array(begins)) + np.array(inside)
    return _arrays(found, constant)


def of_rows(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """(T, B) of each feature that varies, of rows with what is constant in them; 0 where a row has none."""
    T, found = max((len(own) for row in rows for own in row.values()), default=0), dict[str, Array]()
    for place, row in enumerate(rows):
        for name, own in row.items():
            found.setdefault(name, np.zeros((T, len(rows))))[: len(own), place] = own
    every = {name: np.concatenate([row.get(name, np.zeros(1)) for row in rows]) for name in found}
    return {name: values for name, values in found.items() if (every[name] != every[name][0]).any()}


def _since(events: Array) -> Array:
    """(T,) steps since the last event, or since the beginning."""
    steps = np.arange(len(events))
    last = np.maximum.accumulate(np.where(events, steps, 0))
    return (steps - last).astype(float)


def _arrays(found: Mapping[str, Sequence[float] | Array], constant: bool) -> dict[str, Array]:
    arrays = {name: np.asarray(values, float) for name, values in found.items()}
    return {name: values for name, values in arrays.items() if len(values) and (constant or np.ptp(values) > 0)}
