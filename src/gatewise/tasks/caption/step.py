"""A trained captioner as its encoder and a step of its decoder, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.functions import FunctionModel, Input
from ..decoder_functions import functions
from ..stepwise import Rounding, with_rounded
from .architecture import encode

if TYPE_CHECKING:
    from .estimator import Captioner


def step_model(captioner: Captioner, digest: str, rounded: Rounding) -> FunctionModel:
    """The model as two functions.

    Args:
        captioner: As read from a file.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It has no network, or watches clips.
    """
    if captioner.only == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    own = captioner.inputs_
    if own.kind == "clips":
        raise OptionError("it watches clips, whose frames are sorted by their number")
    parts, rng = captioner._architecture(), np.random.default_rng(0)
    tensors = with_rounded(captioner._read_weights, rounded)
    batches: list[dict[str, np.ndarray]] = [
        {
            "frames": (np.array(own.mean) + np.array(own.std) * rng.normal(size=(rows, *own.shape))).astype(np.float32),
            "lengths": np.ones(rows, np.int64),
        }
        for rows in (3, 1)
    ]
    inputs = {"frames": Input(("B", *own.shape)), "lengths": Input(("B",), whole=True)}
    return FunctionModel(
        parts=parts,
        tensors=tensors,
        functions=functions(parts, tensors, encode, inputs, batches),
        title=f"A captioner of {own.kind}, cell {captioner.find_cell().name}: its encoder, and a step of its decoder.",
        meaning=[
            f"frames   {own.kind} as in the data, {' x '.join(map(str, own.shape))}; and lengths, 1 of each",
            f"token    the one that was written last; at first {captioner.tokens_.start}",
            "output   output_next of the step before, zeros at first",
            "scores   log-probabilities of the token that follows",
            "keys, values, inside and states come from the encoder; states after a step are named with _next",
        ],
        digest=digest,
    )
