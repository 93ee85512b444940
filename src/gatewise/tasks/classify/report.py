"""Metrics of `classify` as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COLUMNS = {  # metric -> heading and digits
    "accuracy": ("accuracy", 4),
    "macro_f1": ("macro F1", 4),
    "subset_accuracy": ("all right", 4),
    "micro_f1": ("micro F1", 4),
    "roc_auc": ("ROC AUC", 4),
    "log_loss": ("log loss", 4),
    "calibration_error": ("calib. err.", 4),
    "mae": ("MAE", 4),
    "rmse": ("RMSE", 4),
    "r2": ("R2", 4),
}


def report(metrics: Mapping[str, Any]) -> str:
    """The model by part, then the baselines on the last part; a line each, of at most 80 columns."""
    rows = {name: found for name, found in metrics.items() if name != "baselines"}
    rows |= metrics.get("baselines", {})
    shown = [name for name in _COLUMNS if any(name in found for found in rows.values())]
    lines = [f"{'':20}" + "".join(f"{_COLUMNS[name][0]:>12}" for name in shown)]
    for name, found in rows.items():
        cells = [f"{found[key]:.{_COLUMNS[key][1]}g}" if key in found else "" for key in shown]
        lines.append(f"{name:20}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
