"""The committed results as tables for the documentation, written between their markers.

    python -m benchmarks.quality.table

docs/tasks.md has every row, the READMEs those in `SHOWN`. Prints how many rows lie below the strongest plain
method, and how many of them by more than one standard error.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from ..record import RESULTS, write_table

SHOWN = (
    *("JapaneseVowels", "omniglot", "fsdd_speakers", "trec", "sst2", "sms_spam", "nsl_kdd"),
    *("ud_en_ewt", "resume_ner_zh", "weibo_ner", "wall_following"),
    *("m4_hourly_smape", "m3_quarterly", "etth1_96", "exchange_rate_96", "nab", "skab"),
    *("sonnets_small", "tatoeba_fr_small", "multi30k_de", "dates"),
    *("spoken_digits", "drawn_scenes", "moving_digits"),
)
NAMES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "wer": "WER",
    "cer": "CER",
    "f1": "span F1",
    "mse": "MSE",
    "smape": "sMAPE",
    "mase": "MASE",
    "mase_share": "MASE / baseline's",
    "loss": "nats per step",
    "bits_per_character": "bits per character",
}
HEADS = {
    "README.md": ("data", "task", "measure", "Gatewise", "strongest plain method", "share of the network"),
    "README.zh.md": ("数据", "任务", "指标", "Gatewise", "最强的简单方法", "网络所占份额"),
    "docs/tasks.md": (
        *("data", "task", "measure", "Gatewise", "strongest plain method", "share of the network"),
        "reference",
    ),
}


def cells(name: str, row: dict[str, Any], whole: bool) -> list[str]:
    """One row: the mean over its seeds, and from least to most where they differ."""
    figure, least, most = (shown(row[key]) for key in ("mean", "least", "most"))
    spread = f" ({least} to {most})" if whole and least != most else ""
    seen = f" ({row['seen']} in training)" if row.get("seen") else ""
    found = [f"{name}{seen}", row["task"], NAMES.get(row["measure"], row["measure"].replace("_", " "))]
    share = row.get("share")
    ours = figure if behind(row) else f"**{figure}**"
    found += [f"{ours}{spread}", best(row), "" if share is None else f"{share:.2f}"]
    return [*found, row["yardstick"]] if whole else found


def best(row: dict[str, Any]) -> str:
    """The plain method with the best figure, by its mean over the seeds; bold if it is better than the model."""
    name, figure = strongest(row)
    if not name:
        return ""
    return f"**{shown(figure)}** ({name})" if behind(row) else f"{shown(figure)} ({name})"


def behind(row: dict[str, Any]) -> bool:
    """Whether a plain method is better than the model."""
    name, figure = strongest(row)
    return bool(name) and (figure > row["mean"] if row["better"] == "more" else figure < row["mean"])


def far_behind(row: dict[str, Any]) -> bool:
    """Whether by more than one standard error of the difference, where that is known."""
    known = [error for run in row["seeds"].values() if (error := _error(run.get("strongest_plain") or {})) is not None]
    error = statistics.fmean(known) * abs(row["mean"]) if known else 0
    return behind(row) and abs(strongest(row)[1] - row["mean"]) > error


def _error(judged: dict[str, Any]) -> float | None:
    """The standard error of one run as a share of the model's figure: a row may have another measure than `fit`."""
    error, figure = judged.get("standard_error"), judged.get("model")
    return None if error is None or not figure else error / abs(figure)


def strongest(row: dict[str, Any]) -> tuple[str, float]:
    """Name and figure of the best plain method; "" and 0 if there is none."""
    runs = [run.get("baselines", {}) for run in row["seeds"].values()]
    values = [found for found in runs[0] if all(isinstance(run.get(found), int | float) for run in runs)]
    means = {name: statistics.fmean(float(run[name]) for run in runs) for name in values}
    if not means:
        return "", 0.0
    name = (max if row["better"] == "more" else min)(means, key=lambda found: means[found])
    return name, means[name]


def shown(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def table(page: str, rows: dict[str, Any]) -> str:
    whole = page.startswith("docs")
    heads = HEADS[page]
    lines = [heads, ["---"] * len(heads)]
    lines += [cells(name, row, whole) for name, row in rows.items() if whole or name in SHOWN]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    rows = json.loads((RESULTS / "quality.json").read_text())["answer"]["rows"]
    for page in HEADS:
        write_table(page, "quality", table(page, rows))
    worse, far = ([name for name, row in rows.items() if test(row)] for test in (behind, far_behind))
    print(f"{len(worse)} of {len(rows)} rows are below the strongest plain method: {', '.join(worse)}")
    print(f"{len(far)} by more than one standard error, where it is known: {', '.join(far)}")


if __name__ == "__main__":
    main()
