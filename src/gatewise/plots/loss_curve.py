"""The loss curve of a training run, from its history."""

from __future__ import annotations

import os
from typing import Any

from ..training.history import loss_name, read
from .figure import figure

_TRAINING, _VALIDATION = "#8fb3d9", "#c0392b"


def plot(
    history: str | os.PathLike[str],
    picture: str | os.PathLike[str],
    *,
    loss: str = "loss (nats per target)",
    validated: str | None = None,
    regularised: bool = False,
) -> None:
    """Draw training and validation loss against the step, with the best validation marked.

    Args:
        history: The file that `train` wrote.
        picture: The .png or .svg file to write.
        loss: What the training loss is, with its unit.
        validated: What validation measures, where that is not the loss: it has an axis of its own then.
        regularised: Whether the training loss has something in it, dropout for example, that validation has not.

    Raises:
        DataError: The history is missing, empty or another kind of file.
        MissingExtra: matplotlib is not installed.
        OptionError: The picture is to be neither PNG nor SVG.
    """
    with figure(picture) as drawn:
        lines = read(history)
        evaluations = [line for line in lines if line["kind"] == "evaluation"]
        # Training lines are more detailed than evaluations; a very short run may have none.
        training = [line for line in lines if line["kind"] == "train"] or evaluations

        drawn.set_size_inches(7.2, 4.2)
        axes = drawn.add_subplot()
        name = "training (regularised)" if regularised else "training"
        handles = axes.plot(*_points(training, "train_loss"), color=_TRAINING, linewidth=1.2, label=name)
        right = axes.twinx() if validated is not None else axes
        if evaluations:
            handles += _draw_evaluation(right, evaluations)
        axes.set_xlabel("step")
        axes.set_ylabel(loss)
        if validated is not None:
            right.set_ylabel(validated)
        axes.grid(alpha=0.25)
        for each in {axes, right}:
            each.spines[["top"] if validated is not None else ["top", "right"]].set_visible(False)
        right.legend(handles=handles, frameon=False)


def _draw_evaluation(axes: Any, evaluations: list[dict[str, Any]]) -> list[Any]:
    """Its curve and its best point; returns both. What was evaluated on training data is not called validation."""
    held_out = loss_name(True) in evaluations[0]
    name = loss_name(held_out)
    best = min(evaluations, key=lambda line: line[name])
    curve = axes.plot(
        *_points(evaluations, name),
        color=_VALIDATION,
        linewidth=1.8,
        marker="o",
        markersize=3,
        label="validation" if held_out else "evaluated on training data",
    )
    star = axes.plot(
        best["step"],
        best[name],
        linestyle="none",
        marker="*",
        markersize=13,
        color=_VALIDATION,
        markeredgecolor="white",
        label=f"best: {best[name]:.4g} at step {best['step']}",
    )
    return [*curve, *star]


def _points(lines: list[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    return [line["step"] for line in lines], [line[name] for line in lines]
