"""A decoder that writes a sequence token by token and attends to an encoded input, said once: what the networks of
`caption` and `translate` share.

B sequences, T steps of the longest, S encoded positions; V tokens, E features of a token, H units, D features of a
position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..algebra import Cell
from ..errors import ShapeError
from ..runtime.layers import as_carried, as_tuple
from ..runtime.network import (
    AdditiveAttention,
    Block,
    Embedding,
    Linear,
    MaskDropout,
    MultiplicativeAttention,
    Stack,
)

Batch = Mapping[str, Any]
Encode = Callable[[Any, Batch], tuple[Any, Any]]  # see `forward`

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """Sizes and rates of an `AttentionDecoder`.

    Attributes:
        vocabulary_size: V, including the tokens that start and end a sequence.
        embedding_size: E. The decoder's output has as many values: it is scored against the tokens' embeddings.
        hidden_size, num_layers: Of the recurrent layers.
        attention: "additive" (Bahdanau et al. 2015), "multiplicative" (the general score of Luong et al. 2015), or
            "none": then the decoder knows nothing but its initial state.
        attention_size: Units of the additive one; H if omitted.
        input_feeding: The decoder also reads its output of the step before (Luong et al. 2015, section 3.3).
        copy_mechanism: It may also copy a token of the source: a gate predicts how likely it is to (See et al. 2017,
            section 2.2, without coverage). Source and target must share their ids.
        dropout: Probability of zeroing a feature of a token, a value between layers or one before the scores.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`. With input feeding their masks are
            drawn anew at each step.
    """

    vocabulary_size: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    attention: str = "additive"
    attention_size: int | None = None
    input_feeding: bool = True
    copy_mechanism: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_dropout: float = 0.0

    @property
    def regularisers(self) -> dict[str, Any]:
        names = ("recurrent_dropout", "zoneout", "weight_dropout")
        return {name: getattr(self, name) for name in names}


def decoder_parts(
    cell: Cell,
    options: DecoderOptions,
    *,
    encoded_size: int,
    initial_size: int,
    embedding_scale: float = 1.0,
) -> dict[str, Any]:
    """Parts that score each next token of a sequence, by name.

    Args:
        cell: Of the layers.
        options: Sizes and rates.
        encoded_size: D.
        initial_size: Features that the initial state is computed from.
        embedding_scale: Factor of embeddings on their way in: scores need small ones, an input larger ones. Vaswani et
            al. (2017), section 3.4, take sqrt(E).
    """
    E, H, V = options.embedding_size, options.hidden_size, options.vocabulary_size
    letters = cell.sizes(E, H, 0)
    layers = Stack(
        cell=cell,
        input_size=E * (1 + options.input_feeding),
        hidden_size=H,
        num_layers=options.num_layers,
        dropout=options.dropout,
        **options.regularisers,
    )
    attention: Any = None
    if options.attention == "additive":
        attention = AdditiveAttention(H, encoded_size, options.attention_size or H)
    elif options.attention == "multiplicative":
        attention = MultiplicativeAttention(H, encoded_size)
    return {
        "embedding": Embedding(V, E),
        "layers": layers,
        "start": Block({name: Linear(initial_size, options.num_layers * H, exact=True) for name in _learned(cell)}),
        "attention": attention,
        "combine": Linear(H + (encoded_size if attention is not None else 0), E, exact=True),
        "output": Linear(E, V, exact=True),
        "gate": Linear(E, 1, exact=True) if options.copy_mechanism else None,  # open: generates instead of copying
        "dropout": MaskDropout(options.dropout),
        "embedding_size": E,
        "embedding_scale": embedding_scale,
        "input_feeding": options.input_feeding,
        "num_layers": options.num_layers,
        # Of each value that the cell carries its name, its size, and whether its beginning is learned.
        "carry": tuple(
            (name, letters[size], name in _learned(cell))
            for name, size in zip(cell.carry, cell.carry_sizes, strict=True)
        ),
    }


TIED = {"output.weight": "embedding.weight"}  # the decoder's output is scored against the tokens' embeddings


def _learned(cell: Cell) -> list[str]:
    """The carried values whose initial state is learned: output and memory, one value per unit. Others, such as
    normalisers, start as they always do."""
    return [name for name, size in zip(cell.carry, cell.carry_sizes, strict=True) if name in "hc" and size == "H"]


# Steps. `net` has the parts above; what it starts from and attends to, each task says in a function: `encode`.


def embed(net: Any, tokens: Any) -> Any:
    """(..., E) features of tokens as the decoder reads them."""
    return net.dropout(net.embedding(tokens) * net.embedding_scale)


def memory_of(net: Any, encoded: Any, lengths: Any) -> Any:
    """Encoded positions (S, B, D), prepared for attention; None without attention."""
    return None if net.attention is None else net.attention.memory(net.dropout(encoded), lengths=lengths)


def selected(memory: Any, rows: Any) -> Any:
    """The memory of these rows, some of them perhaps several times."""
    return type(memory)(*(value[rows] if hasattr(value, "shape") else value for value in memory))


def initial_state(net: Any, features: Any) -> list[Any]:
    """The state before the first token, (layers, B, ...) per carried name.

    Args:
        features: (B, initial_size).
    """
    layers, rows = net.num_layers, len(features)
    return [
        net.ops.contiguous(net.ops.tanh(getattr(net.start, name)(features)).reshape(rows, layers, size).swapaxes(0, 1))
        if learned
        else net.ops.zeros((layers, rows, size), features)
        for name, size, learned in net.carry
    ]


def recur(net: Any, x: Any, state: list[Any], lengths: Any = None) -> tuple[Any, list[Any]]:
    """The layers' output (T, B, H), and the state after."""
    y, after = net.layers(x, as_carried(tuple(state)), lengths=lengths)
    return y, list(as_tuple(after))


def combined(net: Any, y: Any, context: Any = None) -> Any:
    """The decoder's output (T, B, E) from the layers' output and the context (T, B, D) of the attention."""
    return net.ops.tanh(net.combine(y if context is None else net.ops.concatenate([context, y])))


def advance(net: Any, x: Any, state: list[Any], memory: Any, lengths: Any = None) -> tuple[Any, list[Any], Any]:
    """One or more steps.

    Args:
        x: (T, B, E), or with input feeding (1, B, 2E).

    Returns:
        The decoder's output (T, B, E); the state after; and the attention weights (B, T, S), or None.
    """
    y, after = recur(net, x, state, lengths)
    if net.attention is None:
        return combined(net, y), after, None
    context, weights = net.attention.read(y, memory)
    return combined(net, y, context), after, weights


def scores(net: Any, y: Any, weights: Any, source_tokens: Any) -> Any:
    """Unnormalised log-probabilities of the next token, (N, V).

    Args:
        y: The decoder's output, (N, E).
        weights: Its attention weights, (N, S).
        source_tokens: (N, S); see the function.
    """
    ops, found = net.ops, net.output(y)
    if net.gate is None:
        return found
    gate, found = ops.as_float(net.gate(y)), ops.as_float(found)
    attended = ops.summed_at(ops.as_float(weights), source_tokens, found.shape[1])
    copied = ops.log(ops.clip(attended, _TINY, None))
    return ops.logaddexp(ops.log_sigmoid(gate) + ops.log_softmax(found, -1), ops.log_sigmoid(-gate) + copied)


def source_tokens(net: Any, batch: Batch) -> Any:
    """The tokens (B, S) of the source that may be copied; None without a copy mechanism."""
    return None if net.gate is None else batch["source"].swapaxes(0, 1)


# All steps of known targets.


def forward(net: Any, batch: Batch, encode: Encode, replaced: Callable[..., Any] | None = None) -> tuple[Any, Any]:
    """The decoder's output (T, B, E) and attention weights (B, T, S) with teacher forcing.

    Args:
        batch: "inputs" (T, B), tokens from the start on; "target_lengths" (B,); and what `encode` reads.
        encode: Gives of a network and a batch, for each sequence, the features (B, initial_size) of its initial state,
            and what it attends to; see `memory_of`.
        replaced: Gives other tokens to read instead of those of a step, from that step's tokens (B,), the output
            (B, E) and attention weights (B, S) before it, and the `source_tokens`.
    """
    inputs, ops = batch["inputs"], net.ops
    features, memory = encode(net, batch)
    state = initial_state(net, features)
    if not net.input_feeding and replaced is None:
        y, _, weights = advance(net, embed(net, inputs), state, memory, batch["target_lengths"])
        return net.dropout(y), weights
    outputs: list[Any] = []
    attention: list[Any] = []
    tokens_of_source = source_tokens(net, batch)
    output = ops.zeros((inputs.shape[1], net.embedding_size), features)
    for step, tokens in enumerate(inputs):
        if replaced is not None and step:
            tokens = replaced(tokens, output, attention[-1][:, 0] if attention else None, tokens_of_source)
        x = embed(net, tokens)
        x = ops.concatenate([x, output]) if net.input_feeding else x
        y, state, weights = advance(net, x[None], state, memory)
        output = net.dropout(y[0])
        outputs.append(output)
        attention += [] if weights is None else [weights]
    return ops.stack(outputs), ops.concatenate(attention, 1) if attention else None


def teacher_forced(
    net: Any, batch: Batch, encode: Encode, replaced: Callable[..., Any] | None = None
) -> tuple[Any, Any]:
    """Scores (N, V) of each known token of batch["targets"] (T, B), given those before it; and the tokens (N,). A
    negative target is not known. Arguments as of `forward`."""
    targets, ops = batch["targets"], net.ops
    known = targets >= 0
    y, weights = forward(net, batch, encode, replaced)
    tokens_of_source = source_tokens(net, batch)
    if tokens_of_source is not None and weights is not None:
        columns = ops.broadcast_to(ops.arange(targets.shape[1], targets), targets.shape)[known]
        weights, tokens_of_source = weights.swapaxes(0, 1)[known], tokens_of_source[columns]
    return scores(net, y[known], weights, tokens_of_source), targets[known]


# One token at a time, on numpy's arrays.


class DecoderStep:
    """A network as the `Step` of beam search: scores the next token of each row.

    A row's result has the same bits whatever rows are beside it: so all matrix products are exact ones.

    Args:
        net: With the parts of `decoder_parts`, on numpy's arrays.
        encode: See `forward`.
        batch: What `encode` reads; the first rows are its sequences.
        width: Most rows of one sequence. They read their memory together.
    """

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def __init__(self, net: Any, encode: Encode, batch: Batch, width: int = 1):
        self.net, self.width = net, width
        features, self._memory = encode(net, batch)
        self._state = initial_state(net, features)
        self._source_tokens = source_tokens(net, batch)
        self._sequence = np.arange(len(features))
        self._output = np.zeros((len(features), net.embedding_size), np.float32)
        self._held: Any = None  # the memory of the sequences that still have rows
        self._held_sequences = np.zeros(0, np.int64)  # which these are, ascending

    @np.errstate(all="ignore")
    def __call__(self, tokens: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        net = self.net
        self._sequence = self._sequence[parents]
        x = embed(net, tokens)
        if net.input_feeding:
            x = net.ops.concatenate([x, self._output[parents]])
        y, self._state = recur(net, x[None], [values[:, parents] for values in self._state])
        context, weights = self._attend(y[0])
        self._output = combined(net, y[0], context)
        tokens_of_source = None if self._source_tokens is None else self._source_tokens[self._sequence]
        return net.ops.log_softmax(scores(net, self._output, weights, tokens_of_source), -1), weights

    def _attend(self, y: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The context (N, D) of each row, and its attention weights (N, S)."""
        if self._memory is None:
            return None, None
        alive = np.unique(self._sequence)
        if self._held is None or 2 * len(alive) <= len(self._held_sequences):
            self._held_sequences, self._held = alive, selected(self._memory, alive)
        ranks = _ranks(self._sequence)
        if ranks.max() >= self.width:
            raise ShapeError(f"a sequence has {ranks.max() + 1} rows, but at most {self.width} were announced")
        places = np.searchsorted(self._held_sequences, self._sequence) * self.width + ranks
        size = len(self._held.values)
        queries = np.zeros((size * self.width, y.shape[1]), y.dtype)
        queries[places] = y
        queries = queries.reshape(size, self.width, -1).swapaxes(0, 1)
        context, weights = self.net.attention.read(queries, self._held)
        flat = context.swapaxes(0, 1).reshape(size * self.width, -1)
        return flat[places], weights.reshape(size * self.width, -1)[places]


def _ranks(sequences: np.ndarray) -> np.ndarray:
    """For each row, how many rows of its sequence stand before it."""
    order = np.argsort(sequences, kind="stable")
    ordered = sequences[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return ranks
