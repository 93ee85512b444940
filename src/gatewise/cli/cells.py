"""`gatewise cells`: all cells, and what each of them computes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError
from .frame import Json, result, width

if TYPE_CHECKING:
    from ..algebra import Cell


def cells(
    name: Annotated[
        str | None, typer.Argument(metavar="[CELL]", help="Name of a cell, or FILE.py:NAME.", show_default=False)
    ] = None,
    program: Annotated[
        bool, typer.Option("--program", help="Show the forward and backward programs derived from the equations.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Show the equations as LaTeX.")] = False,
    walk: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE",
            help="Write a page to click through: two examples step by step, forward and backward, which recompute.",
        ),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Print the same walk here, in the terminal.")] = False,
    input_size: Annotated[int, typer.Option(min=1, help="Input size for which parameters are counted.")] = 128,
    hidden_size: Annotated[int, typer.Option(min=1, help="Hidden size for which parameters are counted.")] = 128,
    json: Json = False,
) -> None:
    """List all cells, or show the equations, source and number of parameters of one."""
    from ..algebra.listing import equations, listing
    from ..algebra.listing import latex as typeset
    from ..cells import NAMES, find, load

    proj_size = hidden_size // 2

    def count(cell: Cell) -> int:
        return cell.count(input_size, hidden_size, proj_size if cell.projected else 0)

    if name is None:
        if program or latex or walk or text:
            raise OptionError(
                "--program, --latex, --walk and --text show one cell. Name it: gatewise cells lstm --program"
            )
        rows = [
            {"name": c.name, "summary": c.summary, "source": c.source, "parameters": count(c)} for c in map(find, NAMES)
        ]
        wide = max(map(len, NAMES))
        listed = [f"{row['name']:<{wide}}  {row['parameters']:>7,}  {row['summary']}" for row in rows]
        foot = f"\nParameters at input size {input_size}, hidden size {hidden_size}. Equations: `gatewise cells NAME`."
        result("\n".join([*listed, foot]), rows, json)
        return
    cell = load(name)
    if walk or text:
        _walk(cell, walk, text, json)
        return
    projected = f", proj size {proj_size}" if cell.projected else ""
    if program:
        shown = [listing(cell).rstrip()]
    elif latex:
        shown = typeset(cell)
    else:
        shown = [
            f"{cell.name}: {cell.summary}".rstrip(": "),
            "",
            *(f"    {line}" for line in equations(cell)),
            "",
            f"carries     {' '.join(cell.carry)}",
            *([f"gates       {' '.join(cell.pack)}"] if cell.pack else []),
            f"parameters  {count(cell):,} (input size {input_size}, hidden size {hidden_size}{projected})",
            f"source      {cell.source or '(not given)'}",
        ]
    document = {**cell.to_json(), "parameter_count": count(cell), "equations": equations(cell), "latex": typeset(cell)}
    result("\n".join(shown), {**document, **({"program": listing(cell)} if program else {})}, json)


def _walk(cell: Cell, output: Path | None, text: bool, json: bool) -> None:
    from ..files import size_text
    from ..walk.examples import hello, three_numbers
    from ..walk.page import as_document, write
    from ..walk.text import strip

    stories = [hello(cell), three_numbers(cell)]
    if output is not None:
        write(stories, output)
        if not text:
            size = output.stat().st_size
            result(
                f"wrote {output} ({size_text(size)}). Open it in a browser", {"file": str(output), "bytes": size}, json
            )
    if text:
        result("\n\n\n".join(strip(story, width()) for story in stories), as_document(stories), json)
