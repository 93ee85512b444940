"""The network that continues sequences, said once: of each step, numbers from which the next one is predicted.

T steps, B sequences.
"""

from __future__ import annotations

from typing import Any

from ..algebra import Cell
from .network import Block, Embedding, Linear, MaskDropout, Stack


def architecture(
    *,
    cell: Cell,
    input_size: int,
    output_size: int,
    hidden_size: int,
    num_layers: int,
    proj_size: int = 0,
    vocabulary_size: int | None = None,
    tied: bool = False,
    dropout: float = 0.0,
    variational: bool = False,
    **regularisation: Any,
) -> Block:
    """Recurrent layers, and an output for each step.

    Args:
        cell: The recurrent cell.
        input_size: Features that the layers read at each step.
        output_size: Numbers from which the next step is predicted.
        hidden_size, num_layers, proj_size: Of the layers.
        vocabulary_size: Kinds of tokens that the features are embeddings of; None where the inputs are the features.
        tied: Whether the output has the weights of the embedding (Press & Wolf 2017).
        dropout: Probability of zeroing a value between layers or before the output, in training.
        variational: With one mask for all steps of a chunk instead of one per step (Gal & Ghahramani 2016).
        regularisation: Further options of the layers; see `Recurrent`.
    """
    layers = Stack(
        cell=cell,
        input_size=input_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        proj_size=proj_size,
        dropout=dropout,
        variational=variational,
        **regularisation,
    )
    parts = {
        "embedding": None if vocabulary_size is None else Embedding(vocabulary_size, input_size),
        "layers": layers,
        "dropout": MaskDropout(dropout, variational),
        "output": Linear(proj_size or hidden_size, output_size),
    }
    return Block(parts, tied={"output.weight": "embedding.weight"} if tied else {})


def features(net: Any, inputs: Any) -> Any:
    """What the layers read of inputs: token ids (T, B), or the features (T, B, D) themselves."""
    return inputs if net.embedding is None else net.embedding(inputs)


def forward(net: Any, inputs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
    """The output for each step, from which the next one is predicted, (T, B, outputs); and the last state.

    Args:
        net: The parts of `architecture`.
        inputs: As of `features`, in the arrays of these parts.
        state: The last state of the steps before; None at the beginning.
        lengths: (B,) steps of each sequence; all of them if omitted.
    """
    y, state = net.layers(features(net, inputs), state, lengths=lengths)
    return net.output(net.dropout(y)), state
