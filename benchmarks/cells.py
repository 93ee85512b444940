"""What does each cell of the family cost, how exact is it, and what would it cost as a loop in PyTorch?

    python -m benchmarks.cells [family] [loops]

Every cell is timed in turn with `lstm` in one process, on one thread; `lstm` with itself, too, which shows the noise.
Work is counted in the multiply-adds of matrix products, from the programs that the engine runs. What those leave out,
pointwise instructions above all, is why time per unit of work differs from 1. Training includes the gradient of the
input, as in a stack of layers.

The loops are those of `gatewise bench`: `peephole` by hand with care, the others the reference, a product per gate and
step. They are unrolled when compiled, which takes minutes for 25 steps. The processor's time is counted, so that what
else runs on the machine meanwhile does not show.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import torch
from torch import Tensor

from gatewise import cells
from gatewise.algebra import Cell
from gatewise.algebra.expression import Node
from gatewise.algebra.stages import Program, backward_program, forward_program
from gatewise.bench.contest import TOLERANCE, Spread, alternate, difference, rounded
from gatewise.bench.peers.loops import compiled, eager
from gatewise.bench.peers.pytorch import ours
from gatewise.bench.problem import Problem, pose
from gatewise.bench.shapes import Shape
from gatewise.bench.works import WORKS, Work
from gatewise.engine import native

from .record import ROOT, write

QUESTION = __doc__.partition("\n")[0]
SHAPE = Shape(B=32, T=100, D=64, H=128)
LOOPED = Shape(B=32, T=25, D=64, H=128)
COUNTED_AT = 128  # features and units; weights of a projection are for half as many values
SECONDS = 2.0  # for each comparison
LOOPS = ("peephole", "layer_norm_lstm", "slstm", "my_cell")


def posed(cell: Cell, training: bool) -> Problem:
    work = Work("training" if training else "forward", "", "cell", (), training, input_gradient=training)
    return pose(work, SHAPE, threads=1, own=cell)


# What it has to do.


def products(program: Program) -> Iterator[Node]:
    """The weight of each matrix product of a step."""
    for stage in program.stages:
        for accumulator in stage.accumulators:
            yield from (product.weight for product in accumulator.products)
    yield from (gradient.weight for gradient in program.gradients if gradient.vector is not None)


def multiply_adds(cell: Cell, training: bool) -> int:
    """Of one row's step, in matrix products; those of a block-diagonal weight skip its zeros."""
    sizes = cell.sizes(SHAPE.D, SHAPE.H, SHAPE.H // 2)
    programs = [forward_program(cell), *([backward_program(cell)] if training else [])]
    return sum(
        sizes[weight.size.letter] * sizes[weight.columns.letter] // (cell.heads if weight.diagonal else 1)
        for program in programs
        for weight in products(program)
    )


# What it costs, and how exact it is.


def relative(cell: Cell, training: bool) -> dict[str, Any]:
    """Time as a share of `lstm`'s: of each round, and of the work."""
    base = cells.find("lstm")
    pair = [replace(ours(posed(one, training)), name=name) for one, name in ((base, "lstm"), (cell, "cell"))]
    times = alternate(pair, SECONDS)
    time = Spread.of([mine / its for mine, its in zip(times["cell"], times["lstm"], strict=True)])
    work = multiply_adds(cell, training) / multiply_adds(base, training)
    return {
        "microseconds": Spread.of(times["cell"]).document(),
        "relative_time": time.document(),
        "relative_work": rounded(work),
        "time_per_work": rounded(time.median / work),
    }


def exactly(problem: Problem) -> Mapping[str, Tensor]:
    """What the reference loop gives in float64."""
    layer, x, upstream = deepcopy(problem.layer).double(), problem.x.double(), problem.upstream.double()
    authority = eager(replace(problem, layer=layer, x=x, upstream=upstream))
    return authority.read(authority.run())


def exactness(cell: Cell) -> dict[str, Any]:
    """Where output and gradients differ most from the exact ones, as a share of the largest value; and, for cells that
    magnify what is rounded off, by what share those of the same loop in float32 do."""
    problem = posed(cell, training=True)
    exact, mine, loop = exactly(problem), ours(problem), eager(problem)
    where, share = difference(mine.read(mine.run()), exact)
    _, of_loop = difference(loop.read(loop.run()), exact)
    return {"of": where, "share": rounded(share), "loop_in_float32": rounded(of_loop)}


def streaming(cell: Cell) -> dict[str, Any]:
    """The same sequence in one call and step by step: whether all bits are equal, or by what share they differ."""
    problem = posed(cell, training=False)
    with torch.no_grad():
        whole, _ = problem.layer(problem.x)
        steps, state = [], None
        for x in problem.x:
            y, state = problem.layer(x[None], state)
            steps.append(y)
    found = torch.cat(steps)
    return {
        "same_bits": torch.equal(found, whole),
        "difference": rounded(difference({"y": found}, {"y": whole})[1]),
    }


def family() -> None:
    rows = []
    for name in ("lstm", *(name for name in cells.NAMES if name != "lstm")):
        cell = cells.find(name)
        program = forward_program(cell)
        rows.append(
            {
                "cell": name,
                "parameters": cell.count(COUNTED_AT, COUNTED_AT, COUNTED_AT // 2 if cell.projected else 0),
                "engine": "native" if native.runs(cell) else "torch",
                "stages": len(program.stages),
                "instructions": sum(len(stage.instructions) for stage in program.stages),
                "forward": relative(cell, training=False),
                "training": relative(cell, training=True),
                "difference": exactness(cell),
                "streaming": streaming(cell),
            }
        )
        print(name, file=sys.stderr, flush=True)
    print(family_table(rows), flush=True)
    write("cells", QUESTION, {"shape": str(SHAPE), "threads": 1, "family": rows})


def family_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"{'':<20}{'weights':>9}{'stages':>7}{'instr.':>7}"
        + "".join(f"   {work:<17}{'work':>6}{'per work':>9}" for work in ("forward", "training"))
        + f"{'differs':>9}{'(loop)':>9}  streaming"
    ]
    for row in rows:
        line = f"{row['cell']:<20}{row['parameters']:>9}{row['stages']:>7}{row['instructions']:>7}"
        for work in ("forward", "training"):
            time = row[work]["relative_time"]
            spread = f"{time['median']:.2f} ({time['least']:.2f}-{time['most']:.2f})"
            line += f"   {spread:<17}{row[work]['relative_work']:6.2f}{row[work]['time_per_work']:9.2f}"
        stream = row["streaming"]
        same = "same bits" if stream["same_bits"] else f"within {stream['difference']:.0e}"
        lines.append(f"{line}{row['difference']['share']:9.0e}{row['difference']['loop_in_float32']:9.0e}  {same}")
    return "\n".join(lines)


# What a loop would cost.


def of_the_readme() -> Cell:
    """The cell that the README lets its reader write, from the file that it lets them write."""
    [text] = re.findall(r"^```python\n(# my_cell\.py\n.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "my_cell.py"
        file.write_text(text)
        return cells.load(f"{file}:my_cell")


def beside_loops(cell: Cell, training: bool) -> dict[str, Any]:
    """How many times as long as ours a loop takes that is as near the exact result, or nearly."""
    problem = pose(WORKS["cell-training" if training else "cell"], LOOPED, threads=1, own=cell)
    exact = exactly(problem)
    mine = ours(problem)
    _, own = difference(mine.read(mine.run()), exact)
    allowed = max(TOLERANCE["training" if training else "forward"], 4 * own)
    entrants, rows = [], {}
    for enter in (eager, compiled):
        entrant = enter(problem)
        where, share = difference(entrant.read(entrant.run()), exact)
        rows[entrant.name] = {"difference": {"of": where, "share": rounded(share)}}
        entrants += [entrant] if share <= allowed else []
    times = alternate([mine, *entrants], 2 * SECONDS, clock=time.process_time_ns)
    for entrant in entrants:
        ratios = [its / own_time for its, own_time in zip(times[entrant.name], times[mine.name], strict=True)]
        rows[entrant.name]["ratio"] = Spread.of(ratios).document()
    return {"microseconds": Spread.of(times[mine.name]).document(), "difference": rounded(own), **rows}


def loops() -> None:
    rows: list[dict[str, Any]] = []
    for name in LOOPS:
        cell = of_the_readme() if name == "my_cell" else cells.find(name)
        rows.append(
            {"cell": name, **{work: beside_loops(cell, work == "training") for work in ("forward", "training")}}
        )
        print(loops_table(rows[-1:]), flush=True)
        write("cells-loops", QUESTION, {"shape": str(LOOPED), "threads": 1, "loops": rows})  # compiling takes long


def loops_table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'times as long as ours':<26}" + "".join(f"{work:<26}" for work in ("forward", "training"))]
    for row in rows:
        for peer in ("eager", "compiled"):
            line = f"{row['cell']:<16}{peer:<10}"
            for work in ("forward", "training"):
                ratio = row[work][peer].get("ratio")
                shown = f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['most']:.2f})" if ratio else "failed"
                line += f"{shown:<26}"
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in sys.argv[1:] or ("family", "loops"):
        {"family": family, "loops": loops}[part]()
