"""Does an explanation find the steps that are known to be responsible, and do the main ones matter on real data?

    python -m benchmarks.explain planted|peers|real|units [NAME ...] [--models FOLDER]

planted: tasks that are drawn so that the responsible steps of every row are known. Five nets learn each, and 500 rows
    that none has seen are explained, or 100 by each net where that takes long. "hit": share of the known steps that are
    among as many steps that add most; "mass": their share of all that is added, by size; "correlation" with what all
    steps truly add, where the task says it. The same of occlusion, and of the ledger of the memory, which says when it
    was written and not why.
peers: captum's integrated gradients of the same network and points; and what SHAP and TimeSHAP find there, and how long
    they take. All three must be installed.
real: "deletion": what replacing the main tenth of the steps one by one does, as a multiple of what random steps do;
    "comprehensiveness": the share of all that the steps add which is gone when the main 1, 5, 10, 20 or 50 % of them
    are the usual ones, on average; "sufficiency": the share that is missing when only these are not.
units: whether a unit that was planted is named and confirmed, and how often noise is.

Parts that are named are measured anew, and the others keep the figures that they have. Nets are kept in the folder, if
one is given, and those that are there are not fitted again.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ..record import measured_anew, write_table

QUESTION = (__doc__ or "").partition("\n")[0]
PAGE = "docs/explain.md"
FIGURES = ("hit", "mass", "correlation")


def spread(figures: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(figures):.3f} ({min(figures):.3f} to {max(figures):.3f})"


def of_planted(rows: Mapping[str, Any]) -> list[str]:
    lines = [
        "| task | solved | nets x rows | steps known | method | hit | mass | correlation |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for task, row in rows.items():
        nets = row["nets"]
        solved = statistics.median(net["solved"] for net in nets)
        begin = [task, f"{row['measure']} {solved:.3f}", f"{len(nets)} x {nets[0]['rows']}", f"{nets[0]['known']:.1%}"]
        for method, figures in nets[0]["methods"].items():
            shown = [spread([net["methods"][method][one] for net in nets]) if one in figures else "" for one in FIGURES]
            lines.append(f"| {' | '.join([*begin, method, *shown])} |")
            begin = [""] * 4
    return lines


def of_peers(rows: Mapping[str, Any]) -> list[str]:
    lines = ["| task | method | rows | hit | mass | ms a row |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for task, row in rows.items():
        begin = task
        for method, figures in row["methods"].items():
            shown = f"{figures['hit']:.3f} | {figures['mass']:.3f} | {figures['ms a row']:.0f}"
            lines.append(f"| {begin} | {method} | {figures['rows']} | {shown} |")
            begin = ""
    return lines


def of_real(rows: Mapping[str, Any]) -> list[str]:
    figures = ("deletion", "comprehensiveness", "sufficiency")
    lines = [f"| data | rows | method | {' | '.join(figures)} |", "| --- | ---: | --- | ---: | ---: | ---: |"]
    for data, row in rows.items():
        begin = f"{data} | {row['rows']}"
        for method, own in row["methods"].items():
            lines.append(f"| {begin} | {method} | {' | '.join(f'{own[one]:.2f}' for one in figures)} |")
            begin = " | "
    return lines


def of_units(rows: Mapping[str, Any]) -> list[str]:
    lines = ["| units | drawn | named | confirmed |", "| --- | ---: | ---: | ---: |"]
    for name, row in rows.items():
        drawn, *found = row.values()
        lines.append(f"| {name} | {drawn} | {' | '.join(map(str, [*found, ''][:2]))} |")
    return lines


TABLES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "planted": of_planted,
    "peers": of_peers,
    "real": of_real,
    "units": of_units,
}
MODULES = {"planted": "truth"}


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("part", choices=TABLES)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--models", type=Path)
    asked = parser.parse_args()
    module = import_module(f".{MODULES.get(asked.part, asked.part)}", __package__)
    measure = partial(module.measured, models=asked.models)
    found = measured_anew(f"explain-{asked.part}", QUESTION, module.TASKS, asked.names, measure)
    table = "\n".join(TABLES[asked.part](found))
    print(table)
    write_table(PAGE, f"explain-{asked.part}", table)


if __name__ == "__main__":
    main()
