"""What a trained generator computes, of text and of numbers, whatever runs its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def forward(net: Any, batch: Mapping[str, Any], state: Any = None) -> tuple[Any, Any]:
    """The output for each step, from which the next one is predicted, (T, B, outputs); and the last state.

    Args:
        net: The network: a `SequenceModel`, or what offers the same parts.
        batch: "inputs", token ids (T, B) or features (T, B, D), in the arrays of these parts; and "lengths" (B,), or
            None where all sequences are of one length.
        state: The last state of the steps before; None at the beginning.
    """
    y, state = net.layers(net.embedding(batch["inputs"]), state, lengths=batch["lengths"])
    return net.output(net.dropout(y)), state
