"""The network of `tag`: features of each step, recurrent layers, and a score for each label, or a number.

Letters: T steps, B sequences, N measurements, U distinct words of a batch, C letters of a word.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ...algebra import Cell
from ...decoding.viterbi import FORBIDDEN, Chain
from ...nn import CRF, LSTM
from ...nn.linear import Linear
from ...nn.stack import Stack, dropout_mask
from ...randomness import generator
from ..network import Network
from .batches import Batch, Pieces
from .features import UNKNOWN, Features, Words
from .predictor import decode, forward
from .targets import Targets

if TYPE_CHECKING:
    from .sizing import Sizing

_SHARES = {"word": 1.0, "shape": 0.15, "prefix": 0.25, "suffix": 0.25, "ending": 0.25}  # of the word embedding's size
_MOST_CATEGORY = 32  # features of a category at most
_BIASES = (0.0, *(sign * size / 4 for size in range(1, 17) for sign in (1, -1)))  # nats; the first of equally good ones


class WordEncoder(nn.Module):
    """The parts that encode one column of tokens: embeddings of words, of parts of words and of pairs of tokens, and an
    LSTM over letters.

    Args:
        words: How the column is read.
        embedding_size: Features of a word.
        char_hidden_size: Units per direction of the LSTM over letters.
    """

    letters: nn.Embedding | None
    spelling: LSTM | None
    pairs: nn.Embedding | None
    rare: Tensor

    def __init__(self, words: Words, *, embedding_size: int, char_hidden_size: int):
        super().__init__()
        sizes = {name: max(4, round(_SHARES[name] * embedding_size)) for name in words.parts}
        self.parts = nn.ModuleList(_embedding(len(known) + 1, sizes[name]) for name, known in words.parts.items())
        self.width = sum(sizes.values())
        # Probability that a word is read as unknown in training, so that this is learned too: high for rare ones.
        rare = torch.tensor([0.0, *(0.1 + 0.9 / (1 + count) for count in words.counts)])
        self.register_buffer("rare", rare, persistent=False)
        self.letters = self.spelling = self.pairs = None
        if words.letters:
            size = min(32, char_hidden_size)
            self.letters = _embedding(len(words.letters) + 2, size, padding_idx=0)
            self.spelling = LSTM(size, char_hidden_size, bidirectional=True)
            self.width += 2 * char_hidden_size
        if words.pairs:
            self.pairs = _embedding(len(words.pairs) + 1, embedding_size)
            self.width += embedding_size * (2 if words.ahead else 1)

    def hide_rare(self, ids: Tensor) -> Tensor:
        """Some of these words as unknown, in training."""
        if not self.training:
            return ids
        drawn = torch.rand(ids.shape, device=ids.device, generator=generator(ids.device))
        return torch.where(drawn < self.rare[ids], UNKNOWN, ids)

    def neighbours(self, pairs: Tensor) -> Tensor:
        """Features of the pairs with the token before and, if it may be read, with the one after."""
        assert self.pairs is not None
        features: Tensor = self.pairs(pairs)
        return features.flatten(2)


class Bins(nn.Module):
    """Measurements as the shares of bins of their ranges that lie below the value: 0, 1, or one between them.

    Args:
        edges: Of the bins of each measurement.

    Shape:
        numbers: (T, B, N or more); only the first N have bins.
        returns: (T, B, N * bins).
    """

    edges: Tensor

    def __init__(self, edges: list[list[float]]):
        super().__init__()
        self.register_buffer("edges", torch.tensor(edges), persistent=False)
        self.width = self.edges.diff(dim=1).numel()

    def forward(self, numbers: Tensor) -> Tensor:
        low, width = self.edges[:, :-1], self.edges.diff(dim=1).clamp(min=1e-6)
        shares = (numbers[..., : len(self.edges), None] - low) / width
        return shares.clamp(0.0, 1.0).flatten(-2)


class TagNetwork(Network):
    """Scores each label at each step, or estimates a number, from all steps of a sequence or from those so far.

    Args:
        cell: The recurrent cell.
        features: What is read.
        targets: What is predicted.
        sizes: Sizes, and the dropout probability: of a feature of tokens, of a value between layers, and of one before
            the scores. Between layers one mask serves all steps of a sequence (Gal & Ghahramani 2016).
        crf: Whether a `CRF` scores whole sequences of labels.
        bidirectional: Whether steps are read in both directions.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.

    Shape:
        batch: What `Encoded.batch` gives, as tensors.
        returns: See `predictor.forward`.
    """

    bins: Bins | None
    measured: Linear | None
    combined: Linear | None
    outside_bias: Tensor  # what is subtracted from the score of "outside", in nats; see `calibrate`

    def __init__(
        self,
        *,
        cell: Cell,
        features: Features,
        targets: Targets,
        sizes: Sizing,
        crf: bool,
        bidirectional: bool,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
    ):
        super().__init__()
        self.targets, self.numeric, self.rate = targets, not targets.classes, sizes.dropout
        self.outside = targets.outside
        if self.outside is not None:
            self.register_buffer("outside_bias", torch.zeros(()))
        words = [
            WordEncoder(own, embedding_size=sizes.embedding_size, char_hidden_size=sizes.char_hidden_size)
            for own in features.words
        ]
        levels = [len(levels) + 1 for levels in features.categories.values()]
        self.words = nn.ModuleList(words)
        self.categories = nn.ModuleList(_embedding(count, min(_MOST_CATEGORY, count)) for count in levels)
        width = sum(own.width for own in words) + sum(min(_MOST_CATEGORY, count) for count in levels)
        self.relu = nn.ReLU()
        self.bins = self.measured = self.combined = None
        if features.width:
            self.bins = Bins(features.edges) if features.edges else None
            binned = 0 if self.bins is None else self.bins.width
            self.measured = Linear(features.width + binned, 2 * sizes.hidden_size)
            self.combined = Linear(2 * sizes.hidden_size, sizes.hidden_size)
            width += sizes.hidden_size
        self.layers = Stack(
            cell,
            width,
            sizes.hidden_size,
            sizes.num_layers,
            bidirectional=bidirectional,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_dropout=weight_dropout,
        )
        self.layers.rate, self.layers.variational = sizes.dropout, True
        self.output = Linear(sizes.hidden_size * (2 if bidirectional else 1), targets.outputs)
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()
        self.crf = CRF(targets.outputs, targets.allowed) if crf else None

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        return forward(self, batch)

    def dropout(self, x: Tensor) -> Tensor:
        """Features of tokens, some zeroed in training."""
        return x * dropout_mask(x, self.rate) if self.training and self.rate else x

    def output_dropout(self, y: Tensor) -> Tensor:
        """The layers' output, some of it zeroed in training."""
        return self.layers.between_layers(y)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The most probable labels (T, B), as indices, or the standardised numbers (T, B) or (T, B, K)."""
        return self._decode(scores, lengths, 0.0 if self.outside is None else self.outside_bias)

    def chain(self) -> Chain | None:
        """Scores of neighbouring labels, as numpy has them; None without a CRF."""
        if self.crf is None:
            return None
        allowed, L = self.crf.allowed, self.crf.num_labels
        start, transitions, end = (
            torch.where(mask, weight.detach().float(), FORBIDDEN).cpu().numpy()
            for mask, weight in (
                (allowed[L, :L], self.crf.start),
                (allowed[:L, :L], self.crf.transitions),
                (allowed[:L, L + 1], self.crf.end),
            )
        )
        return Chain(start, transitions, end)

    def _decode(self, scores: Tensor, lengths: Tensor, outside_bias: Tensor | float) -> Tensor:
        if self.numeric:
            return self._numbers(scores)
        if self.outside is not None:
            scores = scores.clone()
            scores[..., self.outside] -= outside_bias
        if self.crf is not None:
            return self.crf.decode(scores, lengths=lengths)[0]
        return scores.argmax(-1)

    def _numbers(self, scores: Tensor) -> Tensor:
        """(T, B), or (T, B, K) of several."""
        return scores if self.targets.columns else scores[..., 0]

    @torch.no_grad()
    def calibrate(self, validation: Pieces) -> None:
        """Choose `outside_bias`, which is subtracted from the score of "outside", by the F1 of spans on this data.

        Trained for likelihood, a tagger that is unsure predicts "outside", which is most often right. F1 rewards
        finding more spans than that.
        """
        if self.outside is None:
            return
        self.eval()
        batches = [validation.at(place) for place in range(len(validation))]
        scores = [self(batch)[0] for batch in batches]
        errors = {}
        for bias in _BIASES:
            found = [self._decode(own, batch["lengths"], bias) for own, batch in zip(scores, batches, strict=True)]
            sums = [self._span_errors(labels, batch) for labels, batch in zip(found, batches, strict=True)]
            errors[bias] = sum(wrong for wrong, _ in sums) / max(1, sum(count for _, count in sums))
        self.outside_bias.fill_(min(errors, key=lambda bias: errors[bias]))

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        scores, targets = self(batch)[0].float(), batch["targets"]
        if self.numeric:
            known = ~targets.isnan()
            found = self._numbers(scores)
            return mse_loss(found[known], targets[known], reduction="sum") / max(1, int(known.sum()))
        if self.crf is not None:
            total = -self.crf(scores, targets, lengths=batch["lengths"]).sum()
        else:
            total = cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")
        return total / max(1, int((targets >= 0).sum()))

    @torch.no_grad()
    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        """What the best weights are chosen by: squared errors, wrong labels, or with spans a sum whose mean is 1 - F1.

        Not the likelihood: a few confident mistakes make it worse long before the labels get worse.
        """
        found, targets = decode(self, batch)[0], batch["targets"]
        if self.numeric:
            known = ~targets.isnan()
            return mse_loss(found[known], targets[known], reduction="sum"), int(known.sum())
        if self.targets.scheme is None:
            return ((found != targets) & (targets >= 0)).sum(), int((targets >= 0).sum())
        wrong, count = self._span_errors(found, batch)
        return torch.tensor(float(wrong)), count

    def _span_errors(self, found: Tensor, batch: Batch) -> tuple[int, int]:
        """How many spans, true or predicted, are not in both sets, and how many there are: their ratio is 1 - F1."""
        both = right = 0
        for row, length in enumerate(batch["lengths"].tolist()):
            gold, predicted = (
                set(self.targets.spans(labels[:length, row].tolist())) for labels in (batch["targets"], found)
            )
            both, right = both + len(gold) + len(predicted), right + len(gold & predicted)
        return both - 2 * right, both


def _embedding(count: int, size: int, padding_idx: int | None = None) -> nn.Embedding:
    table = nn.Embedding(count, size, padding_idx)
    nn.init.uniform_(table.weight, -math.sqrt(3 / size), math.sqrt(3 / size))
    if padding_idx is not None:
        with torch.no_grad():
            table.weight[padding_idx] = 0.0
    return table
