"""A picture of a series, its scores and its events."""

from __future__ import annotations

import os

import numpy as np

from ...data.tables.timezones import to_local
from ...metrics.detection import ranges
from ...plots.figure import figure
from .scoring import Event
from .series import Series

MOST_CHANNELS = 6  # drawn


def draw(
    series: Series,
    scores: np.ndarray,
    events: list[Event],
    picture: str | os.PathLike[str],
    *,
    threshold: float,
    time: str | None,
) -> None:
    """Channels of the first series above, its scores with their threshold below; events in red, anomalies in grey.

    Args:
        scores, events: Of that series.
        picture: A .png or .svg file to write, whole or not at all.
        time: Column of the timestamps; without it, steps are counted.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: The picture is to be neither PNG nor SVG.
    """
    with figure(picture) as drawn:
        from matplotlib.dates import ConciseDateFormatter

        values = series.values[0][:][:, :MOST_CHANNELS]
        time, when = series.time(time), np.arange(len(values))
        if time is not None:
            stamps = series.source.steps[time]
            when = to_local(stamps.values[: len(values)], stamps.zone)
        count = values.shape[1]
        drawn.set_size_inches(9, 2.2 + 1.3 * (count + 1))
        axes = drawn.subplots(count + 1, 1, sharex=True, squeeze=False)[:, 0]
        for axis, column, name in zip(axes, values.T, series.channels, strict=False):
            axis.plot(when, column, color="#34609a", linewidth=0.8)
            axis.set_ylabel(name)
        axes[-1].plot(when, scores, color="#5b5b5b", linewidth=0.8, label="score")
        if np.isfinite(threshold):
            axes[-1].axhline(
                threshold, color="#c0392b", linewidth=1, linestyle="--", label=f"threshold {threshold:.3g}"
            )
        axes[-1].set_ylabel("score")
        axes[-1].set_xlabel(time or "step")
        if time is not None:
            axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(axes[-1].xaxis.get_major_locator()))
        static = series.source.static.values()
        keys = ", ".join(f"{one.name} {one.strings()[0]}" for one in static if one.kind == "category")
        count = f"{len(events):,} event{'s' * (len(events) != 1)}" if events else "no events"
        drawn.suptitle(f"Anomaly scores of {keys or series.source.name}: {count}", fontsize="medium", wrap=True)
        normal = max(1.0, float(threshold)) if np.isfinite(threshold) else 1.0
        if scores.max() > 20 * normal:  # normal scores would be a flat line
            axes[-1].set_yscale("symlog", linthresh=normal)
        known = ranges(series.labels[0]) if series.labels is not None else []
        half = 0.5 if when.dtype.kind in "iu" else np.timedelta64(0)
        for axis in axes:
            for k, (first, last) in enumerate(known):
                label = "labelled anomaly" if k == 0 else None
                axis.axvspan(
                    when[first] - half, when[last] + half, color="#9aa0a6", alpha=0.35, linewidth=0, label=label
                )
            for k, event in enumerate(events):
                span = when[event.start] - half, when[event.end] + half
                # A line as well: an event of a few steps would be narrower than a pixel.
                axis.axvspan(*span, color="#c0392b", alpha=0.3, linewidth=0, label="event" if k == 0 else None)
                axis.axvline(when[event.peak], color="#c0392b", alpha=0.5, linewidth=0.8)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
            axis.margins(x=0.01)
        drawn.legend(*axes[-1].get_legend_handles_labels(), frameon=False, ncols=4, loc="outside lower center")
