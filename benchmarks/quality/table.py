"""The committed results as tables for the documentation, written between their markers.

    python -m benchmarks.quality.table

docs/tasks.md has every row, the READMEs those in `SHOWN`.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from ..record import RESULTS, ROOT

SHOWN = (
    *("JapaneseVowels", "fsdd", "trec", "ud_en_ewt", "resume_ner_zh", "wall_following"),
    *("omniglot", "m4_hourly_smape", "etth1_96", "nab", "multi30k_de", "multi30k_fr", "dates"),
    *("spoken_digits", "drawn_scenes", "moving_digits"),
)
NAMES = {
    "bleu": "BLEU",
    "wer": "WER",
    "cer": "CER",
    "f1": "span F1",
    "mse": "MSE",
    "smape": "sMAPE",
    "mase": "MASE",
    "mase_share": "MASE / baseline's",
    "loss": "nats per step",
}
HEADS = {
    "README.md": ("data", "task", "measure", "Gatewise", "best plain baseline"),
    "README.zh.md": ("数据", "任务", "指标", "Gatewise", "最好的简单基线"),
    "docs/tasks.md": ("data", "task", "measure", "Gatewise", "best plain baseline", "goal", "reference"),
}


def cells(name: str, row: dict[str, Any], whole: bool) -> list[str]:
    """One row: the mean over its seeds, and from least to most where they differ."""
    figure, least, most = (shown(row[key]) for key in ("mean", "least", "most"))
    spread = f" ({least} to {most})" if whole and least != most else ""
    found = [f"{name}", row["task"], NAMES.get(row["measure"], row["measure"].replace("_", " "))]
    found += [f"**{figure}**{spread}", best(row)]
    if whole:
        sign = "at least" if row["better"] == "more" else "below"
        found += [f"{sign} {row['goal']:g}{'' if row['reached'] else ', **missed**'}", row["yardstick"]]
    return found


def best(row: dict[str, Any]) -> str:
    """The baseline that comes nearest, by its mean over the seeds."""
    runs = [run.get("baselines", {}) for run in row["seeds"].values()]
    values = [found for found in runs[0] if all(isinstance(run.get(found), int | float) for run in runs)]
    means = {name: statistics.fmean(float(run[name]) for run in runs) for name in values}
    if not means:
        return ""
    name = (max if row["better"] == "more" else min)(means, key=lambda found: means[found])
    return f"{shown(means[name])} ({name})"


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
        path = ROOT / page
        text = path.read_text()
        before, rest = text.split("<!-- quality -->")
        behind = rest.split("<!-- /quality -->")[1]
        path.write_text(f"{before}<!-- quality -->\n{table(page, rows)}\n<!-- /quality -->{behind}")


if __name__ == "__main__":
    main()
