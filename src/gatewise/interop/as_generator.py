"""A chain that predicts the next token at each step, as a `Generator`: it samples, streams and completes text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.text.vocabulary import Characters, Vocabulary, Words
from ..errors import OptionError
from ..runtime.network import checked
from ..runtime.sequential import Activation, Dense, Embedding, Layer, Recurrent
from ..tasks.document import cell_from
from ..tasks.generate.estimator import Generator
from ..tasks.generate.text.sizing import Sizing
from ..tasks.sequential.texts import PADDING, Tokens
from .as_ours import numbered, special, stacked
from .chain import Chain, Placed

Array = np.ndarray

_OF_SCORES = ("linear", "softmax", "log_softmax")  # activations that leave open how likely each token is
_NEVER = np.float32(-1e4)  # the score of a token that the file does not have


@dataclass(frozen=True)
class Sorted:
    """A vocabulary of ours for the tokens of a file.

    Attributes:
        rows: Of each of our tokens, its number in the file; -1 where it has none.
        left_out: Tokens of the file that no text of ours holds.
    """

    vocabulary: Vocabulary
    rows: Array
    left_out: tuple[str, ...] = ()


def generator(chain: Chain, tokens: Tokens, training: Mapping[str, Any]) -> tuple[Generator, Sorted]:
    """The same model as one of ours, and where its tokens went.

    Raises:
        OptionError: It is another network than embedding, recurrent layers of one size, and scores at each step.
    """
    embedding, stack, output = _parts(chain)
    first = stack[0].layer
    assert isinstance(first, Recurrent)
    assert isinstance(embedding.layer, Embedding)
    ordered = sorted_tokens(tokens, embedding.layer)
    bias = output.weights.get("bias", np.zeros(len(output.weights["weight"]), np.float32))
    weights = {
        "embedding.weight": _rows(embedding.weights["weight"], ordered.rows),
        "output.weight": _rows(output.weights["weight"], ordered.rows),
        "output.bias": _rows(bias, ordered.rows, _NEVER),
        **stacked(stack),
    }
    model = Generator(
        cell=cell_from({"cell": first.program}), tokens="words" if ordered.vocabulary.kind == "words" else "characters"
    )
    model.vocabulary_, model.numbers_, model.plain_ = ordered.vocabulary, None, None
    model.start_ = _start(ordered.vocabulary)
    model.sizing_ = Sizing(
        vocabulary_size=len(ordered.vocabulary),
        embedding_size=weights["embedding.weight"].shape[1],
        hidden_size=first.hidden_size,
        num_layers=len(stack),
        proj_size=first.proj_size,
        dropout=0.0,
        learning_rate=0.001,
        epochs=1.0,
        batch_size=32,
        chunk_length=100,
        parameters=sum(array.size for array in weights.values()),
        tied=False,
    )
    model.provenance_, model.metrics_, model.history_, model.schema_ = dict(training), {}, {}, None
    model._read_weights = checked(model._architecture(), weights)
    return model, ordered


def _parts(chain: Chain) -> tuple[Placed, list[Placed], Placed]:
    """Embedding, recurrent layers, output. OptionError if it is something else."""
    layers = list(chain.layers)
    if isinstance(layers[-1].layer, Activation) and layers[-1].layer.name in _OF_SCORES:
        layers.pop()
    stack, output = layers[1:-1], layers[-1]
    first = stack[0].layer if stack else None
    if not isinstance(layers[0].layer, Embedding) or not isinstance(output.layer, Dense) or first is None:
        raise _other(chain.kinds)
    alike = ("program", "hidden_size", "proj_size")
    for placed in stack:
        layer = placed.layer
        plain = isinstance(layer, Recurrent) and (layer.direction, layer.outputs) == ("forward", "steps")
        if not plain or any(getattr(layer, name) != getattr(first, name) for name in alike):
            raise _other(chain.kinds)
    if output.layer.activation not in (("linear",) if len(layers) < len(chain.layers) else _OF_SCORES):
        raise _other(chain.kinds)
    if output.layer.outputs != layers[0].layer.count:
        raise OptionError(
            f"the model reads {layers[0].layer.count} tokens and scores {output.layer.outputs}, so it continues no text"
        )
    return layers[0], stack, output


def _other(layers: tuple[Layer, ...]) -> OptionError:
    kinds = ", ".join(layer.kind for layer in layers)
    return OptionError(
        f"task='generate' needs an embedding, recurrent layers of one size that read forward, and a dense layer at "
        f"each step; this is {kinds}. Leave --task out"
    )


def sorted_tokens(tokens: Tokens, layer: Embedding) -> Sorted:
    """Our vocabulary of the tokens that a layer reads. OptionError if some have no name, or one is none of them."""
    place = numbered(tokens, layer)
    if layer.mask_zero and (nothing := next((name for name in place if place[name] == 0 and name not in PADDING), "")):
        raise OptionError(f"token 0 stands for no step in this model, and for {nothing!r} in the vocabulary")
    if tokens.kind == "characters":
        left_out = tuple(token for token in place if len(token) != 1)
        known = Characters(token for token in place if len(token) == 1)
        return Sorted(known, np.array([place[character] for character in known.characters]), left_out)
    padding, unknown = special(place, layer)
    words = [word for word in place if word]
    return Sorted(Words(words), np.array([padding, unknown, *(place[word] for word in words)]))


def _rows(matrix: Array, rows: Array, missing: np.float32 | float = 0.0) -> Array:
    found = np.asarray(matrix, np.float32)[np.maximum(rows, 0)]
    found[rows < 0] = missing
    return found


def _start(vocabulary: Vocabulary) -> int:
    """What is read before an empty prompt: a line end or a space, where there is one."""
    for text in ("\n", " "):
        if not vocabulary.unseen(text) and len(ids := vocabulary.encode(text)):
            return int(ids[-1])
    return len(vocabulary) - 1
