"""What a table of trainings says about the search: where its rungs should stand, and which knobs matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .replay import Table, place_of

SHARES = (0.0625, 0.125, 0.25, 0.5, 0.75)


def ranks(values: list[float]) -> np.ndarray:
    """From 0; equal values share their mean rank."""
    array = np.asarray(values)
    below = (array[:, None] > array[None]).sum(1)
    return np.asarray(below + ((array[:, None] == array[None]).sum(1) - 1) / 2)


def correlation(a: list[float], b: list[float]) -> float:
    """Spearman's; NaN where one is constant."""
    x, y = ranks(a), ranks(b)
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else float("nan")


def of_shares(table: Table) -> dict[str, dict[str, float]]:
    """By share of the plan: Spearman's correlation of the best loss until then with that at the end, and which part of
    the best tenth of the settings is then among the better half."""
    rows = [own[0] for own in table.rows.values() if own[0]["losses"]]
    ends = [min(row["losses"]) for row in rows]
    best = np.argsort(ends)[: max(1, round(len(rows) / 10))]
    found = {}
    for share in SHARES:
        until = [_until(row, share) for row in rows]
        better = ranks(until) < len(rows) / 2
        found[f"{share:g}"] = {"correlation": correlation(until, ends), "kept": float(better[best].mean())}
    return found


def _until(row: dict[str, Any], share: float) -> float:
    """The best loss until the first validation at a share."""
    reached = next(place for place, own in enumerate(row["shares"]) if own >= share - 1e-9)
    return min(row["losses"][: reached + 1])


def of_knobs(table: Table) -> dict[str, dict[str, float]]:
    """By knob: Spearman's correlation of its value with the final loss over the settings, the default apart, and the
    median of the best tenth; a value as its place in the range, from 0 to 1, as is the default's."""
    numbers = [number for number in table.settings if number and np.isfinite(table.losses[number])]
    losses = [table.losses[number] for number in numbers]
    best = [numbers[place] for place in np.argsort(losses)[: max(1, round(len(numbers) / 10))]]
    found = {}
    for knob in table.space.knobs:
        places = {number: place_of(knob, table.settings[number][knob.name]) for number in [0, *numbers]}
        found[knob.name] = {
            "correlation": correlation([places[number] for number in numbers], losses),
            "best": float(np.median([places[number] for number in best])),
            "default": places[0],
        }
    return found
