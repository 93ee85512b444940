"""How large is a language model as C and as a page, and how many tokens does it read in a second?

    python -m benchmarks.export MODEL

Programs of one thread, each its own process, take turns: C as `gcc` compiles it at -O2, the page's script in node, and
`gatewise.runtime.language_model` in Python, which is what `gatewise sample` runs. That all give the same scores is
checked as they are exported.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from gatewise import export
from gatewise.bench.contest import Spread
from gatewise.bundle import read_header
from gatewise.tasks import step_model

from .record import write, write_table

QUESTION = __doc__.partition("\n")[0]
PAGE = "docs/export.md"
ROUNDS, STEPS = 7, 300
KINDS = [("c", "float32"), ("c", "int8"), ("html", "float16"), ("html", "int8")]

TIMED_C = """
#define _POSIX_C_SOURCE 199309L
#include "model.h"
#include <stdio.h>
#include <time.h>
int main(void) {
    static gw_state s; static float y[GW_SCORES]; struct timespec a, b; int i;
    gw_reset(&s);
    for (i = 0; i < 50; i++) gw_step(&s, i %% GW_TOKEN_LIMIT, y);
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (i = 0; i < %d; i++) gw_step(&s, i %% GW_TOKEN_LIMIT, y);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%%f", %d / ((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec)));
    return 0;
}
"""
TIMED_PAGE = """
const [, engine] = require("fs").readFileSync(process.argv[2], "utf8").match(/<script id="engine">([^]*?)<\\/script>/);
const { gw_state, gw_step } = new Function(`${engine}; return { gw_state, gw_step };`)(), s = gw_state(), V = %d;
for (let i = 0; i < 100; i++) gw_step(s, i %% V);
const begun = process.hrtime.bigint();
for (let i = 0; i < %d; i++) gw_step(s, i %% V);
console.log(%d / (Number(process.hrtime.bigint() - begun) / 1e9));
"""
TIMED_RUNTIME = """
import sys, time
from gatewise.runtime.language_model import LanguageModel
model = LanguageModel.load(sys.argv[1]); state = model.begin(); V = len(model.vocabulary)
for i in range(50): state = model.advance(state, i %% V)
begun = time.perf_counter()
for i in range(%d): state = model.advance(state, i %% V)
print(%d / (time.perf_counter() - begun))
"""


def main(path: str) -> None:
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, commands = Path(name), {}
        for target, kind in KINDS:
            model = step_model(path, export.rounding(kind, target, export.target(target).KINDS), target)
            output = folder / f"{kind}.{target}"
            done = export.write(model, target, kind, output)
            label = f"{'C' if target == 'c' else 'page'}, {kind}"
            rows[label] = {"bytes": sum(file.stat().st_size for file in done.files[:2]), "difference": done.difference}
            if target == "c":
                (output / "timed.c").write_text(TIMED_C % (STEPS, STEPS))
                compile = ["gcc", "-std=c99", "-O2", "-o", "timed", "timed.c", "model.c"]
                subprocess.run(compile, cwd=output, check=True)
                rows[label]["program"] = (output / "timed").stat().st_size
                commands[label] = [str(output / "timed")]
            else:
                (folder / "timed.js").write_text(TIMED_PAGE % (len(model.tokens), STEPS, STEPS))
                commands[label] = ["node", str(folder / "timed.js"), str(output)]
        (folder / "timed.py").write_text(TIMED_RUNTIME % (STEPS, STEPS))
        rows["gatewise.runtime"] = {"bytes": Path(path).stat().st_size}
        commands["gatewise.runtime"] = [sys.executable, "-P", str(folder / "timed.py"), path]
        rates: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(ROUNDS):
            for label, command in commands.items():
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rates[label].append(float(done.stdout))
    for label, row in rows.items():
        row["tokens a second"] = Spread.of(rates[label]).document()
    said = {"model": model.title, "weights": read_header(path).weights, "load": os.getloadavg()[0], "rows": rows}
    write("export", QUESTION, said)
    write_table(PAGE, "sizes", table(rows))


def table(rows: dict[str, Any]) -> str:
    lines = ["| as | size | tokens a second | least to most |", "| --- | --- | --- | --- |"]
    for label, row in rows.items():
        rate, program = row["tokens a second"], row.get("program")
        size = f"{row['bytes'] / 1e6:.2f} MB" + (f", compiled {program / 1e6:.2f} MB" if program else "")
        lines.append(f"| {label} | {size} | {rate['median']:,.0f} | {rate['least']:,.0f} to {rate['most']:,.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1])
