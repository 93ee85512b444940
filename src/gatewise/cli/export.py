"""`gatewise export`: a model in another language, or for another library. Needs no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError, suggest
from .frame import Json, note, result

if TYPE_CHECKING:
    from ..bundle import Header

ONNX, VECTORS = "onnx", "vectors"


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            help="c: a folder of C99; html: a page that runs it in a browser; onnx: a file for any engine; torch: "
            "weights of PyTorch (.safetensors or .pt); keras: a .keras file; "
            "rtneural: JSON, and nam: a .nam file, for plug-ins of sound; vectors: the embeddings of words, as "
            "word2vec writes them."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder (c) or file to write.")],
    weights: Annotated[
        str | None,
        typer.Option(help="c: float32 or int8; html: float16 or int8. float32 and float16, if omitted."),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(
            help="onnx: how recurrent layers are written. lstm: ONNX's own operators, for onnxruntime; scan: loops; "
            "auto: an operator where every engine computes it right."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Write a model as C, as a page, or for another library, run it there, and say how far off it is."""
    from .. import export as exporters
    from ..bundle import read_header
    from ..files import size_text
    from ..interop.exporting import TARGETS
    from ..tasks import step_model

    if operator is not None and to != ONNX:
        raise OptionError(f"--operator is of {ONNX}, not of {to}. Leave it out")
    if to == ONNX:
        _for_engines(model, output, weights, operator, force, json)
        return
    if to == VECTORS:
        _word_vectors(model, output, weights, force, json)
        return
    if to in TARGETS:
        if weights not in (None, "float32"):
            raise OptionError(f"--weights {weights} is for c and html; {to} gets float32. Leave it out")
        _for_library(model, to, output, force, json)
        return
    if to not in exporters.TARGETS:
        raise OptionError(suggest("target", to, (*exporters.TARGETS, ONNX, *TARGETS, VECTORS)))
    target = exporters.target(to)
    kind = weights or target.KINDS[0]
    exporters.check(output, folder=to == "c", force=force)
    said = step_model(model, exporters.rounding(kind, to, target.KINDS), to)
    count = _weights(read_header(model))
    note(f"{said.title} {f'{count:,} weights' if count else 'No network; numbers'} in {kind}")
    done = exporters.write(said, to, kind, output)
    changed = 0.0
    if kind != "float32":
        exact = step_model(model, exporters.rounding("float32", to, ("float32",)), to)
        changed = said.examples.difference(exact.examples)
    size = sum(map(os.path.getsize, done.files))
    proof = (
        f"run here on {len(said.examples)} {said.examples.source}: largest difference {done.difference:.2g}"
        if done.difference is not None
        else f"not run: there is no {done.lacks} here"
    )
    if changed:
        proof += f"; weights in {kind} change the model's answers by up to {changed:.2g}"
    document = {
        "files": [str(file) for file in done.files],
        "bytes": size,
        "weights": count,
        "kind": kind,
        "steps": len(said.examples),
        "difference": done.difference,
        "changed_by_weights": changed,
    }
    result(f"wrote {', '.join(file.name for file in done.files)} ({size_text(size)}); {proof}", document, json)


def _weights(header: Header) -> int:
    """Of the network, as `fit` counts them; 0 where it has no share in what the model predicts, and is left out."""
    return 0 if header.document.get("blend_weight") == 0 else header.weights


def _word_vectors(model: Path, output: Path, weights: str | None, force: bool, json: bool) -> None:
    """The embeddings of a model's words."""
    from ..data.text.vectors import write_vectors
    from ..export import check, rounding
    from ..files import size_text
    from ..tasks import load

    rounding(weights or "float32", VECTORS, ("float32",))
    check(output, folder=False, force=force)
    words, values = load(model).word_vectors()
    count, width = write_vectors(output, words, values), values.shape[1]
    size = os.path.getsize(output)
    document = {"files": [str(output)], "bytes": size, "words": count, "width": width}
    result(f"wrote {output.name} ({size_text(size)}), {count:,} words, {width} wide", document, json)


def _for_library(model: Path, to: str, output: Path, force: bool, json: bool) -> None:
    """For one of `interop.exporting.TARGETS`."""
    from dataclasses import asdict

    from ..bundle import read_header
    from ..export import check
    from ..files import size_text
    from ..interop.exporting import export_chain

    check(output, folder=False, force=force)
    done = export_chain(model, to, output)
    if done.left_out:
        note(done.left_out)
    size, count = os.path.getsize(output), read_header(model).weights
    document = {
        "files": [str(output)],
        "bytes": size,
        "weights": count,
        "proof": asdict(done.proof),
        "left_out": done.left_out,
    }
    result(f"wrote {output.name} ({size_text(size)}), {count:,} weights; {done.proof}", document, json)


def _for_engines(model: Path, output: Path, weights: str | None, operator: str | None, force: bool, json: bool) -> None:
    from .. import export as exporters
    from ..bundle import read_header
    from ..files import size_text
    from ..interop.onnx import NOT_PROVED, checked, write
    from ..runtime.functions import FunctionModel
    from ..tasks import onnx_model

    rounded = exporters.rounding(weights or "float32", ONNX, ("float32",))
    way = checked(operator or "auto")
    said = onnx_model(model, rounded)
    exporters.check(output, folder=isinstance(said, FunctionModel) and len(said.functions) > 1, force=force)
    header = read_header(model)
    count = _weights(header)
    note(f"{said.title} {f'{count:,} weights' if count else 'No network'}")
    done = write(said, header.document, output, way)
    proof = NOT_PROVED
    if done.difference is not None:
        proof = f"run here by onnxruntime on {done.proved}: largest difference {done.difference:.2g}"
    document = {
        "files": [str(file) for file in done.files],
        "bytes": done.size,
        "weights": count,
        "difference": done.difference,
    }
    result(f"wrote {', '.join(file.name for file in done.files)} ({size_text(done.size)}); {proof}", document, json)
