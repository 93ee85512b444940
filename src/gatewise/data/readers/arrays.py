"""Arrays and lists in Python, and `.npy` and `.npz` files, as sequences."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import DataError
from ..sequences import Column, Sequences, category_column, offsets_of, text_column
from .files import Source, Unpacking, name_of, read_bytes
from .labelled_text import several_labels

ZIP_KEYS = ("x", "y", "y_steps", "offsets", "lengths")


def from_arrays(x: Any, y: Any = None, *, per_step: bool = False, name: str = "arrays") -> Sequences:
    """Sequences of numbers, of texts or of tokens, with their labels.

    Args:
        x: One of
            an array (N, T, C) or (N, T): N sequences of T steps;
            N arrays or lists (T_i, C) or (T_i,), of any lengths;
            N strings: whole texts;
            N lists of strings: tokens.
        y: Labels, one per sequence: strings, whole numbers or booleans are categories, other numbers are numbers, None
            and NaN are missing; (N, L) numbers are L targets, and N sets or lists of strings are several labels each.
            With `per_step`, N lists of one label per step.
        per_step: Whether `y` labels steps. Never guessed, for (N, T) and (N, L) look alike.
        name: For messages.

    Returns:
        Per step `channels` (steps, C) float32, NaN where missing, or `token`; or per sequence `text`. And `label`.

    Raises:
        DataError: names the sequence (from 0), and the step or channel, that does not fit.
    """
    sequences = _inputs(x, name)
    if y is None:
        return sequences
    y = _listed(y, f"{name}, y")
    if len(y) != len(sequences):
        raise DataError(f"{name}: {len(sequences)} sequences in x, but {len(y)} labels in y. Each needs one.")
    if not per_step:
        static = {**sequences.static, "label": _labels(y, f"{name}, y")}
        return Sequences(sequences.offsets, sequences.steps, static, name)
    if not sequences.steps:
        raise DataError(f"{name}: labels per step need steps, but x holds whole texts. Give lists of tokens.")
    flat: list[Any] = []
    for index, (labels, length) in enumerate(zip(y, sequences.lengths, strict=True)):
        given = _listed(labels, f"{name}, y of sequence {index}")
        if len(given) != length:
            raise DataError(f"{name}, sequence {index}: {length} steps, but {len(given)} labels. Each step needs one.")
        flat.extend(given)
    column = _labels(flat, f"{name}, y, step")
    return Sequences(sequences.offsets, {**sequences.steps, "label": column}, sequences.static, name)


def read_arrays(source: Source) -> Sequences:
    """The sequences in a `.npy` or `.npz` file.

    `.npy` holds numbers (N, T, C) or (N, T). `.npz` holds under the name
        x: the same; or, with `offsets`, all sequences one after another, (steps, C) or (steps,);
        lengths: (N,), how many steps of each row of x count; the rest is padding;
        offsets: (N + 1,), rising from 0: sequence i is x[offsets[i] : offsets[i + 1]];
        y: labels per sequence, (N,) or (N, L); or y_steps: per step, laid out as x is.

    Raises:
        DataError: no such file; objects, which only pickle could read; names or shapes that do not fit.
    """
    name, held = name_of(source), load_arrays(source)
    unknown = [key for key in held if key not in ZIP_KEYS]
    if unknown or "x" not in held:
        has = f"holds '{unknown[0]}'" if unknown else "holds no 'x'"
        raise DataError(f"{name} {has}. The names it may have: {', '.join(ZIP_KEYS)}.")
    if ("y" in held and "y_steps" in held) or ("offsets" in held and "lengths" in held):
        pair = "y and y_steps" if "y_steps" in held else "offsets and lengths"
        raise DataError(f"{name} holds both {pair}. Keep one.")
    x, per_step = held["x"], "y_steps" in held
    y: Any = held.get("y")
    parts = _parts(held, name)
    if per_step:
        y = held["y_steps"]
        dimensions = 1 if "offsets" in held else 2
        if y.shape[:dimensions] != x.shape[:dimensions]:
            raise DataError(
                f"{name}: y_steps has the shape {y.shape}, which is not laid out as x of shape {x.shape} is."
            )
        y = y if parts is None else [y[part] for part in parts]
    return from_arrays(x if parts is None else [x[part] for part in parts], y, per_step=per_step, name=name)


def load_arrays(source: Source) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name; that of a `.npy` file as `x`.

    Raises:
        DataError: No such file, damage, or objects, which only pickle could read.
    """
    name, raw = name_of(source), read_bytes(source)
    try:
        if not raw.startswith((b"\x93NUMPY", b"PK")):
            raise ValueError("it does not begin as one")  # numpy would take it for a pickle
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers from Python 2, which are as good
            found = np.load(io.BytesIO(raw), allow_pickle=False)
        if not isinstance(found, np.ndarray):
            Unpacking(name, len(raw)).take(sum(entry.file_size for entry in found.zip.infolist()))
        arrays = {"x": found} if isinstance(found, np.ndarray) else {key: found[key] for key in found.files}
        if empty := next((key for key, array in arrays.items() if not array.dtype.itemsize), None):
            raise ValueError(f"the values of {empty} have no bytes")  # a few bytes could promise any number of them
        return arrays
    except DataError:
        raise
    except Exception as error:  # numpy reads a header as Python, and a damaged one raises anything from there
        reason = "it holds Python objects" if "allow_pickle" in str(error) else str(error).split("\n")[0].rstrip(".")
        raise DataError(
            f"{name} is not a NumPy file of plain numbers or strings: {reason}. Write it by np.savez."
        ) from None


