"""From a forecaster's network to points, quantiles and sample paths, in the normalised units of its windows.

Letters as in `architecture`; S sample paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .architecture import forward_direct, forward_steps, per_row, rows, step_features
from .heads import Draws, Head, Quantiles

Outputs = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


@np.errstate(all="ignore")  # damaged weights show in what comes out
def network_forecast(net: Any, head: Head, batch: Mapping[str, np.ndarray], samples: int, seed: int) -> Outputs:
    """Forecasts of a batch, float64.

    Args:
        net: The parts of `architecture`, on numpy's arrays.
        batch: A `Batch`, by the names of its fields.
        samples: How many to draw of a distribution, S.
        seed: Of these draws.

    Returns:
        The point forecast (B, C, H); quantiles (B, C, H, Q), or None; samples (S, B, C, H), or None.
    """
    rng = Draws(batch["past"], [seed])
    found = _at_once(net, head, batch, samples, rng) if net.shape.direct else _walked(net, head, batch, samples, rng)
    point, quantiles, drawn = (None if array is None else array.astype(np.float64) for array in found)
    assert point is not None
    return point, quantiles, drawn


def _at_once(net: Any, head: Head, batch: Mapping[str, np.ndarray], samples: int, rng: Draws) -> Outputs:
    out = forward_direct(net, batch)
    scale = np.broadcast_to(batch["scale"].astype(out.dtype)[..., None], out.shape[:-1])
    point = head.point(out, scale)
    if isinstance(head, Quantiles):
        return point, head.quantiles(out), None
    many = np.broadcast_to(out[:, None], (len(out), samples, *out.shape[1:]))
    return point, None, np.moveaxis(head.draw(many, scale[:, None], rng), 1, 0)


def _walked(net: Any, head: Head, batch: Mapping[str, np.ndarray], samples: int, rng: Draws) -> Outputs:
    """Step by step, each drawn from the distribution given those before (Salinas et al. 2020, DeepAR)."""
    assert not isinstance(head, Quantiles)  # `Forecaster` refuses that
    T, H = net.shape.context_length, net.shape.horizon
    past, seen = rows(net, batch["past"]), rows(net, batch["seen"])
    static = per_row(net, batch["static"])
    known = per_row(net, np.concatenate([batch["covariates"], batch["ahead"]], 1))
    state: Any = None
    if T > 1:
        read = {"before": past[..., :-1], "seen": seen[..., :-1], "ahead": known[:, 1:T], "static": static}
        _, state = net.layers(step_features(net, read))

    def repeated(values: np.ndarray, axis: int = 0) -> np.ndarray:
        return np.repeat(values, samples, axis)

    if state is not None:
        state = tuple(repeated(s, 1) for s in state) if isinstance(state, tuple) else repeated(state, 1)
    recent, last_seen = repeated(past), repeated(seen[..., -1:])
    known, static = repeated(known), repeated(static)
    scale = repeated(rows(net, batch["scale"].astype(past.dtype)[..., None]))
    paths = []
    for step in range(T, T + H):
        read = {
            "before": recent[..., -1:],
            "seen": last_seen,
            "ahead": known[:, step : step + 1],
            "static": static,
            "windows": recent[:, :, None],
        }
        out, state = forward_steps(net, read, state)
        drawn = head.draw(out, scale, rng)
        paths.append(drawn)
        recent, last_seen = np.concatenate([recent[..., 1:], drawn], -1), np.ones_like(last_seen)
    drawn = np.concatenate(paths, -1).reshape(-1, samples, net.shape.row_columns, H).swapaxes(0, 1)
    drawn = drawn.reshape(samples, -1, net.shape.columns, H)
    return drawn.mean(0), None, drawn
