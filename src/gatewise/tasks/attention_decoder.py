"""A decoder that writes word by word and looks back at what it was given, whatever made that: the part that networks of
`caption` and `translate` share.

B sequences, T steps of the longest, S places to look at; V tokens, E features of one, H units, D features of a place.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
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
from ..nn.stack import Stack, dropout_mask
from .network import Network

Batch = dict[str, Any]  # see `AttentionDecoder.put_out`


class AttentionDecoder(Network):
    """Writes a sequence token by token. What it looks at, and begins with, is for a subclass to say: `look`.

    Args:
        cell: Of the layers.
        vocabulary_size: V, with the tokens around a sequence.
        embedding_size: E. What the decoder puts out has as many values: it is scored with the tokens' embeddings.
        hidden_size, num_layers: Of the layers.
        places_size: D.
        first_size: Features that its first state is made of.
        attention: "additive" (Bahdanau et al. 2015), "multiplicative" (the general score of Luong et al. 2015), or
            "none": then all it knows is the state that it begins with.
        attention_size: Units of the additive one.
        input_feeding: The decoder also reads what it put out at the step before (Luong et al. 2015, section 3.3).
        copying: It may also write a token that stands where it looks: a gate says how likely (See et al. 2017, section
            2.2, without what coverage adds). Places must have tokens, with the same ids as those that are written.
        dropout: Chance that a feature of a token, a value between layers or one before the scores is zeroed.
        label_smoothing: Share of the probability that the target leaves to all tokens alike.
        scale: What embeddings are multiplied by on their way in: scores want small ones, an input larger ones.
            Vaswani et al. (2017), section 3.4, take sqrt(E).
        drawn: The layers' recurrent_dropout, zoneout and weight_dropout; see `Recurrent`. With input feeding they are
            drawn anew at each step.
    """

    def __init__(
        self,
        cell: Cell,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        places_size: int,
        first_size: int,
        attention: str = "additive",
        attention_size: int | None = None,
        input_feeding: bool = True,
        copying: bool = False,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        scale: float = 1.0,
        **drawn: Any,
    ):
        super().__init__()
        E, H = embedding_size, hidden_size
        self.embedding = nn.Embedding(vocabulary_size, E)
        self.layers = Stack(cell, E * (1 + input_feeding), H, num_layers, **drawn)
        self.layers.rate = dropout
        self.start = nn.ModuleDict({name: nn.Linear(first_size, num_layers * H) for name in _begun(cell)})
        self.attention: AdditiveAttention | MultiplicativeAttention | None = None
        if attention == "additive":
            self.attention = AdditiveAttention(H, places_size, attention_size)
        elif attention == "multiplicative":
            self.attention = MultiplicativeAttention(H, places_size)
        self.combine = nn.Linear(H + (places_size if self.attention is not None else 0), E)
        self.output = nn.Linear(E, vocabulary_size)
        self.gate = nn.Linear(E, 1) if copying else None  # open: writes by itself
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(E))
        nn.init.zeros_(self.output.bias)
        self.output.weight = self.embedding.weight
        letters = cell.sizes(E, H, 0)
        self.carried_sizes = [letters[letter] for letter in cell.carry_sizes]
        self.cell, self.input_feeding = cell, input_feeding
        self.dropout, self.label_smoothing, self.scale = dropout, label_smoothing, scale

    @abstractmethod
    def look(self, batch: Batch) -> tuple[Tensor, Memory | None]:
        """What each sequence of a batch begins with, (B, first_size), and what it can look at: see `memory`."""

    def memory(self, places: Tensor, lengths: Tensor) -> Memory | None:
        """Places (S, B, D) made ready to be looked at."""
        return None if self.attention is None else self.attention.memory(self.dropped(places), lengths=lengths)

    def begun(self, first: Tensor) -> list[Tensor]:
        """The state before the first token, (layers, B, ...) per carried name."""
        layers, rows = self.layers.num_layers, len(first)
        return [
            torch.tanh(self.start[name](first)).view(rows, layers, -1).transpose(0, 1).contiguous()
            if name in self.start
            else first.new_zeros(layers, rows, size)
            for name, size in zip(self.cell.carry, self.carried_sizes, strict=True)
        ]

    def embedded(self, tokens: Tensor) -> Tensor:
        return self.dropped(self.embedding(tokens) * self.scale)

    def dropped(self, x: Tensor) -> Tensor:
        return x * dropout_mask(x, self.dropout) if self.training and self.dropout else x

    def advance(
        self, x: Tensor, state: list[Tensor], memory: Memory | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Some steps on.

        Args:
            x: (T, B, E), or with input feeding (1, B, 2E).

        Returns:
            What it puts out, (T, B, E); the state after; and the attention (B, T, S).
        """
        y, after = self.recur(x, state, lengths)
        if self.attention is None:
            return self.combined(y), after, None
        assert memory is not None
        context, weights = self.attention.read(y, memory)
        return self.combined(y, context), after, weights

    def recur(self, x: Tensor, state: list[Tensor], lengths: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The layers' output (T, B, H), and the state after."""
        y, after = self.layers(x, tuple(state) if len(state) > 1 else state[0], lengths=lengths)
        return y, list(after) if len(state) > 1 else [after]

    def combined(self, y: Tensor, context: Tensor | None = None) -> Tensor:
        """What is put out, (T, B, E), for the layers' output and what was looked at, (T, B, D)."""
        return torch.tanh(self.combine(y if context is None else torch.cat([context, y], -1)))

    def put_out(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What it puts out (T, B, E), and the attention (B, T, S), when it is fed what it should write; or, with the
        chance batch["own"], what it would have written itself (scheduled sampling, Bengio et al. 2015).

        Args:
            batch: "inputs" (T, B), tokens from the start on; "target_lengths" (B,); and what `look` reads.
        """
        inputs = torch.as_tensor(batch["inputs"])
        first, memory = self.look(batch)
        state = self.begun(first)
        own = float(batch.get("own", 0.0)) if self.training else 0.0
        if not self.input_feeding and not own:
            lengths = torch.as_tensor(batch["target_lengths"])
            y, _, weights = self.advance(self.embedded(inputs), state, memory, lengths)
            return self.dropped(y), weights
        outputs: list[Tensor] = []
        looked: list[Tensor] = []
        there = self.tokens_there(batch)
        fed = first.new_zeros(inputs.shape[1], self.output.in_features)
        for step, tokens in enumerate(inputs):
            if own and step:
                scores = self.scores(outputs[-1].detach(), looked[-1][:, 0].detach() if looked else None, there)
                drawn = scores.softmax(-1).multinomial(1)[:, 0]
                tokens = torch.where(torch.rand(tokens.shape, device=tokens.device) < own, drawn, tokens)
            x = self.embedded(tokens)
            x = torch.cat([x, fed], -1) if self.input_feeding else x
            y, state, weights = self.advance(x[None], state, memory)
            fed = self.dropped(y[0])
            outputs.append(fed)
            looked += [] if weights is None else [weights]
        return torch.stack(outputs), torch.cat(looked, 1) if looked else None

    def tokens_there(self, batch: Batch) -> Tensor | None:
        """The tokens (B, S) that can be copied from where it looks; None if none can."""
        return None if self.gate is None else torch.as_tensor(batch["source"], device=self.gate.weight.device).T

    def scores(
        self, y: Tensor, weights: Tensor | None, there: Tensor | None, output: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Unnormalised log-probabilities of the next token, (N, V).

        Args:
            y: What it put out, (N, E).
            weights: Where it looked, (N, S).
            there: The tokens at those places, (N, S); see `tokens_there`.
            output: A faster way to what `self.output` computes.
        """
        scores = (output or self.output)(y)
        if self.gate is None:
            return scores
        assert weights is not None
        assert there is not None
        gate, scores = self.gate(y).float(), scores.float()
        seen = torch.zeros_like(scores).scatter_add(1, there, weights.float())
        copied = seen.clamp_min(torch.finfo(seen.dtype).tiny).log()
        return torch.logaddexp(logsigmoid(gate) + log_softmax(scores, -1), logsigmoid(-gate) + copied)

    def forced(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores (N, V) of each known token of batch["targets"] (T, B), when it is fed those before; and the tokens
        (N,). A negative target is not known."""
        targets = torch.as_tensor(batch["targets"])
        known = targets >= 0
        y, weights = self.put_out(batch)
        there = self.tokens_there(batch)
        if there is not None and weights is not None:
            weights, there = weights.transpose(0, 1)[known], there[known.nonzero()[:, 1]]
        return self.scores(y[known], weights, there), targets[known]

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        scores, targets = self.forced(batch)
        return cross_entropy(scores.float(), targets, label_smoothing=self.label_smoothing)

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        scores, targets = self.forced(batch)
        return cross_entropy(scores.float(), targets, reduction="sum"), len(targets)


class Steps:
    """A decoder as `decoding.Step`: its first rows are those of this batch.

    A row's answer has the same bits whatever rows are beside it. The layers see to that themselves; other matrix
    products take other ways for very few rows, so that there are always `together()` of them here, or a multiple:
    rows beyond those asked for are repetitions. The places of `batch` should be as many, too.

    Args:
        width: The most rows that one sequence will have. They look at their memory together.
    """

    @torch.no_grad()
    def __init__(self, model: AttentionDecoder, batch: Batch, width: int = 1):
        self.model, self.width = model, width
        first, self._memory = model.look(batch)
        self._state = model.begun(first[_filled(np.arange(len(first)))])
        self._there = model.tokens_there(batch)
        self._output = Product(model.output)
        self._sequence = np.arange(len(first))
        self._fed = first.new_zeros(self._state[0].shape[1], model.output.in_features)
        self._alive = np.zeros(0, np.int64)  # the sequences whose memory is held, ascending
        self._held: Memory | None = None

    @torch.no_grad()
    def __call__(self, tokens: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        model, many, index = self.model, len(tokens), _filled(parents)
        self._sequence = self._sequence[parents]
        x = model.embedded(torch.from_numpy(np.resize(tokens, len(index))).to(self._fed.device))
        if model.input_feeding:
            x = torch.cat([x, self._fed[index]], -1)
        y, self._state = model.recur(x[None], [values[:, index] for values in self._state])
        context, looked = self._looked(y[0])
        self._fed = model.combined(y[0], context)
        there = None if self._there is None else self._there[_filled(self._sequence)]
        log_p = log_softmax(model.scores(self._fed, looked, there, self._output)[:many], -1).cpu().numpy()
        return log_p, None if looked is None else looked[:many].cpu().numpy()

    def _looked(self, y: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What each row sees, (N, D), and where it looks, (N, S)."""
        if self._memory is None:
            return None, None
        assert self.model.attention is not None
        alive = np.unique(self._sequence)
        if self._held is None or len(_filled(alive)) != len(_filled(self._alive)):
            self._alive, self._held = alive, taken(self._memory, _filled(alive))
        ranks = _ranks(self._sequence)
        if ranks.max() >= self.width:
            raise ShapeError(f"a sequence has {ranks.max() + 1} rows, but at most {self.width} were announced")
        places = torch.from_numpy(np.searchsorted(self._alive, self._sequence) * self.width + ranks)
        size = len(self._held.values)
        queries = y.new_zeros(size * self.width, y.shape[1])
        queries[places] = y[: len(places)]
        context, looked = self.model.attention.read(queries.view(size, self.width, -1).transpose(0, 1), self._held)
        rows = _filled(places.numpy())
        return context.transpose(0, 1).flatten(0, 1)[rows], looked.flatten(0, 1)[rows]


def together() -> int:
    """Rows of which every thread has enough for PyTorch's matrix products to treat each alike."""
    return 16 * torch.get_num_threads()


def _filled(rows: np.ndarray) -> Tensor:
    """These rows, and as many of them again as there are short of a multiple of `together()`."""
    return torch.from_numpy(np.resize(rows, -(-len(rows) // together()) * together()))


def _ranks(sequences: np.ndarray) -> np.ndarray:
    """Of each row how many rows of its sequence stand before it."""
    order = np.argsort(sequences, kind="stable")
    ordered = sequences[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return ranks


def taken(memory: Memory, rows: Tensor) -> Memory:
    """The memory of these rows, some of them perhaps several times."""
    inside = None if memory.inside is None else memory.inside[rows]
    steps = memory.steps if isinstance(memory.steps, int) else memory.steps[rows]
    return Memory(memory.keys[rows], memory.values[rows], inside, steps)


def _begun(cell: Cell) -> list[str]:
    """The carried values whose first state is learned: output and memory, one value per unit. Others, such as
    normalisers, begin as they always do."""
    return [name for name, size in zip(cell.carry, cell.carry_sizes, strict=True) if name in "hc" and size == "H"]