def _parts(held: dict[str, np.ndarray], name: str) -> list[Any] | None:
    """Where in x each sequence lies, as indices; None if each row is one."""
    steps = len(held["x"]) if held["x"].ndim else 0
    if "offsets" in held:
        offsets = _whole(held["offsets"], f"{name}, offsets")
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != steps or (np.diff(offsets) < 0).any():
            raise DataError(f"{name}: offsets must rise from 0 to the {steps} steps of x, not {_short(offsets)}.")
        return [slice(start, stop) for start, stop in pairwise(offsets)]
    if "lengths" in held:
        lengths = _whole(held["lengths"], f"{name}, lengths")
        longest = held["x"].shape[1] if held["x"].ndim > 1 else 0
        wrong = np.flatnonzero((lengths < 0) | (lengths > longest))
        if len(wrong):
            raise DataError(f"{name}, sequence {wrong[0]}: length {lengths[wrong[0]]}, but x holds {longest} steps.")
        if len(lengths) != steps:
            raise DataError(f"{name}: {steps} rows of x, but {len(lengths)} lengths. Each row needs one.")
        return [(index, slice(0, length)) for index, length in enumerate(lengths)]
    return None


def _whole(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise DataError(f"{where}: one row of whole numbers is needed, not {values.dtype} of shape {values.shape}.")
    return values.astype(np.int64)


def _short(values: np.ndarray) -> str:
    return f"{', '.join(map(str, values[:5]))}{', ...' if len(values) > 5 else ''}" or "nothing"


def _listed(values: Any, where: str) -> list[Any]:
    """One entry per sequence or step."""
    if isinstance(values, np.ndarray) and values.ndim:
        return values.tolist() if values.ndim == 1 else list(values)
    try:
        if isinstance(values, str | bytes):
            raise TypeError
        return list(values)
    except TypeError:
        raise DataError(f"{where}: {_what(values)} where a list or array is needed.") from None


def _what(value: Any) -> str:
    return f"{str(value)[:40]!r} ({type(value).__name__})"


def _inputs(x: Any, name: str) -> Sequences:
    if isinstance(x, np.ndarray) and x.dtype.kind not in "OUT":
        if x.ndim not in (2, 3):
            hint = " One sequence alone is [x]." if x.ndim == 1 else ""
            raise DataError(f"{name}: x has the shape {x.shape}, but must be (N, T) or (N, T, C).{hint}")
        count, length = x.shape[:2]
        if not x.size:
            raise DataError(f"{name}: x is empty: its shape is {x.shape}. Give at least one sequence.")
        return _of_channels(_numbers(x.reshape(count * length, -1), name, length), [length] * count, name)
    entries = _listed(x, f"{name}, x")
    kinds = [_kind(entry) for entry in entries]
    if "nothing" in kinds:
        raise DataError(f"{name}, sequence {kinds.index('nothing')}: no value. Leave it out, and what belongs to it.")
    if "empty" in kinds:
        raise DataError(f"{name}, sequence {kinds.index('empty')}: no steps. Leave it out.")
    for index, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise DataError(f"{name}, sequence {index}: {kind}, but sequence 0 is {kinds[0]}. All must be alike.")
    if not entries:
        raise DataError(f"{name}: x is empty. Give at least one sequence.")
    if kinds[0] == "a text":
        return Sequences(np.zeros(len(entries) + 1, np.int64), {}, {"text": text_column("text", entries)}, name)
    lengths: list[int] = []
    if kinds[0] == "tokens":
        for index, entry in enumerate(entries):
            for step, token in enumerate(entry):
                if not isinstance(token, str):
                    raise DataError(
                        f"{name}, sequence {index}, step {step}: {_what(token)} is not a token, but others are."
                    )
            lengths.append(len(entry))
        tokens = text_column("token", [str(token) for entry in entries for token in entry])
        return Sequences(offsets_of(lengths), {"token": tokens}, {}, name)
    pieces: list[np.ndarray] = []
    for index, entry in enumerate(entries):
        piece = _piece(entry, f"{name}, sequence {index}")
        if pieces and piece.shape[1] != pieces[0].shape[1]:
            raise DataError(
                f"{name}, sequence {index}: {piece.shape[1]} channels, but sequence 0 has {pieces[0].shape[1]}."
            )
        pieces.append(piece)
        lengths.append(len(piece))
    return _of_channels(np.concatenate(pieces), lengths, name)


def _kind(entry: Any) -> str:
    if isinstance(entry, str):
        return "a text"
    if entry is None or (isinstance(entry, float) and entry != entry):
        return "nothing"
    if not (entry.size if isinstance(entry, np.ndarray) else len(entry) if isinstance(entry, Sequence) else 1):
        return "empty"
    listed = isinstance(entry, Sequence) or (isinstance(entry, np.ndarray) and entry.ndim == 1)
    return "tokens" if listed and isinstance(entry[0], str) else "an array of numbers"


def _piece(entry: Any, where: str) -> np.ndarray:
    """(T, C) float32 of one sequence."""
    try:
        array = np.asarray(entry)
        array = array.astype(np.float64) if array.dtype.kind == "O" else array  # None becomes NaN
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: no array of numbers: {str(error).rstrip('.')}.") from None
    if array.ndim not in (1, 2):
        raise DataError(f"{where} has the shape {array.shape}, but must be (T,) or (T, C).")
    return _numbers(array.reshape(len(array), -1), where, None)


def _numbers(rows: np.ndarray, where: str, length: int | None) -> np.ndarray:
    """Rows as float32. With `length`, they are those of many sequences of that length."""
    if rows.dtype.kind not in "biuf":
        raise DataError(f"{where}: numbers are needed, not {rows.dtype}.")
    too_large = np.abs(rows.astype(np.float64, copy=False)) > np.finfo(np.float32).max  # false where missing
    if too_large.any():
        row, channel = np.argwhere(too_large)[0]
        place = f"step {row}" if length is None else f"sequence {row // length}, step {row % length}"
        value = rows[row, channel]
        raise DataError(f"{where}, {place}, channel {channel}: {value} is not finite in float32. Missing is NaN.")
    with np.errstate(invalid="ignore"):  # a signalling NaN is missing too
        return rows.astype(np.float32)


def _of_channels(rows: np.ndarray, lengths: list[int], name: str) -> Sequences:
    return Sequences(offsets_of(lengths), {"channels": Column("channels", "number", rows)}, {}, name)


def _labels(values: list[Any], where: str) -> Column:
    missing = [value is None or (isinstance(value, float) and value != value) for value in values]
    given = [value for value, gone in zip(values, missing, strict=True) if not gone]
    if given and all(isinstance(value, list | tuple | set | frozenset | np.ndarray) for value in values):
        if all(isinstance(label, str) for value in values for label in value):
            return several_labels("label", [list(value) for value in values])
        return Column("label", "number", _targets(values, where))
    if given and any(all(isinstance(value, kind) for value in given) for kind in (str, int | np.integer | np.bool_)):
        words = [None if gone else str(value) for value, gone in zip(values, missing, strict=True)]
        return category_column("label", words)
    for index, (value, gone) in enumerate(zip(values, missing, strict=True)):
        if not gone and (not isinstance(value, int | float | np.integer | np.floating) or not np.isfinite(value)):
            raise DataError(f"{where} {index}: {_what(value)} is not a label beside {_what(given[0])}.")
    return Column("label", "number", np.array([np.nan if v is None else v for v in values], np.float32))


def _targets(values: list[Any], where: str) -> np.ndarray:
    """(N, L) float32."""
    for index, value in enumerate(values):
        if np.shape(list(value)) != np.shape(list(values[0])):
            raise DataError(f"{where} {index}: {len(value)} values, but the first has {len(values[0])}.")
    try:
        return np.array([list(value) for value in values], np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: neither numbers nor lists of strings: {str(error).rstrip('.')}.") from None
