"""A model as an ONNX file, which is run before it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import OptionError
from ...files import atomic
from ...runtime.recording import StepModel
from .network import build
from .operators import checked
from .running import difference, runner


@dataclass(frozen=True)
class Written:
    """What was exported.

    Attributes:
        difference: The largest one between the file and the runtime; None where it could not be run.
        size: Bytes.
    """

    difference: float | None
    size: int


def write(said: StepModel, document: Mapping[str, Any], output: Path, operator: str = "auto") -> Written:
    """Write a model, run it in onnxruntime, and keep it if it answers as the runtime does.

    Args:
        document: Of the model file; it travels with the network, for nothing can be predicted without vocabulary and
            scales.
        operator: Of recurrent layers; see `operators.recurrence`.

    Raises:
        OptionError: The model cannot be said so, or what was written differs from it. Nothing is left behind then.
    """
    graph = build(said.recording, checked(operator), said.spelling)
    metadata = {
        "gatewise": __version__,
        "title": said.title,
        "meaning": "\n".join(said.meaning),
        "digest": said.digest,
        "operator": operator,
        "document": json.dumps(document, ensure_ascii=False),
        **{f"table.{name}": json.dumps(values.ravel().tolist()) for name, values in said.tables.items()},
    }
    doc = "\n".join([said.title, *said.meaning])
    run = runner(graph.model("gatewise", doc=doc).SerializeToString())
    found = None if run is None else difference(said, run)
    if found is not None and not found <= said.tolerance:
        raise OptionError(
            f"what was exported differs from the model by {found:.2g}, above {said.tolerance:g}, and was not kept"
        )
    metadata["difference"] = (
        "not proved" if found is None else f"{found:.2g} on {len(said.examples)} {said.examples.source}"
    )
    written = graph.model("gatewise", metadata, doc).SerializeToString()
    try:
        with atomic(output) as temporary:
            temporary.write_bytes(written)
    except OSError as error:
        raise OptionError(f"cannot write '{output}': {error.strerror or error}") from error
    return Written(found, len(written))
