"""A decoder that writes a sequence token by token and attends to an encoded input: what the networks of `caption` and
`translate` share.

B sequences, T steps of the longest, S encoded positions; V tokens, E features of a token, H units, D features of a
position.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, logsigmoid

from ..algebra import Cell
from ..errors import ShapeError
from ..nn import AdditiveAttention, MultiplicativeAttention
from ..nn.attention import Memory
from ..nn.linear import Product
from ..nn.recurrent import Options as RecurrentOptions
from ..nn.stack import Stack, dropout_mask
from ..randomness import generator
from .network import Network

Batch = dict[str, Any]  # see `AttentionDecoder.forward`


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
        label_smoothing: Share of the probability that training spreads over all tokens.
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
    label_smoothing: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_dropout: float = 0.0

    @property
    def regularisers(self) -> RecurrentOptions:
        return RecurrentOptions(
            recurrent_dropout=self.recurrent_dropout, zoneout=self.zoneout, weight_dropout=self.weight_dropout
        )


class AttentionDecoder(Network):
    """Scores each next token of a sequence. What it starts from and attends to, a subclass defines: `encode`.

    Args:
        cell: Of the layers.
        options: Sizes and rates.
        encoded_size: D.
        initial_size: Features that the initial state is computed from.
        embedding_scale: Factor of embeddings on their way in: scores need small ones, an input larger ones. Vaswani et
            al. (2017), section 3.4, take sqrt(E).
    """

    def __init__(
        self,
        cell: Cell,
        options: DecoderOptions,
        *,
        encoded_size: int,
        initial_size: int,
        embedding_scale: float = 1.0,
    ):
        super().__init__()
        E, H, V = options.embedding_size, options.hidden_size, options.vocabulary_size
        self.embedding = nn.Embedding(V, E)
        self.layers = Stack(cell, E * (1 + options.input_feeding), H, options.num_layers, **options.regularisers)
        self.layers.rate = options.dropout
        self.start = nn.ModuleDict({name: nn.Linear(initial_size, options.num_layers * H) for name in _learned(cell)})
        self.attention: AdditiveAttention | MultiplicativeAttention | None = None
        if options.attention == "additive":
            self.attention = AdditiveAttention(H, encoded_size, options.attention_size)
        elif options.attention == "multiplicative":
            self.attention = MultiplicativeAttention(H, encoded_size)
        self.combine = nn.Linear(H + (encoded_size if self.attention is not None else 0), E)
        self.output = nn.Linear(E, V)
        self.gate = nn.Linear(E, 1) if options.copy_mechanism else None  # open: generates instead of copying
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(E))
        nn.init.zeros_(self.output.bias)
        self.output.weight = self.embedding.weight
        letters = cell.sizes(E, H, 0)
        self.carried_sizes = [letters[letter] for letter in cell.carry_sizes]
        self.cell, self.input_feeding, self.embedding_scale = cell, options.input_feeding, embedding_scale
        self.dropout_rate, self.label_smoothing = options.dropout, options.label_smoothing

    @abstractmethod
    def encode(self, batch: Batch) -> tuple[Tensor, Memory | None]:
        """For each sequence the features (B, initial_size) of its initial state, and what it attends to; see `memory`.

        Args:
            batch: Tensors, on the device of the network.
        """

    # Parts. `encode` and the steps below are made of them.

    def dropout(self, x: Tensor) -> Tensor:
        return x * dropout_mask(x, self.dropout_rate) if self.training and self.dropout_rate else x

    def embed(self, tokens: Tensor) -> Tensor:
        """(..., E) features of tokens as the decoder reads them."""
        return self.dropout(self.embedding(tokens) * self.embedding_scale)

    def memory(self, encoded: Tensor, lengths: Tensor) -> Memory | None:
        """Encoded positions (S, B, D), prepared for attention; None without attention."""
        return None if self.attention is None else self.attention.memory(self.dropout(encoded), lengths=lengths)

    def select(self, memory: Memory, rows: Tensor) -> Memory:
        """The memory of these rows, some of them perhaps several times."""
        inside = None if memory.inside is None else memory.inside[rows]
        steps = memory.steps if isinstance(memory.steps, int) else memory.steps[rows]
        return Memory(memory.keys[rows], memory.values[rows], inside, steps)

    def initial_state(self, features: Tensor) -> list[Tensor]:
        """The state before the first token, (layers, B, ...) per carried name."""
        layers, rows = self.layers.num_layers, len(features)
        return [
            torch.tanh(self.start[name](features)).view(rows, layers, -1).transpose(0, 1).contiguous()
            if name in self.start
            else features.new_zeros(layers, rows, size)
            for name, size in zip(self.cell.carry, self.carried_sizes, strict=True)
        ]

    def recur(self, x: Tensor, state: list[Tensor], lengths: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The layers' output (T, B, H), and the state after."""
        y, after = self.layers(x, tuple(state) if len(state) > 1 else state[0], lengths=lengths)
        return y, list(after) if len(state) > 1 else [after]

    def combined(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """The decoder's output (T, B, E) from the layers' output and the context (T, B, D) of the attention."""
        return torch.tanh(self.combine(y if context is None else self.concatenate([context, y])))

    def advance(
        self, x: Tensor, state: list[Tensor], memory: Memory | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """One or more steps.

        Args:
            x: (T, B, E), or with input feeding (1, B, 2E).

        Returns:
            The decoder's output (T, B, E); the state after; and the attention weights (B, T, S).
        """
        y, after = self.recur(x, state, lengths)
        if self.attention is None:
            return self.combined(y), after, None
        assert memory is not None
        context, weights = self.attention.read(y, memory)
        return self.combined(y, context), after, weights

    def scores(
        self,
        y: Tensor,
        weights: Tensor | None,
        source_tokens: Tensor | None,
        output: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Unnormalised log-probabilities of the next token, (N, V).

        Args:
            y: The decoder's output, (N, E).
            weights: Its attention weights, (N, S).
            source_tokens: (N, S); see the method.
            output: A faster way to what `self.output` computes.
        """
        scores = (output or self.output)(y)
        if self.gate is None:
            return scores
        assert weights is not None
        assert source_tokens is not None
        gate, scores = self.gate(y).float(), scores.float()
        attended = torch.zeros_like(scores).scatter_add(1, source_tokens, weights.float())
        copied = attended.clamp_min(torch.finfo(attended.dtype).tiny).log()
        return torch.logaddexp(logsigmoid(gate) + log_softmax(scores, -1), logsigmoid(-gate) + copied)

    def source_tokens(self, batch: Batch) -> Tensor | None:
        """The tokens (B, S) of the source that may be copied; None without a copy mechanism."""
        return None if self.gate is None else batch["source"].T

    def tensors(self, batch: Mapping[str, Any]) -> Batch:
        """A batch whose arrays are tensors on the device of the network."""
        device = self.embedding.weight.device
        return {
            name: torch.as_tensor(value, device=device) if isinstance(value, np.ndarray | Tensor) else value
            for name, value in batch.items()
        }

    # All steps of known targets.

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The decoder's output (T, B, E) and attention weights (B, T, S) with teacher forcing; or, with the probability
        batch["sampling"], fed a token that it drew itself (scheduled sampling, Bengio et al. 2015).

        Args:
            batch: "inputs" (T, B), tokens from the start on; "target_lengths" (B,); and what `encode` reads.
        """
        inputs = batch["inputs"]
        features, memory = self.encode(batch)
        state = self.initial_state(features)
        sampling = float(batch.get("sampling", 0.0)) if self.training else 0.0
        if not self.input_feeding and not sampling:
            y, _, weights = self.advance(self.embed(inputs), state, memory, batch["target_lengths"])
            return self.dropout(y), weights
        outputs: list[Tensor] = []
        attention: list[Tensor] = []
        source_tokens = self.source_tokens(batch)
        output = features.new_zeros(inputs.shape[1], self.output.in_features)
        for step, tokens in enumerate(inputs):
            if sampling and step:
                weights = attention[-1][:, 0].detach() if attention else None
                own = generator(tokens.device)
                shares = self.scores(output.detach(), weights, source_tokens).softmax(-1)
                drawn = shares.multinomial(1, generator=own)[:, 0]
                replaced = torch.rand(tokens.shape, device=tokens.device, generator=own) < sampling
                tokens = torch.where(replaced, drawn, tokens)
            x = self.embed(tokens)
            x = self.concatenate([x, output]) if self.input_feeding else x
            y, state, weights = self.advance(x[None], state, memory)
            output = self.dropout(y[0])
            outputs.append(output)
            attention += [] if weights is None else [weights]
        return torch.stack(outputs), torch.cat(attention, 1) if attention else None

    def teacher_forced(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Scores (N, V) of each known token of batch["targets"] (T, B), given those before it; and the tokens (N,). A
        negative target is not known.

        Args:
            batch: As of `forward`; arrays will do.
        """
        batch = self.tensors(batch)
        targets = batch["targets"]
        known = targets >= 0
        y, weights = self(batch)
        source_tokens = self.source_tokens(batch)
        if source_tokens is not None and weights is not None:
            weights, source_tokens = weights.transpose(0, 1)[known], source_tokens[known.nonzero()[:, 1]]
        return self.scores(y[known], weights, source_tokens), targets[known]

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        scores, targets = self.teacher_forced(batch)
        return cross_entropy(scores.float(), targets, label_smoothing=self.label_smoothing)

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        scores, targets = self.teacher_forced(batch)
        return cross_entropy(scores.float(), targets, reduction="sum"), len(targets)

    # One token at a time.

    def decoder_step(self, batch: Mapping[str, Any], width: int = 1) -> DecoderStep:
        """What `decoding.decode` asks for the next tokens; see `DecoderStep`."""
        return DecoderStep(self, batch, width)

    @property
    def row_multiple(self) -> int:
        """A multiple of this many rows is enough for each thread, so that PyTorch's matrix products treat all alike."""
        return 16 * torch.get_num_threads()


class DecoderStep:
    """A network as the `Step` of beam search: scores the next token of each row.

    A row's result has the same bits whatever rows are beside it. The layers see to that themselves, but other matrix
    products are computed differently for very few rows. So the number of rows is rounded up to a multiple of
    `row_multiple` here, by repeating rows. The positions of a batch, or its rows, should be as many too.

    Args:
        network: In evaluation mode.
        batch: What `encode` reads, as arrays; the first rows are its sequences.
        width: Most rows of one sequence. They read their memory together.
    """

    @torch.no_grad()
    def __init__(self, network: AttentionDecoder, batch: Mapping[str, Any], width: int = 1):
        self.network, self.width = network, width
        tensors = network.tensors(batch)
        features, self._memory = network.encode(tensors)
        self._state = network.initial_state(features[self._filled(np.arange(len(features)))])
        self._source_tokens = network.source_tokens(tensors)
        self._scores = Product(network.output)
        self._sequence = np.arange(len(features))
        self._output = features.new_zeros(self._state[0].shape[1], network.output.in_features)
        self._held: Memory | None = None  # the memory of the sequences that still have rows
        self._held_sequences = np.zeros(0, np.int64)  # which these are, ascending

    @torch.no_grad()
    def __call__(self, tokens: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        network, count, index = self.network, len(tokens), self._filled(parents)
        self._sequence = self._sequence[parents]
        x = network.embed(torch.from_numpy(np.resize(tokens, len(index))).to(self._output.device))
        if network.input_feeding:
            x = network.concatenate([x, self._output[index]])
        y, self._state = network.recur(x[None], [values[:, index] for values in self._state])
        context, weights = self._attend(y[0])
        self._output = network.combined(y[0], context)
        source_tokens = None if self._source_tokens is None else self._source_tokens[self._filled(self._sequence)]
        scores = network.scores(self._output, weights, source_tokens, self._scores)
        log_p = log_softmax(scores[:count], -1).cpu().numpy()
        return log_p, None if weights is None else weights[:count].cpu().numpy()

    def _attend(self, y: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The context (N, D) of each row, and its attention weights (N, S)."""
        if self._memory is None:
            return None, None
        assert self.network.attention is not None
        alive = np.unique(self._sequence)
        if self._held is None or len(self._filled(alive)) != len(self._filled(self._held_sequences)):
            self._held_sequences, self._held = alive, self.network.select(self._memory, self._filled(alive))
        ranks = _ranks(self._sequence)
        if ranks.max() >= self.width:
            raise ShapeError(f"a sequence has {ranks.max() + 1} rows, but at most {self.width} were announced")
        places = torch.from_numpy(np.searchsorted(self._held_sequences, self._sequence) * self.width + ranks)
        size = len(self._held.values)
        queries = y.new_zeros(size * self.width, y.shape[1])
        queries[places] = y[: len(places)]
        context, weights = self.network.attention.read(queries.view(size, self.width, -1).transpose(0, 1), self._held)
        rows = self._filled(places.numpy())
        return context.transpose(0, 1).flatten(0, 1)[rows], weights.flatten(0, 1)[rows]

    def _filled(self, rows: np.ndarray) -> Tensor:
        """These rows, repeated from the first until they are a multiple of `row_multiple`."""
        multiple = self.network.row_multiple
        return torch.from_numpy(np.resize(rows, -(-len(rows) // multiple) * multiple))


def _ranks(sequences: np.ndarray) -> np.ndarray:
    """For each row, how many rows of its sequence stand before it."""
    order = np.argsort(sequences, kind="stable")
    ordered = sequences[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return ranks


def _learned(cell: Cell) -> list[str]:
    """The carried values whose initial state is learned: output and memory, one value per unit. Others, such as
    normalisers, start as they always do."""
    return [name for name, size in zip(cell.carry, cell.carry_sizes, strict=True) if name in "hc" and size == "H"]
