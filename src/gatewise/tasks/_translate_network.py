"""The network of `translate`: an encoder that reads both ways, and a decoder that looks back at what it read.

S source and T target tokens, B pairs; E features of a token, H units of the decoder, D of the encoder's output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from ..algebra import Cell
from ..nn import AdditiveAttention, MultiplicativeAttention
from ..nn.attention import Memory
from ..nn.recurrent import Options
from ._language_model import Stack, dropout_mask
from ._network import Network
from ._translate_texts import PairBatches, padded

Batch = dict[str, Any]


class TranslationNetwork(Network):
    """Writes the target of a source, token by token.

    Args:
        cell: Of all layers.
        source_size: Ids of source tokens.
        target_size: Ids of target tokens, the edge included.
        shared: Whether both sides have the same ids, and embeddings.
        embedding_size: E. What the decoder puts out has as many values: it is scored with the targets' embeddings.
        hidden_size: H; the encoder has half as many per direction.
        num_layers: Of either side.
        attention: "additive" (Bahdanau et al. 2015), "multiplicative" (the general score of Luong et al. 2015), or
            "none": then all the decoder knows of the source is the state that it begins with.
        input_feeding: The decoder also reads what it put out at the step before (Luong et al. 2015, section 3.3).
        dropout: Chance that a feature of a token, a value between layers or one before the scores is zeroed.
        label_smoothing: Share of the probability that the target leaves to all tokens alike.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`. With input feeding they are drawn
            anew at each step.
    """

    def __init__(
        self,
        cell: Cell,
        source_size: int,
        target_size: int,
        shared: bool,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        attention: str,
        input_feeding: bool,
        dropout: float,
        label_smoothing: float,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
    ):
        super().__init__()
        E, H, side = embedding_size, hidden_size, (hidden_size + 1) // 2
        drawn = Options(recurrent_dropout=recurrent_dropout, zoneout=zoneout, weight_dropout=weight_dropout)
        self.target_embedding = nn.Embedding(target_size, E)
        self.source_embedding = self.target_embedding if shared else nn.Embedding(source_size, E)
        self.encoder = Stack(cell, E, side, num_layers, bidirectional=True, **drawn)
        self.layers = Stack(cell, E * (1 + input_feeding), H, num_layers, **drawn)
        self.encoder.rate = self.layers.rate = dropout
        self.start = nn.ModuleDict({name: nn.Linear(2 * side, num_layers * H) for name in _begun(cell)})
        self.attention: AdditiveAttention | MultiplicativeAttention | None = None
        if attention == "additive":
            self.attention = AdditiveAttention(H, 2 * side)
        elif attention == "multiplicative":
            self.attention = MultiplicativeAttention(H, 2 * side)
        self.combine = nn.Linear(H + (2 * side if self.attention is not None else 0), E)
        self.output = nn.Linear(E, target_size)
        for table in {self.source_embedding, self.target_embedding}:
            nn.init.normal_(table.weight, std=1 / math.sqrt(E))
        nn.init.zeros_(self.output.bias)
        self.output.weight = self.target_embedding.weight
        letters = cell.sizes(E, H, 0)
        self.carried_sizes = [letters[letter] for letter in cell.carry_sizes]
        self.cell, self.input_feeding = cell, input_feeding
        self.dropout, self.label_smoothing = dropout, label_smoothing

    # Reading.

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[list[Tensor], Memory | None]:
        """The decoder's first state, (L, B, ...) per carried name, and what it can look at."""
        y, last = self.encoder(self._embedded(self.source_embedding, source), lengths=lengths)
        ends = last[0] if isinstance(last, tuple) else last
        end = torch.cat([ends[-2], ends[-1]], -1)  # of the last layer, forward and backward
        layers, rows = self.layers.num_layers, source.shape[1]
        state = []
        for name, size in zip(self.cell.carry, self.carried_sizes, strict=True):
            if name in self.start:
                state.append(torch.tanh(self.start[name](end)).view(rows, layers, -1).transpose(0, 1).contiguous())
            else:
                state.append(y.new_zeros(layers, rows, size))
        return state, None if self.attention is None else self.attention.memory(self._dropped(y), lengths=lengths)

    def _embedded(self, table: nn.Embedding, ids: Tensor) -> Tensor:
        return self._dropped(table(ids))

    def _dropped(self, y: Tensor) -> Tensor:
        return y * dropout_mask(y, self.dropout) if self.training and self.dropout else y

    # Writing.

    def advance(
        self, x: Tensor, state: list[Tensor], memory: Memory | None, lengths: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Some steps of the decoder.

        Args:
            x: (T, B, E), or with input feeding (1, B, 2E).

        Returns:
            What it puts out, (T, B, E); the state after; and the attention (B, T, S).
        """
        y, after = self.layers(x, tuple(state) if len(state) > 1 else state[0], lengths=lengths)
        weights = None
        if self.attention is not None:
            assert memory is not None
            context, weights = self.attention.read(y, memory)
            y = torch.cat([context, y], -1)
        return torch.tanh(self.combine(y)), list(after) if len(state) > 1 else [after], weights

    def scores(self, put_out: Tensor) -> Tensor:
        """(..., V) of what was put out (..., E)."""
        return self.output(put_out)

    def put_out(self, batch: Batch) -> Tensor:
        """What the decoder puts out (T, B, E) when it is fed the targets; or what it would have written itself, with
        the chance batch["own"]."""
        source, lengths, inputs = (torch.as_tensor(batch[name]) for name in ("source", "lengths", "inputs"))
        state, memory = self.encode(source, lengths)
        own = float(batch.get("own", 0.0)) if self.training else 0.0
        if not self.input_feeding and not own:
            x = self._embedded(self.target_embedding, inputs)
            return self._dropped(self.advance(x, state, memory, torch.as_tensor(batch["target_lengths"]))[0])
        outputs: list[Tensor] = []
        fed = state[0].new_zeros(inputs.shape[1], self.output.in_features)
        for step, tokens in enumerate(inputs):
            if own and step:
                drawn = self.scores(outputs[-1].detach()).softmax(-1).multinomial(1)[:, 0]
                tokens = torch.where(torch.rand(tokens.shape) < own, drawn, tokens)
            x = self._embedded(self.target_embedding, tokens)
            x = torch.cat([x, fed], -1) if self.input_feeding else x
            y, state, _ = self.advance(x[None], state, memory)
            fed = self._dropped(y[0])
            outputs.append(fed)
        return torch.stack(outputs)

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        total, count = self._sums(batch, self.label_smoothing)
        return total / count

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        if "judge" in batch:
            return torch.tensor(batch["judge"]()), 1
        return self._sums(batch, 0.0)

    def _sums(self, batch: Batch, smoothing: float) -> tuple[Tensor, int]:
        targets = torch.as_tensor(batch["targets"])
        known = targets >= 0
        scores = self.scores(self.put_out(batch)[known]).float()
        return cross_entropy(scores, targets[known], label_smoothing=smoothing, reduction="sum"), int(known.sum())


def _begun(cell: Cell) -> list[str]:
    """The carried values whose first state the encoder gives: output and memory, one value per unit. Others, such as
    normalisers, begin as they always do."""
    return [name for name, size in zip(cell.carry, cell.carry_sizes, strict=True) if name in "hc" and size == "H"]


class Steps:
    """The network as `decoding.Step`: the first rows are these sources."""

    def __init__(self, model: TranslationNetwork, sources: Sequence[np.ndarray]):
        self.model = model
        batch = padded(sources)
        self._sentence = np.arange(len(sources))
        with torch.no_grad():
            self._state, self._memory = model.encode(
                torch.from_numpy(batch["source"]), torch.from_numpy(batch["lengths"])
            )
        self._fed = self._state[0].new_zeros(len(sources), model.output.in_features)
        self._rows = self._memory

    @torch.no_grad()
    def __call__(self, tokens: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        model, index = self.model, torch.from_numpy(parents)
        sentence = self._sentence[parents]
        if self._memory is not None and not np.array_equal(sentence, self._sentence):
            self._rows = _taken(self._memory, torch.from_numpy(sentence))
        self._sentence = sentence
        x = model.target_embedding(torch.from_numpy(tokens))
        if model.input_feeding:
            x = torch.cat([x, self._fed[index]], -1)
        state = [values[:, index] for values in self._state]
        y, self._state, weights = model.advance(x[None], state, self._rows)
        self._fed = y[0]
        log_p = log_softmax(model.scores(y[0]), -1).numpy()
        return log_p, None if weights is None else weights[:, 0].numpy()


def _taken(memory: Memory, rows: Tensor) -> Memory:
    """The memory of these rows."""
    inside = None if memory.inside is None else memory.inside[rows]
    steps = memory.steps if isinstance(memory.steps, int) else memory.steps[rows]
    return Memory(memory.keys[rows], memory.values[rows], inside, steps)


class Fading:
    """Batches with the chance of scheduled sampling at their step: `most` at the last one, growing from 0.

    Source: Bengio et al. (2015), arXiv:1506.03099, section 2.4: linear decay.
    """

    def __init__(self, batches: PairBatches, most: float, steps: int):
        self.batches, self.most, self.steps = batches, most, steps

    def __len__(self) -> int:
        return len(self.batches)

    def at(self, step: int) -> Batch:
        return {**self.batches.at(step), "own": self.most * step / self.steps}
