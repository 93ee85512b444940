"""A trained language model without torch, as functions of its state."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import bundle
from ..algebra import Cell
from ..data.text.vocabulary import Vocabulary, Words, vocabulary_from_json
from ..decoding.ctc import log_softmax
from ..document import Count, read
from ..errors import CellError, DataError, ModelFileError
from .layers import as_carried, as_tuple, network_of
from .network import checked
from .ngrams import HIGHEST_ORDER, KneserNey
from .sequence_model import architecture, forward

_RECENT = 64  # tokens to remember: how far back an opening quotation mark is looked for
_KEY = "gatewise_state"
PLAIN = "plain.ids"  # tensor with the tokens that n-grams are counted in


@dataclass(frozen=True)
class State:
    """All that the model remembers of a text. A value: nothing changes it in place.

    Attributes:
        layers: One array (layers, 1, H) per carried name.
        scores: (V,) logits of the next token.
        recent: The last tokens, which determine how the next one is spelled (with or without a space before it).
    """

    layers: tuple[np.ndarray, ...]
    scores: np.ndarray
    recent: tuple[int, ...] = ()


class LanguageModel:
    """Predicts the next token of a text. Immutable: a state goes in, another comes out.

    Args:
        document: A model's document, as in `bundle.Bundle`.
        tensors: Its weights.

    Attributes:
        vocabulary: Its tokens.
        digest: Identifies the model file; "" if it came from none.

    Raises:
        ModelFileError: The document is not of a language model, or lacks a weight.

    Example:
        >>> model = LanguageModel.load("alice.gatewise")
        >>> state = model.begin()
        >>> for token in model.vocabulary.encode("The Queen"):
        ...     state = model.advance(state, token)
        >>> model.log_probabilities(state)
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        if document.get("task") != "generate":
            raise ModelFileError(f"the model's task is {document.get('task')!r}, but only 'generate' writes")
        if "channels" in document:
            raise ModelFileError("the model continues numbers and does not write. `Tracer` runs it")
        try:
            self.vocabulary: Vocabulary = vocabulary_from_json(document["vocabulary"])
            sizes = document["sizes"]
            block = architecture(
                cell=Cell.from_json(document["cell"]),
                input_size=read(Count, sizes["embedding_size"], "sizes.embedding_size"),
                output_size=len(tensors["output.bias"]),
                hidden_size=read(Count, sizes["hidden_size"], "sizes.hidden_size"),
                num_layers=read(Count, sizes["num_layers"], "sizes.num_layers"),
                proj_size=read(int, sizes["proj_size"], "sizes.proj_size"),
                vocabulary_size=len(tensors["embedding.weight"]),
                tied="output.weight" not in tensors,
            )
            own = {name: array for name, array in tensors.items() if name != PLAIN}
            self._net = network_of(block, checked(block, own))
            self._start = read(int, document["start"], "start")
            self.digest = str(document.get("sha256", ""))
            self._check()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, StopIteration, CellError) as error:
            raise ModelFileError(f"the model is incomplete or contradicts itself ({error}). Train it again.") from error

    @staticmethod
    def load(path: str | os.PathLike[str]) -> LanguageModel:
        """Open a model file. ModelFileError if it is none, or not of a language model."""
        found = bundle.load(path)
        return LanguageModel.of(found.document, found.tensors)

    @staticmethod
    def of(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> LanguageModel:
        """The network of a model, or where it was made without one its n-grams."""
        options = document.get("options")
        counted = isinstance(options, Mapping) and options.get("only") == "plain"
        return (CountedModel if counted else LanguageModel)(document, tensors)

    @property
    def forbidden(self) -> list[int]:
        """Tokens that stand for no text and must never be generated: padding and "unknown"."""
        return [self.vocabulary.PAD, self.vocabulary.UNK] if isinstance(self.vocabulary, Words) else []

    def begin(self) -> State:
        """The state at the beginning of a text."""
        return self.advance(None, self._start)

    @np.errstate(all="ignore")  # damaged weights show in the scores, and the sampler reports them
    def advance(self, state: State | None, token: int) -> State:
        """The state after one more token; None is the state before any."""
        before = None if state is None else as_carried(state.layers)
        scores, after = forward(self._net, np.array([[token]]), before)
        recent = () if state is None else state.recent
        return State(as_tuple(after), scores[0, 0], (*recent[1 - _RECENT :], token))

    def log_probabilities(self, state: State) -> np.ndarray:
        """(V,) log-probability of each token being next, in nats, float64."""
        return log_softmax(state.scores)

    def state_to_bytes(self, state: State) -> bytes:
        """A state as a safetensors file, which names the model that it belongs to."""
        from safetensors.numpy import save

        tensors = {f"{i}.{j}": own[0] for j, value in enumerate(state.layers) for i, own in enumerate(value)}
        tensors |= {"scores": state.scores, "recent": np.array(state.recent, np.int64)}
        return save(tensors, metadata={_KEY: json.dumps(self.digest)})

    def state_from_bytes(self, data: bytes) -> State:
        """Undo `state_to_bytes`.

        Raises:
            ValueError: These are not the bytes of a state.
            ModelFileError: They are of another model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            digest = json.loads(header.get("__metadata__", {}).get(_KEY, "null"))
            fresh = self._fresh()
            layers = [[tensors[f"{i}.{j}"][None] for i in range(len(value))] for j, value in enumerate(fresh)]
            state = State(tuple(map(np.stack, layers)), tensors["scores"], tuple(map(int, tensors["recent"])))
            known = set(range(len(self.vocabulary))).issuperset(state.recent)
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError("not a state") from error
        V = len(self.vocabulary)
        fits = _shapes([*state.layers, state.scores]) == _shapes([*fresh, np.zeros(V, np.float32)])
        if digest != self.digest or not fits or not known:
            raise ModelFileError("the state is of another model")
        return state

    def _fresh(self) -> tuple[np.ndarray, ...]:
        """What a state holds of the layers, before any token."""
        found: tuple[np.ndarray, ...] = self._net.layers.start(1)
        return found

    def _check(self) -> None:
        """Whether the vocabulary and the weights fit together. ValueError if they do not."""
        V, embedding, output = len(self.vocabulary), self._net.embedding.weight, self._net.output.weight
        for name, rows in (("embedding", embedding), ("output", output)):
            if len(rows) != V:
                raise ValueError(f"the {name} has {len(rows)} rows for a vocabulary of {V}")
        if not 0 <= self._start < V:
            raise ValueError(f"it starts with token {self._start}, in a vocabulary of {V}")


class CountedModel(LanguageModel):
    """The same from n-grams: of a model that was made without a network.

    Its state has one layer and one array, the places of the n-grams that end here.

    Args:
        document: As of `LanguageModel`, with the "plain" part of the model.
        tensors: Under `PLAIN`, the tokens of the text that n-grams are counted in.
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        if document.get("task") != "generate":
            raise ModelFileError(f"the model's task is {document.get('task')!r}, but only 'generate' writes")
        try:
            self.vocabulary = vocabulary_from_json(document["vocabulary"])
            order = read(Count, document["plain"]["order"], "plain.order")
            if order > HIGHEST_ORDER:
                raise ValueError(f"its n-grams have {order} tokens, and at most {HIGHEST_ORDER} are counted")
            self._counted = KneserNey(tensors[PLAIN], len(self.vocabulary), order)
            self._start = read(int, document["start"], "start")
            if not 0 <= self._start < len(self.vocabulary):
                raise ValueError(f"it starts with token {self._start}, in a vocabulary of {len(self.vocabulary)}")
            self.digest = str(document.get("sha256", ""))
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the model is incomplete or contradicts itself ({error}). Train it again.") from error

    def advance(self, state: State | None, token: int) -> State:
        [before] = self._fresh() if state is None else state.layers
        places = self._counted.advance(tuple(before[0, 0].tolist()), token)
        scores = np.log(self._counted.probabilities(places)).astype(np.float32)
        recent = () if state is None else state.recent
        return State((np.array(places)[None, None],), scores, (*recent[1 - _RECENT :], token))

    def _fresh(self) -> tuple[np.ndarray, ...]:
        return (np.array(self._counted.begin())[None, None],)


def _shapes(arrays: Sequence[np.ndarray]) -> list[tuple[tuple[int, ...], np.dtype]]:
    return [(array.shape, array.dtype) for array in arrays]
