"""The loss curve of a training run, from its history."""

from __future__ import annotations

import os

from ..training.history import read
from .figure import figure


def plot(
    history: str | os.PathLike[str], picture: str | os.PathLike[str], loss: str = "loss (nats per target)"
) -> None:
    """Draw training and validation loss against the step, with the best validation marked.

    Args:
        history: The file that `train` wrote.
        picture: The .png or .svg file to write.
        loss: What the axis is called; see `Estimator.loss_name`.

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
        axes.plot(*_points(training, "train_loss"), color="#8fb3d9", linewidth=1.2, label="training")
        if evaluations:
            best = min(evaluations, key=lambda line: line["validation_loss"])
            axes.plot(
                *_points(evaluations, "validation_loss"),
                color="#c0392b",
                linewidth=1.8,
                marker="o",
                markersize=3,
                label="validation",
            )
            axes.plot(
                best["step"],
                best["validation_loss"],
                linestyle="none",
                marker="*",
                markersize=13,
                color="#c0392b",
                markeredgecolor="white",
                label=f"best: {best['validation_loss']:.4g} at step {best['step']}",
            )
        axes.set_xlabel("step")
        axes.set_ylabel(loss)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)


def _points(lines: list[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    return [line["step"] for line in lines], [line[name] for line in lines]
