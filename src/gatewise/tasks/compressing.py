"""Compress a model of any task: its matrices in fewer bytes, and what that costs on the user's data."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from .. import bundle, checks
from ..compression import KINDS, Compressed, Cost
from ..errors import DataError, OptionError, suggest
from . import find
from .verdict import MEASURES

TOLERANCE = 0.01


@dataclass(frozen=True)
class Compression:
    """What `compress` did.

    Attributes:
        weights: What the matrices are held in.
        bytes_before, bytes_after: Sizes of the files.
        cost: What it cost on data of the user; None without data.
    """

    weights: str
    bytes_before: int
    bytes_after: int
    cost: Cost | None


def compress(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    weights: Literal["float16", "int8"],
    data: Any = None,
    *,
    tolerance: float = TOLERANCE,
    force: bool = False,
    csv: Mapping[str, Any] | None = None,
    **reading: Any,
) -> Compression:
    """Write a smaller model file, which is used like any other.

    "float16" halves it: its numbers are read as float32, rounded. "int8" holds whole numbers and a scale for each row
    of a matrix, in a quarter of the bytes, and the engine multiplies whole numbers (see `native.streams.Streams`).

    Args:
        path: The model file, of any task.
        out: The file to write.
        weights: "float16" or "int8".
        data: What the model is measured on before and after, as its `evaluate` takes it.
        tolerance: How much worse its own figure may become, as a share of it.
        force: Replace `out` if it is there.
        csv: Options that say how CSV files are written.
        reading: Further arguments of `evaluate`.

    Raises:
        OptionError: The figure becomes worse than that, the model has no network, or it is compressed.
        ModelFileError: The file is no model, or `out` cannot be written.
        DataError: The data cannot be read, or hold nothing to measure.

    Example:
        >>> gatewise.compress("alice.gatewise", "small.gatewise", "int8", "alice.txt").bytes_after
    """
    if weights not in KINDS:
        raise OptionError(f"weights: {suggest('kind of weights', weights, KINDS)}")
    if hasattr(data, "read") or isinstance(data, Iterator):
        raise OptionError("data are read twice, before and after, which these cannot be. Name a file")
    checks.number("tolerance", tolerance, "0 or more", lambda value: value >= 0)
    bundle.check_name(out)
    bundle.writable(out, force)
    estimator = find(str(bundle.read_header(path).document.get("task")))
    small = estimator.load(path)
    if small.compressed_ is not None:
        raise OptionError(
            f"'{path}' is compressed already, to {small.compressed_.weights}. Give the model that it was made from"
        )
    if small._net is None:
        raise OptionError(f"'{path}' has no network, only a plain method, so there are no weights to compress")
    small.compressed_ = Compressed(weights)
    if data is not None:
        with TemporaryDirectory() as folder:
            small.save(trial := Path(folder) / "trial.gatewise")
            before, after = (
                estimator.load(file).set_params(**(csv or {})).evaluate(data, **reading) for file in (path, trial)
            )
        cost = _cost(before, after, _name(data))
        _check_cost(cost, tolerance, weights)
        small.compressed_ = Compressed(weights, cost)
    small.save(out)
    return Compression(weights, os.path.getsize(path), os.path.getsize(out), small.compressed_.cost)


def _name(data: Any) -> str:
    """What data are called: their files, without folders."""
    paths = data if isinstance(data, list | tuple) else [data]
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        return "data"
    return ", ".join(Path(path).name for path in paths)


def _cost(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> Cost:
    """The figure that the model is judged by, or where it is not, the first one that it has, in two metrics."""
    if judged := before.get("strongest_plain"):
        measure, part = judged["measure"], judged["part"]
        return Cost(measure, part, name, judged["model"], after["strongest_plain"]["model"])
    for part in ("test", "validation", "all", "train"):
        found = before.get(part) or {}
        for measure in MEASURES:
            if isinstance(found.get(measure), float) and math.isfinite(found[measure]):
                return Cost(measure, part, name, found[measure], after[part][measure])
    raise DataError(f"{name} holds nothing to measure the model on. Leave the data out, or give others")


def _check_cost(cost: Cost, tolerance: float, weights: str) -> None:
    """OptionError if the model became worse than that."""
    name, more_is_better = MEASURES[cost.measure]
    worse = cost.before - cost.after if more_is_better else cost.after - cost.before
    if not math.isfinite(cost.after) or worse > tolerance * abs(cost.before):
        share = f"{worse / abs(cost.before):.2%} worse" if cost.before else "worse"
        raise OptionError(
            f"with weights of {weights}, {name} is {cost.after:.4g} where it was {cost.before:.4g}: {share}, and "
            f"tolerance is {tolerance:.2%}. Raise it, or use {'float16' if weights == 'int8' else 'the model as it is'}"
        )
