"""Does a model say the same with torch, without torch, and as torch's own module says it?

    python -m benchmarks.quality.alike [ROW ...]

Each row of the table of quality is fitted for a few steps, at its own sizes; networks and plain methods that can be
blended have half of the say each. Its test part is then predicted

- by the runtime in the process that trained it;
- by the runtime in a process in which `import torch` fails, from the model file, which must give the same bits;
- by the module that was trained, part by part on torch's tensors, through the same predictor.

Of a row with seeds, the first; of one with several models, all. The scores of a model that has hardly learned anything
are close together, so that rounding decides more than in one that was trained.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gatewise
from gatewise.tasks.estimator import Estimator

from ..record import measured_anew, write_table
from .answers import ANSWERS, Asked, Said, compared, same_bits

QUESTION = (__doc__ or "").partition("\n")[0]
PAGE = "docs/alike.md"
TRAINERS = ("torch", "lightning", "sklearn", "scipy", "pandas", "matplotlib")


class _Absent:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in TRAINERS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _without_trainers() -> None:
    """For a process that has not begun to predict."""
    assert not sys.modules.keys() & {*TRAINERS}
    sys.meta_path.insert(0, _Absent())  # type: ignore[arg-type]  # a finder needs no more than find_spec


def _answered(path: Path, asked: Asked) -> Said:
    model = gatewise.load(path)
    return ANSWERS[model.task](model, asked)


@contextmanager
def on_torch() -> Iterator[None]:
    """Models predict by the module that was trained."""
    from gatewise.tasks import Generator

    from .on_torch import OnTorch, Steps

    usual = Generator.writer

    def writer(self: Any) -> Any:
        found, module = usual(self), self.model_
        model: Any = found.language_model
        model._layers, model._scores = Steps(module.layers, model._layers), OnTorch(module).output
        return found

    with (
        mock.patch.object(Estimator, "_net", property(lambda self: OnTorch(self.model_.eval()))),
        mock.patch.object(Generator, "writer", writer),
    ):
        yield


def of_model(model: Any, asked: Asked, elsewhere: Any) -> dict[str, Any]:
    """See `answers.compared`, of the runtime and torch; and whether the runtime gives the "same_bits" without torch.

    Args:
        elsewhere: A process without torch.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model.save(path)
        there = elsewhere.submit(_answered, path, asked).result()
    here = ANSWERS[model.task](model, asked)
    with on_torch():
        of_torch = ANSWERS[model.task](model, asked)
    return {"same_bits": same_bits(here, there), **compared(here, of_torch)}


def of_row(row: Any, elsewhere: Any) -> dict[str, Any]:
    """The same of all models of a row together."""
    from . import brief
    from .__main__ import DATA

    started, each = time.monotonic(), []
    brief.run(row, DATA, lambda model, asked: each.append(of_model(model, asked, elsewhere)))
    margins = [one["margin"] for one in each if one["margin"] is not None]
    found = {
        "task": row.task,
        "models": len(each),
        "same_bits": all(one["same_bits"] for one in each),
        **{name: sum(one[name] for one in each) for name in ("scores", "answers", "differ")},
        "difference": max(one["difference"] for one in each),
        "margin": max(margins, default=None),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(f"{row.name}: {found}", flush=True)
    return found


def table(rows: dict[str, Any]) -> str:
    lines = [
        "| row | task | models | same bits | scores | torch's differ by at most | answers | torch's differ |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        cells = [name, row["task"], str(row["models"]), "yes" if row["same_bits"] else "**no**", f"{row['scores']:,}"]
        cells += [f"{row['difference']:.1e}" if row["difference"] else "0"]
        differ = str(row["differ"]) if row["margin"] is None else f"{row['differ']} (margin {row['margin']:.1e})"
        cells += [f"{row['answers']:,}", differ] if row["answers"] else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(names: list[str]) -> None:
    from .__main__ import TASKS

    rows = {row.name: row for task in TASKS for row in import_module(f".{task}", __package__).ROWS}
    if unknown := {*names} - rows.keys():
        sys.exit(f"no rows {sorted(unknown)}; there are {sorted(rows)}")
    with ProcessPoolExecutor(1, get_context("spawn"), _without_trainers) as elsewhere:
        measure = partial(of_row, elsewhere=elsewhere)
        found = measured_anew("alike", QUESTION, rows, names, lambda name: measure(rows[name]), "quality.alike")
    write_table(PAGE, "alike", table(found))


if __name__ == "__main__":
    main(sys.argv[1:])
