"""An encoder and the step of a decoder that attends, as functions for exporters: of `translate` and `caption`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..runtime.functions import Function, Input
from ..runtime.layers import network_of
from ..runtime.network import Block
from .attention_decoder import Encode, advance, embed, initial_state, scores

Array = np.ndarray
_TOKENS = 4  # of the examples of a decoder


def functions(
    parts: Block,
    tensors: Mapping[str, Array],
    encode: Encode,
    inputs: Mapping[str, Input],
    batches: Sequence[Mapping[str, Array]],
    copied: str = "",
) -> dict[str, Function]:
    """The encoder, which gives the first state of the decoder and what that attends to; and a step of the decoder.

    Args:
        parts, tensors: Of the network.
        encode: See `attention_decoder.forward`.
        inputs: Of the encoder.
        batches: Examples of these.
        copied: The input (S, B) whose tokens may be copied.
    """
    net = network_of(parts, tensors)
    E, layers = net.embedding_size, net.num_layers
    states = {name: (layers, "B", size) for name, size, _ in net.carry}
    memory: dict[str, tuple[int | str, ...]] = {}
    if net.attention is not None:
        _, kept = encode(net, batches[0])
        memory = {"keys": ("B", "S", kept.keys.shape[-1]), "values": ("B", "S", kept.values.shape[-1])}
        memory["inside"] = ("B", "S")
    sources = {} if net.gate is None else {"source_tokens": Input(("B", "S"), whole=True)}

    def encoded(net: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        features, memory = encode(net, batch)
        found = dict(zip(states, initial_state(net, features), strict=True))
        return found if memory is None else {**found, **memory._asdict()}

    def stepped(net: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        x = embed(net, batch["token"])
        x = net.ops.concatenate([x, batch["output"]]) if net.input_feeding else x
        attended = SimpleNamespace(**{name: batch[name] for name in memory}) if memory else None
        y, after, weights = advance(net, x[None], [batch[name] for name in states], attended)
        weights = None if weights is None else weights[:, 0]
        found = {"scores": net.ops.log_softmax(scores(net, y[0], weights, batch.get("source_tokens")), -1)}
        found |= {"output_next": y[0]} if net.input_feeding else {}
        found |= {f"{name}_next": own for name, own in zip(states, after, strict=True)}
        return found if weights is None else {**found, "attention": weights}

    fed = {"output": Input(("B", E))} if net.input_feeding else {}
    decoder_inputs = {
        "token": Input(("B",), whole=True),
        **fed,
        **{name: Input(dims) for name, dims in states.items()},
        **{name: Input(dims, known=name == "inside") for name, dims in memory.items()},
        **sources,
    }
    V = net.output.weight.shape[0]
    outputs: dict[str, tuple[int | str, ...]] = {"scores": ("B", V)}
    outputs |= {"output_next": ("B", E)} if fed else {}
    outputs |= {f"{name}_next": dims for name, dims in states.items()}
    outputs |= {"attention": ("B", "S")} if memory else {}
    examples = []
    for batch in batches:
        given = encoded(net, batch)
        rows = len(next(iter(given.values()))[0])
        given |= {"output": np.zeros((rows, E), np.float32)} if fed else {}
        given |= {"source_tokens": batch[copied].T.copy()} if sources else {}
        for token in range(_TOKENS):
            example = {**given, "token": np.full(rows, token % V, np.int64)}
            examples.append({name: np.ascontiguousarray(example[name]) for name in decoder_inputs})
            after = stepped(net, example)
            given |= {name.removesuffix("_next"): own for name, own in after.items() if name.endswith("_next")}
    return {
        "encoder": Function(encoded, inputs, {**states, **memory}, batches),
        "decoder": Function(stepped, decoder_inputs, outputs, examples),
    }
