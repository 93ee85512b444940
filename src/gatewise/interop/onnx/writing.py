"""A model as ONNX files, which are run before they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import OptionError
from ...files import atomic
from ...runtime.functions import FunctionModel
from ...runtime.recording import StepModel
from . import functions, network, running
from .graph import Graph
from .operators import checked


@dataclass(frozen=True)
class Written:
    """What was exported.

    Attributes:
        files: Paths.
        size: Bytes of all.
        difference: The largest one between the files and the runtime; None where they could not be run.
        proved: How many examples, and of what, for messages.
    """

    files: list[Path]
    size: int
    difference: float | None
    proved: str


def write(
    said: StepModel | FunctionModel, document: Mapping[str, Any], output: Path, operator: str = "auto"
) -> Written:
    """Write a model, run it in onnxruntime, and keep it if it answers as the runtime does.

    Args:
        document: Of the model file; it travels with the network, for nothing can be predicted without vocabulary and
            scales.
        output: A file; a folder for a model of several functions, each a file in it.
        operator: Of recurrent layers; see `operators.recurrence`.

    Raises:
        OptionError: The model cannot be said so, or what was written differs from it. Nothing is left behind then.
    """
    checked(operator)
    metadata = {
        "gatewise": __version__,
        "title": said.title,
        "meaning": "\n".join(said.meaning),
        "digest": said.digest,
        "operator": operator,
        "document": json.dumps(document, ensure_ascii=False),
    }
    if isinstance(said, StepModel):
        graph = network.build(said.recording, operator, said.spelling)
        metadata |= {f"table.{name}": json.dumps(values.ravel().tolist()) for name, values in said.tables.items()}
        proved = f"{len(said.examples)} {said.examples.source}"
        texts = {output: _Text(graph, partial(running.difference, said))}
    else:
        proved = f"{sum(len(own.examples) for own in said.functions.values())} examples"
        alone = len(said.functions) == 1
        texts = {
            output if alone else output / f"{name}.onnx": _Text(
                functions.build(said, own, operator), partial(functions.difference, said, own)
            )
            for name, own in said.functions.items()
        }
    return _kept(said, texts, metadata, proved)


@dataclass(frozen=True)
class _Text:
    """A graph, and what tells how far off an engine is that runs it."""

    graph: Graph
    difference: Callable[[running.Run], float]


def _kept(
    said: StepModel | FunctionModel, texts: Mapping[Path, _Text], metadata: dict[str, str], proved: str
) -> Written:
    doc, found = "\n".join([said.title, *said.meaning]), list[float]()
    for text in texts.values():
        run = running.runner(text.graph.model("gatewise", doc=doc).SerializeToString())
        found += [] if run is None else [text.difference(run)]
    worst = max(found, default=None)
    if worst is not None and not worst <= said.tolerance:
        raise OptionError(
            f"what was exported differs from the model by {worst:.2g}, above {said.tolerance:g}, and was not kept"
        )
    metadata["difference"] = running.NOT_PROVED if worst is None else f"{worst:.2g} on {proved}"
    written = {path: text.graph.model("gatewise", metadata, doc).SerializeToString() for path, text in texts.items()}
    folder = next(iter(texts)).parent
    new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        with ExitStack() as all_or_none:
            for path, data in written.items():
                all_or_none.enter_context(atomic(path)).write_bytes(data)
    except BaseException as error:
        if new:
            with suppress(OSError):
                folder.rmdir()
        if not isinstance(error, OSError):
            raise
        raise OptionError(f"cannot write '{folder}': {error.strerror or error}") from error
    return Written([*texts], sum(map(len, written.values())), worst, proved)
