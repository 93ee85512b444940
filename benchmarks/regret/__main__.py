"""How much of what a long search finds does a short one find?

    python -m benchmarks.regret tables [NAME ...]
    python -m benchmarks.regret replay [NAME ...] [--replays 20] [--page]
    python -m benchmarks.regret peer

tables: trains settings that fill the space of `gatewise tune` on eight small data sets, with short plans, and keeps the
    loss of each validation, the test figure, and CPU seconds. A second call makes what is missing.
replay: runs the search's own code on these trainings, with a clock that only they move: where it asks for a setting, it
    gets the nearest one of the table that was not tried. Beside it are its successive halving alone with settings at
    random, and settings at random that are all trained to their end; both take the lowest loss, and no time for
    repeats. A replay has its own order of seeds and settings. All have the same recorded CPU seconds.
peer: `fit`, `tune` and the search of NeuralForecast, which must be installed, on one set of forecasts, the two searches
    with the same CPU seconds.

The regret of a search is what is missing of the long search's gain: (long - found) / (long - default), of the mean over
the seeds in the table. The long search is the table: its setting of the lowest validation loss. 1 is the default.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ..record import RESULTS, write, write_table
from . import peer
from .analysis import of_knobs, of_shares
from .problems import PROBLEMS
from .replay import METHODS, Table, regrets
from .tables import fill

QUESTION = (__doc__ or "").partition("\n")[0]
PAGE = "docs/tune.md"
TABLES = "regret-tables"
TIMES = (5, 10, 20)  # the default's seconds


def replayed(table: Table, replays: int) -> dict[str, Any]:
    """Regrets by method and time."""
    found: dict[str, Any] = {}
    for method, kind in METHODS.items():
        for times in TIMES:
            chosen = [kind(table, times, seed).chosen() for seed in range(replays)]
            every = [regrets(table, number) for number in chosen]
            figures = {name: [round(one[name], 3) for one in every] for name in every[0]}
            found.setdefault(method, {})[str(times)] = {**figures, "kept": chosen.count(0) / replays}
    return found


def of_table(table: Table, replays: int) -> dict[str, Any]:
    """What there is to say of one table."""
    sign = -PROBLEMS[table.name].better
    return {
        "settings": len(table.settings),
        "seconds": round(table.seconds, 3),
        "measure": table.measure,
        "figure": {"default": sign * table.figures[0], "long": sign * table.figures[table.best]},
        "loss": {"default": table.losses[0], "long": table.losses[table.best]},
        "noise": {"figure": table.noise},
        "shares": of_shares(table),
        "knobs": of_knobs(table),
        "regret": replayed(table, replays),
    }


def median(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def shown(answer: dict[str, Any]) -> str:
    """The table of docs/tune.md."""
    columns = [(method, times) for method in METHODS for times in map(str, TIMES)]
    heads = [f"{method}, {times}x" for method, times in columns]
    lines = [
        f"| data | settings | measure | default | long search | {' | '.join(heads)} | default kept, 20x |",
        f"| --- | ---: | --- |{' ---: |' * (len(heads) + 3)}",
    ]
    for name, own in answer.items():
        regret, figure = own["regret"], own["figure"]
        cells = [_pair(regret[method][times]) for method, times in columns]
        kept = f"{regret['tune']['20']['kept']:.0%}"
        figures = [f"{figure['default']:.3g}", f"{figure['long']:.3g}"]
        lines.append(f"| {' | '.join([name, str(own['settings']), own['measure'], *figures, *cells, kept])} |")
    middle = [
        " / ".join(
            _rounded(median(statistics.fmean(own["regret"][m][t][what]) for own in answer.values()))
            for what in ("loss", "test")
        )
        for m, t in columns
    ]
    lines.append(f"| **median** |  |  |  |  | {' | '.join(middle)} |  |")
    return "\n".join(lines)


def _pair(regret: dict[str, Any]) -> str:
    return " / ".join(_rounded(statistics.fmean(regret[what])) for what in ("loss", "test"))


def _rounded(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def of_peers(answer: dict[str, Any]) -> str:
    """The table of the peers in docs/tune.md."""
    lines = ["| | MASE | CPU seconds | trials |", "| --- | ---: | ---: | ---: |"]
    for name, own in answer["methods"].items():
        lines.append(f"| {name} | {own['mase']:.3f} | {own['cpu']:.0f} | {own.get('trials', '')} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tables", "replay", "peer"))
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--page", action="store_true", help="write the table into docs/tune.md")
    given = parser.parse_args()
    if given.what == "peer":
        write("regret-peer", peer.__doc__ or "", peer.measured(0), "regret")
        write_table(PAGE, "regret-peer", of_peers(json.loads((RESULTS / "regret-peer.json").read_text())["answer"]))
        return
    path = RESULTS / f"{TABLES}.json"
    tables: dict[str, Any] = json.loads(path.read_text())["answer"] if path.exists() else {}
    if given.what == "tables":
        import torch

        from gatewise.training import load_driver

        torch.set_num_threads(1)
        load_driver()
        problems = {name: PROBLEMS[name] for name in given.names or PROBLEMS}
        fill(
            problems, tables, lambda found: write(TABLES, "How do settings train that fill the space?", found, "regret")
        )
        return
    answer = {}
    for name in given.names or tables:
        answer[name] = of_table(Table(name, tables[name]), given.replays)
        print(name, {m: {t: _pair(r) for t, r in of.items()} for m, of in answer[name]["regret"].items()}, flush=True)
    print(shown(answer))
    if given.page:
        write("regret", QUESTION, answer)
        write_table(PAGE, "regret", shown(answer))


if __name__ == "__main__":
    main()
