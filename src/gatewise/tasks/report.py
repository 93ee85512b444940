"""Reports: the scores of a model and its baselines as a table of at most 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..data.split import PARTS

Metrics = Mapping[str, Any]  # by part, and under "baselines" by name
Columns = Mapping[str, tuple[str, Callable[[Any], str]]]  # key of a score -> heading, format

_NOTHING = "nothing was measured"


def table(
    heads: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    *,
    left: int,
    widths: Sequence[int],
    corner: str = "",
) -> list[str]:
    """Lines of a table: a name on the left, cells aligned to the right. Rows may have fewer cells than there are heads.

    Args:
        heads: Headings of the columns.
        rows: Name and cells of each row.
        left: Width of the names.
        widths: Width of each column.
        corner: Heading of the names.
    """
    lines = []
    for name, cells in ((corner, heads), *rows):
        aligned = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
        lines.append(f"{name:<{left}}{aligned}".rstrip())
    return lines


def _scores(rows: Mapping[str, Metrics], columns: Columns, *, left: int, width: int, missing: str = "") -> list[str]:
    """A table of those columns that some row has a score for."""
    shown = {key: column for key, column in columns.items() if any(key in scores for scores in rows.values())}
    cells = (
        (name, [missing if scores.get(key) is None else show(scores[key]) for key, (_, show) in shown.items()])
        for name, scores in rows.items()
    )
    return table([head for head, _ in shown.values()], cells, left=left, widths=[width] * len(shown))


def _parts_and_baselines(metrics: Metrics, suffix: str = "") -> dict[str, Metrics]:
    rows = {name: scores for name, scores in metrics.items() if name != "baselines"}
    return rows | {f"{name}{suffix}": scores for name, scores in metrics.get("baselines", {}).items()}


def _in_order(metrics: Metrics) -> dict[str, Metrics]:
    """The parts that there are, in the order of training, validation and test."""
    return {name: metrics[name] for name in (*PARTS, "all") if metrics.get(name)}


# --- one report for each task -----------------------------------------------------------------------------------------

_CLASSES: Columns = {
    "accuracy": ("accuracy", "{:.4g}".format),
    "macro_f1": ("macro F1", "{:.4g}".format),
    "subset_accuracy": ("all right", "{:.4g}".format),
    "micro_f1": ("micro F1", "{:.4g}".format),
    "roc_auc": ("ROC AUC", "{:.4g}".format),
    "log_loss": ("log loss", "{:.4g}".format),
    "calibration_error": ("calib. err.", "{:.4g}".format),
    "mae": ("MAE", "{:.4g}".format),
    "rmse": ("RMSE", "{:.4g}".format),
    "r2": ("R2", "{:.4g}".format),
}


def classify_report(metrics: Metrics) -> str:
    """A row for each part, then the baselines on the last part."""
    return "\n".join(_scores(_parts_and_baselines(metrics), _CLASSES, left=20, width=12))


_TAGS = ("f1", "precision", "recall", "accuracy", "macro_f1", "mae", "rmse", "r2")
_TYPES = 30  # types that are listed, the most frequent first


def tag_report(metrics: Metrics) -> str:
    """A row for each part, then the baselines; below, a row for each type of the last part."""
    rows = _parts_and_baselines(metrics, " (baseline)")
    if not rows:
        return _NOTHING
    heads = [name for name in _TAGS if name in next(iter(rows.values()))][:4]
    cells = ((row[:34], [f"{scores[name]:.4f}" for name in heads]) for row, scores in rows.items())
    lines = table(heads, cells, left=34, widths=[11] * 4)
    last = next((name for name in reversed(list(metrics)) if name != "baselines"), None)
    if last and (types := metrics[last].get("types")):
        ranked = sorted(types.items(), key=lambda item: -item[1]["gold"])[:_TYPES]
        heads = ["f1", "precision", "recall"]
        cells = ((kind[:34], [*(f"{some[name]:.4f}" for name in heads), f"{some['gold']:,}"]) for kind, some in ranked)
        lines += ["", *table([*heads, "count"], cells, left=34, widths=[11] * 4, corner=f"{last}, by type")]
    return "\n".join(lines)


_FORECASTS = {
    "mase": "MASE",
    "smape": "sMAPE",
    "mae": "MAE",
    "rmse": "RMSE",
    "mse_standardised": "MSE std.",
    "crps": "CRPS",
}


def forecast_report(metrics: Metrics) -> str:
    """The model and the baselines, on the last part."""
    part = next((name for name in ("test", "all", "validation", "train") if metrics.get(name)), None)
    if part is None:
        return _NOTHING
    own = metrics[part]
    rows = (
        (name, ["-" if scores.get(key) is None else f"{scores[key]:.4g}" for key in _FORECASTS])
        for name, scores in {"model": own, **metrics.get("baselines", {})}.items()
    )
    lines = table(list(_FORECASTS.values()), rows, left=16, widths=[10] * 6, corner=part)
    if "coverage" in own:
        lines.append(f"{own['coverage_meant']:.0%} interval: covers {own['coverage']:.1%}")
    return "\n".join(lines)


_ALARMS: Columns = {
    "steps": ("steps", "{:,}".format),
    "alarm_rate": ("alarms", "{:.3%}".format),
    "events": ("events", "{:,}".format),
    "anomalies": ("true", "{:,}".format),
    "f1": ("F1", "{:.3f}".format),
    "range_f1": ("range F1", "{:.3f}".format),
    "average_precision": ("AP", "{:.3f}".format),
}


def detect_report(metrics: Metrics) -> str:
    """A row for each part, then the baselines."""
    return "\n".join(_scores(_parts_and_baselines(metrics), _ALARMS, left=17, width=9, missing="-"))


_TEXTS = {  # key of a score -> width of its column, digits behind the point
    "bleu": (8, 2),
    "chrf": (8, 2),
    "exact_match": (13, 4),
    "token_accuracy": (16, 4),
    "loss": (9, 4),
}


def text_report(metrics: Metrics) -> str:
    """Of `translate` and `caption`: the parts, then the baselines, and the signatures of BLEU and chrF."""
    rows = _in_order(metrics) | {f"{name} (baseline)": some for name, some in metrics.get("baselines", {}).items()}
    if not rows:
        return _NOTHING
    keys = [key for key in _TEXTS if any(key in scores for scores in rows.values())]
    cells = (
        (row[:24], [f"{scores[key]:.{_TEXTS[key][1]}f}" if key in scores else "" for key in keys])
        for row, scores in rows.items()
    )
    lines = table([key.replace("_", " ") for key in keys], cells, left=24, widths=[_TEXTS[key][0] for key in keys])
    return "\n".join([*lines, *(f"{name}: {text}" for name, text in metrics.get("signatures", {}).items())])


def transcribe_report(metrics: Metrics) -> str:
    """The parts, then the baselines."""
    rows = _parts_and_baselines(metrics, " (baseline)")
    if not rows:
        return _NOTHING
    rates, counts = ("cer", "wer", "exact"), ("words", "texts")
    cells = (
        (row[:34], [*(f"{scores[name]:.4f}" for name in rates), *(f"{scores[name]:,}" for name in counts)])
        for row, scores in rows.items()
    )
    return "\n".join(table([*rates, *counts], cells, left=34, widths=[9] * 5))


def generate_report(metrics: Metrics) -> str:
    """The parts, then the baselines; of text in bits per character where that is defined."""
    parts = _in_order(metrics)
    if numbers := any("sequences" in scores for scores in metrics.values()):
        heads, widths = ["nats/step", "steps", "sequences"], [12, 12, 12]
        cells = {n: [f"{s['loss']:.3f}", f"{s['steps']:,}", f"{s['sequences']:,}"] for n, s in parts.items()}
        compared = next(reversed(parts), "all")
    else:
        heads, widths = ["bits/char", "nats/token", "perplexity"], [10, 12, 12]
        cells = {n: [_bits(s), f"{s['loss']:.3f}", f"{s['perplexity']:.2f}"] for n, s in parts.items()}
        compared = next((name for name in ("test", "validation", "all") if name in metrics), "held-out")
    lines = table(heads, cells.items(), left=14, widths=widths)
    if baselines := metrics.get("baselines"):
        where, what = "same" if compared == "all" else compared, "sequences" if numbers else "text"
        lines.append(f"for comparison, plain methods on the {where} {what}:")
        rows = ((name, [f"{some['loss']:.3f}" if numbers else _bits(some)]) for name, some in baselines.items())
        lines += table([], rows, left=14, widths=widths)[1:]
    return "\n".join(lines)


def _bits(scores: Metrics) -> str:
    bits = scores.get("bits_per_character")
    return "-" if bits is None else f"{bits:.3f}"
