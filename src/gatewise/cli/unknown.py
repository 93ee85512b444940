"""The option `--unknown`, which several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Unknown = Annotated[
    str, typer.Option(help="What to do about characters that the model never saw: error, or skip to leave them out.")
]
