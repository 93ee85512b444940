"""A trained translator as its encoder and a step of its decoder, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.functions import FunctionModel, Input
from ..decoder_functions import functions
from ..stepwise import Rounding, with_rounded
from .architecture import encode
from .texts import padded

if TYPE_CHECKING:
    from .estimator import Translator

_LENGTHS = ((5, 2, 1), (7,))  # of the examples


def step_model(translator: Translator, digest: str, rounded: Rounding) -> FunctionModel:
    """The model as two functions.

    Args:
        translator: As read from a file.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It has no network.
    """
    if translator.only == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    parts, texts = translator._architecture(), translator.texts_
    tensors = with_rounded(translator._read_weights, rounded)
    rng, V = np.random.default_rng(0), len(texts.source)
    batches = [padded([rng.integers(V, size=count) for count in lengths]) for lengths in _LENGTHS]
    inputs = {"source": Input(("S", "B"), whole=True), "lengths": Input(("B",), whole=True)}
    title = f"A translator, cell {translator.find_cell().name}: its encoder, and a step of its decoder."
    return FunctionModel(
        parts=parts,
        tensors=tensors,
        functions=functions(parts, tensors, encode, inputs, batches, copied="source"),
        title=title + _alone(translator),
        meaning=[
            "source   numbers of the tokens of texts, in the document's vocabulary; and how many each has",
            f"token    the one that was written last; at first {texts.edge}, which also ends a translation",
            "output   output_next of the step before, zeros at first",
            "scores   log-probabilities of the token that follows",
            "keys, values, inside and states come from the encoder; states after a step are named with _next",
        ],
        digest=digest,
    )


def _alone(translator: Translator) -> str:
    """That a plain method answers some texts instead of the network. OptionError if it answers all."""
    weight, plain = translator.weight_, translator.plain_
    if weight == 1 or plain is None:
        return ""
    if weight == 0:
        raise OptionError(
            f"its network answers nothing, as {plain.name} answers every text. Train it with --only network"
        )
    return f" This is its network alone, beside which {plain.name} proposes translations; that is not exported."
