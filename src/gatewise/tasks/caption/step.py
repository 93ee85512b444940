"""A trained captioner as its encoder and a step of its decoder, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.functions import FunctionModel, Input
from ..decoder_functions import functions
from ..stepwise import Rounding, with_rounded
from .architecture import encode, encode_filled

if TYPE_CHECKING:
    from .estimator import Captioner


def step_model(captioner: Captioner, digest: str, rounded: Rounding) -> FunctionModel:
    """The model as two functions.

    Args:
        captioner: As read from a file.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It has no network.
    """
    if captioner.only == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    own = captioner.inputs_
    parts, rng = captioner._architecture(), np.random.default_rng(0)
    tensors = with_rounded(captioner._read_weights, rounded)
    clips, batches = own.kind == "clips", list[dict[str, np.ndarray]]()
    for lengths in ([2, 3, 1], [1]) if clips else ([1, 1, 1], [1]):
        shape = (*([max(lengths)] if clips else []), len(lengths), *own.shape)
        frames = (np.array(own.mean) + np.array(own.std) * rng.normal(size=shape)).astype(np.float32)
        batches.append({"frames": frames, "lengths": np.array(lengths, np.int64)})
    inputs = {"frames": Input((*(["T"] if clips else []), "B", *own.shape)), "lengths": Input(("B",), whole=True)}
    each = "frames of clips, the first ones of all clips first" if clips else f"{own.kind} as in the data"
    return FunctionModel(
        parts=parts,
        tensors=tensors,
        functions=functions(parts, tensors, encode_filled if clips else encode, inputs, batches),
        title=f"A captioner of {own.kind}, cell {captioner.find_cell().name}: its encoder, and a step of its decoder.",
        meaning=[
            f"frames   {each}, {' x '.join(map(str, own.shape))}; and lengths, {'frames' if clips else '1'} of each",
            f"token    the one that was written last; at first {captioner.tokens_.start}",
            "output   output_next of the step before, zeros at first",
            "scores   log-probabilities of the token that follows",
            "keys, values, inside and states come from the encoder; states after a step are named with _next",
        ],
        digest=digest,
    )
