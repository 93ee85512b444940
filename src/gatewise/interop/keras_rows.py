"""A functional model of Keras, which is a graph, as a row of layers each of which reads the one before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import ModelFileError
from .keras_files import SavedLayer

# Keras 3 lists how it finds masks as layers. We find the same ones without them: see `sequential.Masking`.
OF_MASKS = frozenset({"NotEqual", "Any"})
_MERGERS = {"Concatenate": "concat", "Add": "sum", "Multiply": "mul", "Average": "ave"}


def row_of(kind: str, config: Mapping[str, Any], layers: Sequence[SavedLayer]) -> Sequence[SavedLayer]:
    """The layers of a model, of a functional one without those that find masks. ModelFileError if they are no chain."""
    if kind == "Sequential":
        return layers
    masks = {layer.name for layer in layers if layer.kind in OF_MASKS}
    row: list[SavedLayer] = []
    last = ""  # what the next layer has to read
    for layer in layers:
        if layer.kind in OF_MASKS:
            continue
        reads = _read_by(layer, masks)
        if row and _merges(layer) and reads == [last, f"{last}, output 1"] and _has_two_outputs(row[-1]):
            row[-1] = replace(row[-1], config={**row[-1].config, "merge_mode": _MERGERS[layer.kind]})
            last = layer.name
            continue
        if row and reads == [f"{last}, output 1"] and row[-1].kind in ("LSTM", "GRU", "SimpleRNN"):
            # Of an encoder that returns its state, the first part of it: what it answers at the end.
            options = {"return_sequences": False, "zero_output_for_mask": False}
            row[-1] = replace(row[-1], config={**row[-1].config, **options})
        elif reads != ([last] if row else []):
            much = "several inputs or states" if len(reads) > 1 else "something else than the layer before it"
            raise ModelFileError(
                f"its layer {layer.name!r:.60} ({layer.kind:.60}) reads {much}. Gatewise reads chains, in which each "
                f"layer reads the one before it"
            )
        row.append(layer)
        last = layer.name
    outputs = config.get("output_layers")
    both = [[last, 0, 0], [last, 0, 1]] if row and _has_two_outputs(row[-1]) else None
    if row and outputs not in ([last, 0, 0], [[last, 0, 0]], both):
        raise ModelFileError(f"it has the outputs {outputs!r:.80}. Gatewise reads models with one, of the last layer")
    return row


def _merges(layer: SavedLayer) -> bool:
    return layer.kind in _MERGERS and layer.config.get("axis", -1) in (-1, 2)


def _has_two_outputs(layer: SavedLayer) -> bool:
    """Whether it has one for each direction."""
    return layer.kind == "Bidirectional" and layer.config.get("merge_mode", "concat") is None


def _read_by(layer: SavedLayer, masks: set[str]) -> list[str]:
    """Names of the layers that it reads; masks that Keras 3 finds by itself are not among them."""
    nodes = layer.inbound or []
    if not isinstance(nodes, list) or len(nodes) > 1:
        raise ModelFileError(f"its layer {layer.name!r:.60} stands in it more than once, or nowhere")
    match nodes:
        case []:
            return []
        case [{"args": args, "kwargs": dict(options)}]:  # Keras 3
            return [*_tensors(args), *(name for name in _tensors(list(options.values())) if name not in masks)]
        case [list(entries)]:  # Keras 1, 2
            return [name for entry in entries for name in _before_3(entry, layer)]
    raise ModelFileError(f"it says of its layer {layer.name!r:.60} nothing that Keras writes of what it reads")


def _tensors(value: Any) -> Iterator[str]:
    """Names of the layers whose outputs stand in arguments, in order."""
    match value:
        case {"class_name": "__keras_tensor__", "config": {"keras_history": [str(name), _, output]}}:
            yield name if output == 0 else f"{name}, output {output}"
        case {"class_name": "__keras_tensor__"}:
            raise ModelFileError("it has a tensor of which it does not say where it comes from")
        case dict() | list():
            for inside in value.values() if isinstance(value, dict) else value:
                yield from _tensors(inside)


def _before_3(entry: Any, layer: SavedLayer) -> Iterator[str]:
    match entry:
        case [str(name), int(), int(output), *options] if len(options) < 2:
            yield name if output == 0 else f"{name}, output {output}"
            if any(isinstance(value, list | dict) for option in options if option for value in option.values()):
                yield "an argument"
        case _:
            raise ModelFileError(f"it says of its layer {layer.name!r:.60} that it reads {entry!r:.60}")
