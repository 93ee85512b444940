"""The training history: one JSON object per line, appended and flushed during training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import atomic


class History:
    """An open history file.

    Lines have `kind` ("train", "evaluation", "look" or "race"), `step` (finished optimiser steps), `epoch` (passes over
    the training data, with a fraction), `train_loss` (nats, mean since the previous line of its kind),
    `validation_loss` (nats, evaluations only), `learning_rate`, `gradient_norm` (of this step, before clipping) and
    `seconds` (of training, over all sessions). Those of a race, which come first, have the steps, rate and validation
    loss of one rate; null for a loss that was no number. A look has the figures of `watch.look` besides; which
    validations have one depends on how long looking takes. All else but `seconds` are the same bits on every run with
    the same seed and thread count, unless the run is given a time.

    Args:
        path: The file.
        keep: The lines to start with; all others are dropped.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, keep: list[str]):
        with atomic(path) as temporary:
            temporary.write_text("".join(line + "\n" for line in keep), encoding="utf-8")
        self._file = path.open("ab", buffering=0)

    def write(self, **values: Any) -> None:
        """Append one line.

        Raises:
            OSError: The disk is full.
        """
        rest = memoryview(json.dumps(values, allow_nan=False).encode() + b"\n")
        while rest:  # a disk that fills up takes a part first, and raises on the next call
            rest = rest[self._file.write(rest) or 0 :]

    def close(self) -> None:
        self._file.close()


def lines_until(path: Path, step: int, evaluated: int, raced: int = 0) -> list[str]:
    """The complete lines of a history up to a checkpoint.

    Args:
        path: The history; a missing one has no lines.
        step: Finished steps at the checkpoint.
        evaluated: Step of its last evaluation: one may still be due at `step` itself.
        raced: Lines of a race, which all others come after.
    """
    if not path.exists():
        return []
    kept: list[str] = []
    for text, line in _parsed(path):
        if line["kind"] == "race":
            if len(kept) == raced:
                break
        elif line["step"] > (evaluated if line["kind"] in ("evaluation", "look") else step):
            break
        kept.append(text)
    return kept


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a history; a last line that was cut short is left out.

    Raises:
        DataError: There is no such file, or it is not a training history.
    """
    try:
        lines = [line for _, line in _parsed(Path(path))]
    except OSError as error:
        raise DataError(f"cannot read the training history {path}: {error.strerror or error}.") from error
    if not lines:
        raise DataError(f"{path} holds no line of a training history. Train at least until the first evaluation.")
    return lines


def by_name(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The evaluations of a history as lists of one length, by the names that Keras gives them.

    "epoch" and "step" (of training, when it was evaluated), "loss" and "val_loss", and "learning_rate". Where nothing
    was held out, the weights were chosen on training data: "evaluation_loss" stands in the place of "val_loss".
    """
    lines = [line for _, line in _parsed(Path(path)) if line["kind"] == "evaluation"]
    held_out = all(loss_name(True) in line for line in lines)
    names = {
        "epoch": "epoch",
        "step": "step",
        "loss": "train_loss",
        "val_loss" if held_out else "evaluation_loss": loss_name(held_out),
        "learning_rate": "learning_rate",
    }
    return {name: [line[key] for line in lines] for name, key in names.items()}


def loss_name(held_out: bool) -> str:
    """What a line calls the loss that chooses the best weights."""
    return "validation_loss" if held_out else "evaluation_loss"


def _parsed(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each line as text and as an object, up to the first that is not one of ours."""
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
            if not isinstance(line["step"], int) or line["kind"] not in ("train", "evaluation", "look", "race"):
                break
        except (ValueError, KeyError, TypeError, RecursionError):
            break
        found.append((text, line))
    return found
