"""The `.ts` files of the UCR and UEA archives of time series: one case per line, a class or a number at its end."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ...errors import DataError, suggest
from ..sequences import Column, Sequences, category_column, offsets_of
from .files import Source, read_lines

Fail = Callable[[str], DataError]  # an error that already knows file and line

# Directives that are true or false, perhaps with values behind it; those that carry a whole number; and the rest.
FLAGS = ("timestamps", "missing", "univariate", "equallength", "classlabel", "targetlabel")
NUMBERS = ("dimensions", "dimension", "serieslength")
DIRECTIVES = (*FLAGS, *NUMBERS, "problemname", "data")

PAIR = re.compile(r"\(([^()]*),([^(),]*)\)")


@dataclass
class Header:
    """What the lines before @data promise; None where they are silent."""

    timestamps: bool = False
    univariate: bool | None = None
    dimensions: int | None = None
    equal_length: bool = False
    series_length: int | None = None
    classes: tuple[str, ...] | None = None
    target: bool = False


def read_ts(source: Source, encoding: str = "utf-8") -> Sequences:
    """The cases of a `.ts` file or its gzip.

    `?` and NaN are missing values. What the header says of dimensions, lengths and classes is checked against every
    case; @missing is not, for many files get it wrong and nothing depends on it.

    Args:
        source: The file, or "-".
        encoding: Python's name for the encoding.

    Returns:
        Per step: `channels`, (steps, C) float32, one channel per dimension, for they have no names; with @timeStamps
        true also `time`, of kind "time" for ISO dates (UTC where they name no zone) or "number".
        Per case: `label`, a category in the order of @classLabel, or a number with @targetLabel; neither without both.

    Raises:
        DataError: names the line, and the dimension and value in it, that break the format or the header's word.

    Source: the format's description in the sktime and aeon projects; Bagnall et al. (2018), arXiv:1811.00075.
    """
    name, lines = read_lines(source, encoding)
    header, first = _header(name, lines)
    cases: list[np.ndarray] = []
    times: list[np.ndarray] = []
    labels: list[str | None] = []
    numbers: list[int] = []
    for number in range(first, len(lines) + 1):
        line = lines[number - 1].strip()
        if not line or line[0] in "#%":
            continue

        def fail(what: str, number: int = number) -> DataError:
            return DataError(f"{name}, line {number}{what}")

        if header.timestamps:
            timestamps, values, label = _timestamped(line, header, fail)
            times.append(timestamps)
        else:
            values, label = _plain(line, header, fail)
        _check_shape(values, cases, header, fail)
        cases.append(values)
        labels.append(_label(label, header, fail))
        numbers.append(number)
    if not cases:
        raise DataError(f"{name} has no case after @data. Each case is one line of numbers separated by commas.")
    steps = {"channels": Column("channels", "number", np.concatenate(cases))}
    if header.timestamps:
        steps["time"] = _time(times, name, numbers)
    static = {}
    if header.classes is not None:
        static["label"] = category_column("label", labels, header.classes)
    elif header.target:
        values = np.array([math.nan if label is None else float(label) for label in labels], np.float32)
        static["label"] = Column("label", "number", values)
    lengths = [len(case) for case in cases]
    return Sequences(offsets_of(lengths), steps, static, name, np.repeat(np.array(numbers), lengths))


def _header(name: str, lines: list[str]) -> tuple[Header, int]:
    """What the header says, and the number of the line after @data."""
    header = Header()
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or line.lstrip()[0] in "#%":
            continue
        directive = words[0].removeprefix("@").lower()
        where = f"{name}, line {number}"
        if not words[0].startswith("@"):
            raise DataError(
                f"{where}: '{words[0][:40]}' stands before @data. A .ts file opens with lines such as @data."
            )
        if directive == "data":
            return header, number + 1
        if directive not in DIRECTIVES:
            raise DataError(f"{where}: {suggest('directive of .ts files', directive, DIRECTIVES)}")
        value = words[1].lower() if len(words) > 1 else ""
        if directive in FLAGS and value not in ("true", "false"):
            raise DataError(f"{where}: @{directive} is '{value}', but can only be true or false.")
        if directive in NUMBERS and not (value.isdecimal() and int(value) > 0):
            raise DataError(f"{where}: @{directive} is '{value}', but must be a whole number above 0.")
        match directive:
            case "timestamps":
                header.timestamps = value == "true"
            case "univariate":
                header.univariate = value == "true"
            case "dimensions" | "dimension":
                header.dimensions = int(value)
            case "equallength":
                header.equal_length = value == "true"
            case "serieslength":
                header.series_length = int(value)
            case "targetlabel":
                header.target = value == "true"
            case "classlabel" if value == "true":
                header.classes = tuple(words[2:])
                if not header.classes or len(set(header.classes)) < len(header.classes):
                    what = "names one class twice" if header.classes else "names no class"
                    raise DataError(f"{where}: @classLabel true {what}. Write @classLabel true first second ...")
    raise DataError(
        f"{name} has no line @data, so it is not a complete .ts file. A table of numbers is better named .csv."
    )


def _plain(line: str, header: Header, fail: Fail) -> tuple[np.ndarray, str | None]:
    """(T, C) values of one case, and its label."""
    parts = line.split(":")
    label = parts.pop().strip() if header.classes is not None or header.target else None
    if not parts:
        raise fail(f": no label after '{line[:40]}'. Write values, a colon and the label, or @classLabel false.")
    rows = [_numbers(part.split(","), dimension, fail) for dimension, part in enumerate(parts, 1)]
    return _stack(rows, fail), label


def _numbers(words: list[str], dimension: int, fail: Fail) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
        for place, word in enumerate(words, 1):
            try:
                values.append(math.nan if word.strip() == "?" else float(word))
            except ValueError:
                where = f", dimension {dimension}, value {place}"
                raise fail(f"{where}: '{word.strip()[:40]}' is not a number. A missing value is written ?") from None
    return values


def _stack(rows: list[list[float]], fail: Fail) -> np.ndarray:
    """(T, C) of C dimensions of T values."""
    for dimension, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise fail(
                f", dimension {dimension} has {len(row)} values, but dimension 1 has {len(rows[0])}. "
                "All dimensions of a case have the same steps; fill up with ?"
            )
    exact = np.array(rows, np.float64).T
    too_large = np.abs(exact) > np.finfo(np.float32).max  # false where missing
    if too_large.any():
        step, dimension = np.argwhere(too_large)[0]
        where = f", dimension {dimension + 1}, value {step + 1}"
        raise fail(f"{where}: {exact[step, dimension]} is outside what float32 holds. A missing value is written ?")
    return np.ascontiguousarray(exact, np.float32)


def _timestamped(line: str, header: Header, fail: Fail) -> tuple[np.ndarray, np.ndarray, str | None]:
    """(T,) times, (T, C) values and the label of a case written as (time,value),(time,value):...:label."""
    body, label = line, None
    if header.classes is not None or header.target:
        body, _, label = line.rpartition(":")
        label = label.strip()
    rows: list[list[float]] = []
    timestamps: list[list[str]] = []
    # Times hold colons too, so dimensions end where a parenthesis closes before one.
    for dimension, part in enumerate(re.split(r"(?<=\))\s*:", body), 1):
        left = PAIR.sub("", part).replace(",", "").strip()
        pairs = PAIR.findall(part)
        if left or not pairs:
            raise fail(f", dimension {dimension}: '{left[:40]}' is not (time,value). Or is @timeStamps false?")
        timestamps.append([time.strip().strip("\"'") for time, _ in pairs])
        rows.append(_numbers([value for _, value in pairs], dimension, fail))
        if len(timestamps[-1]) == len(timestamps[0]) and timestamps[-1] != timestamps[0]:
            place = next(i for i, (a, b) in enumerate(zip(timestamps[-1], timestamps[0], strict=True)) if a != b)
            raise fail(
                f", dimension {dimension}, value {place + 1}: time {timestamps[-1][place]}, but "
                f"{timestamps[0][place]} in "
                "dimension 1. All dimensions of a case have the same times."
            )
    values = _stack(rows, fail)
    return _times(timestamps[0], fail), values, label


def _times(words: list[str], fail: Fail) -> np.ndarray:
    """(T,) float64 or datetime64[us], rising. All are what the first is."""
    read: Callable[[str], float | datetime] = float
    dtype, kind = "f8", "number, as the first time is"
    try:
        float(words[0])
    except ValueError:
        read, dtype, kind = _moment, "datetime64[us]", "time: neither a number nor an ISO date"
    found = []
    for place, word in enumerate(words, 1):
        try:
            found.append(read(word))
        except ValueError:
            raise fail(f", value {place}: '{word[:40]}' is not a {kind}.") from None
    times = np.array(found, dtype)
    steps = np.diff(times)
    rising = steps > np.zeros(1, steps.dtype)
    if not rising.all():
        place = int(np.argmin(rising)) + 1
        raise fail(f", value {place + 1}: time {words[place]} does not come after {words[place - 1]}.")
    return times


def _moment(word: str) -> datetime:
    """An ISO date, in UTC if it names a zone."""
    moment = datetime.fromisoformat(word)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _time(times: list[np.ndarray], name: str, numbers: list[int]) -> Column:
    kinds = [time.dtype.kind for time in times]
    if len(set(kinds)) > 1:
        number = numbers[next(i for i, kind in enumerate(kinds) if kind != kinds[0])]
        raise DataError(f"{name}, line {number}: dates and numbers as times in one file. Use one of them throughout.")
    return Column("time", "time" if kinds[0] == "M" else "number", np.concatenate(times))


def _check_shape(values: np.ndarray, cases: list[np.ndarray], header: Header, fail: Fail) -> None:
    steps, channels = values.shape
    declared = header.dimensions or (1 if header.univariate else None)
    if declared is None and cases:
        declared = cases[0].shape[1]
    if declared is not None and channels != declared:
        # The commonest reason: a label where the header promises none, or none where it promises one.
        hint = "Is @classLabel right?" if abs(channels - declared) == 1 else "Is a line broken?"
        raise fail(f" has {channels} dimensions, but should have {declared}. {hint}")
    length = header.series_length if header.equal_length else None
    if length is None and header.equal_length and cases:
        length = len(cases[0])
    if length is not None and steps != length:
        raise fail(f" has {steps} values per dimension, not {length} as @equalLength true says.")


def _label(label: str | None, header: Header, fail: Fail) -> str | None:
    if label is None or label == "?":
        return None
    if header.classes is not None and label not in header.classes:
        raise fail(f": {suggest('class', label[:40], header.classes)} @classLabel names them all.")
    if header.target:
        try:
            fine = math.isfinite(float(label))
        except ValueError:
            fine = False
        if not fine:
            raise fail(f": the target '{label[:40]}' is not a number. A missing one is written ?")
    return label
