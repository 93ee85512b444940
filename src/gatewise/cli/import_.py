"""`gatewise import`: a model of another library as one of ours. Needs no torch, Keras or onnxruntime."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .frame import Json, note, result

_SAID = "What the file does not say"
_TABLES = "Tables that the model will read"


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="File of PyTorch, Keras or ONNX, or .safetensors.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="generate: it continues text; classify: its answers are classes. Else numbers in, numbers out."
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            help="File with its tokens: one a line, in the order of their numbers, or JSON.", rich_help_panel=_SAID
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Its classes: names with commas between them, or a file, one a line.", rich_help_panel=_SAID),
    ] = None,
    nonlinearity: Annotated[
        str | None, typer.Option(help="Of a plain RNN of PyTorch: tanh or relu.", rich_help_panel=_SAID)
    ] = None,
    reads: Annotated[
        str | None,
        typer.Option(
            help="What layers read of the recurrent ones, in weights of PyTorch: steps, last, end (the last state of "
            "each direction), mean or max.",
            rich_help_panel=_SAID,
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="Behind linear layers that others read, in weights of PyTorch: relu, ...", rich_help_panel=_SAID
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Layers in the order in which they run, with commas between.", rich_help_panel=_SAID),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Comma-separated columns that it reads, in its order.", rich_help_panel=_TABLES)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Columns that tell one sequence from another.", rich_help_panel=_TABLES)
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column that orders the steps of a sequence.", rich_help_panel=_TABLES)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of what it should answer, for `evaluate`.", rich_help_panel=_TABLES)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the model file.")] = False,
    json: Json = False,
) -> None:
    """Read a model of PyTorch, Keras or ONNX, prove that it computes the same, and write it as a model file.

    The proof runs the same inputs through the file in its own library, where that is installed, and through the model.
    """
    from ..files import size_text
    from ..interop.importing import import_model
    from ..tasks.options import names

    given: dict[str, Any] = {"columns": columns, "key": key, "time": time, "target": target}
    found = import_model(
        file,
        output,
        task=task,
        vocabulary=vocabulary,
        classes=classes,
        nonlinearity=nonlinearity,
        reads=reads,
        activation=activation,
        layers=names(layers),
        force=force,
        **{name: value for name, value in given.items() if value is not None},
    )
    for line in found.notes:
        note(line)
    size = output.stat().st_size
    document = {
        "output": str(output),
        "bytes": size,
        "task": found.model.task,
        "format": found.format,
        "layers": found.layers,
        "notes": list(found.notes),
        "proof": asdict(found.proof),
    }
    text = f"wrote {output.name} ({size_text(size)}), task {found.model.task}: {found.layers}\n{found.proof}"
    result(text, document, json)
