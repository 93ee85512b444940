"""`gatewise evaluate`: how good a model is on a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .frame import Json, Unknown, result


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)],
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA", help="Text files or folders; - for standard input.", show_default=False),
    ],
    encoding: Annotated[str, typer.Option(help="Encoding of the text files.")] = "utf-8",
    unknown: Unknown = "error",
    json: Json = False,
) -> None:
    """Measure a model on a text, beside plain baselines.

    The text that it was trained on is cut into training, validation and test part as it was then; of any other text all
    is measured.
    """
    from ..bundle import read_header

    read_header(model)  # a wrong file should show before torch is loaded
    from ..tasks.generate import Generator
    from .report import losses

    metrics = Generator.load(model).evaluate(data, encoding=encoding, unknown=unknown)
    result(losses(metrics), metrics, json)
