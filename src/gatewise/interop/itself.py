"""Whether the chain that a model of ours is written as answers what the model itself does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..runtime import sequential
from ..runtime.sequence_model import forward as of_generator
from . import chain as chains
from .chain import Chain
from .proof import Answers, Proof, compared, examples, prove

Array = np.ndarray

_PEER = "the chain of its layers"
_TEXTS, _WORDS = 6, 20  # of a classifier


def prove_chain(model: Any, chain: Chain) -> Proof:
    """Run the model by what predicts with it, and the chain, on the same inputs: random ones, or texts of a classifier.

    Args:
        model: As read from a file, without compression.
        chain: What `as_chain.chain_of` made of it.

    Raises:
        ModelFileError: They differ.
    """
    inputs: Iterable[Any] = examples(chain.kinds, chain.steps)
    ours, read = _of_sequences(model), lambda x: x
    if model.task == "classify":
        inputs, ours, read = _texts(model), _of_texts(model), lambda text: _words(model, text)
    theirs = compared(chain.kinds, lambda x: chains.run(chain, read(x)))
    return prove(compared(chain.kinds, ours), theirs, _PEER, inputs)


def _of_sequences(model: Any) -> Answers:
    """What a model answers that reads what its chain does."""
    if model.task == "generate":
        return lambda x: of_generator(model._net, x)[0]
    return lambda x: sequential.forward(model._net, model.layers_, x)


def _of_texts(model: Any) -> Answers:
    predictor = model._predictor()
    return lambda text: predictor.outputs(model.inputs_.of_texts([text]), np.arange(1))


def _texts(model: Any) -> Iterator[str]:
    """Some of the words that a classifier knows, at random, and one that it does not."""
    text, random = model.inputs_.text, np.random.default_rng(0)
    known = [*text.words, "\N{REPLACEMENT CHARACTER}"]
    for count in random.integers(1, _WORDS, _TEXTS):
        chosen = random.integers(len(known), size=count)
        yield ("" if text.tokens == "characters" else " ").join(known[place] for place in chosen)


def _words(model: Any, text: str) -> Array:
    """(T, 1) numbers of its tokens."""
    found: Array = model.inputs_.encode(model.inputs_.of_texts([text]))["words"]
    return found
