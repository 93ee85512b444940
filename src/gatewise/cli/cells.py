"""`gatewise cells`: the family, and what each cell computes."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import OptionError
from .frame import Json, result


def cells(
    name: Annotated[str | None, typer.Argument(metavar="[CELL]", help="One of them.", show_default=False)] = None,
    program: Annotated[
        bool, typer.Option("--program", help="Show the programs derived from the equations, forward and backward.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Show the equations as LaTeX.")] = False,
    input_size: Annotated[int, typer.Option(min=1, help="Features, to count the parameters for.")] = 128,
    hidden_size: Annotated[int, typer.Option(min=1, help="Units, to count the parameters for.")] = 128,
    json: Json = False,
) -> None:
    """List the cells, or show one: equations, source, number of parameters."""
    from ..algebra.listing import equations, listing
    from ..algebra.listing import latex as typeset
    from ..cells import NAMES, find

    proj_size = hidden_size // 2

    def count(name: str) -> int:
        cell = find(name)
        return cell.count(input_size, hidden_size, proj_size if cell.projected else 0)

    if name is None:
        if program or latex:
            raise OptionError("--program and --latex show one cell. Name it: gatewise cells lstm --program")
        rows = [
            {"name": n, "summary": find(n).summary, "source": find(n).source, "parameters": count(n)} for n in NAMES
        ]
        wide = max(map(len, NAMES))
        text = [f"{row['name']:<{wide}}  {row['parameters']:>9,}  {row['summary']}" for row in rows]
        foot = f"\nParameters for input size {input_size}, hidden size {hidden_size}. Equations: `gatewise cells NAME`."
        result("\n".join([*text, foot]), rows, json)
        return
    cell = find(name)
    projected = f", proj size {proj_size}" if cell.projected else ""
    if program:
        text = [listing(cell).rstrip()]
    elif latex:
        text = typeset(cell)
    else:
        text = [
            f"{cell.name}: {cell.summary}",
            "",
            *(f"    {line}" for line in equations(cell)),
            "",
            f"carries     {' '.join(cell.carry)}",
            f"gates       {' '.join(cell.pack)}",
            f"parameters  {count(name):,} (input size {input_size}, hidden size {hidden_size}{projected})",
            f"source      {cell.source}",
        ]
    document = {**cell.to_json(), "parameter_count": count(name), "equations": equations(cell), "latex": typeset(cell)}
    result("\n".join(text), {**document, **({"program": listing(cell)} if program else {})}, json)
