"""The network of `tag`: what is read at each step, recurrent layers, a score for each label, or a number; its batches.

Letters: T steps, B sequences, U distinct words of a batch, C letters of a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ...algebra import Cell
from ...data.batches import Epochs, bucketed, in_batches
from ...nn import CRF, LSTM
from ...nn.linear import Linear
from ...nn.stack import Stack, dropout_mask
from ..network import Network
from .features import Encoded, Features, Words

_SHARES = {"word": 1.0, "shape": 0.15, "prefix": 0.25, "suffix": 0.25, "ending": 0.25}  # of the word embedding's size
_MOST_CATEGORY = 32  # features of a category at most
_BIASES = (0.0, *(sign * size / 4 for size in range(1, 17) for sign in (1, -1)))  # nats; the first of equally good ones

Batch = dict[str, Any]


class WordEncoder(nn.Module):
    """Tokens as features: embeddings of the word, of its parts and of its pairs, and what an LSTM makes of its letters.

    Args:
        words: How they are read.
        embedding_size: Features of a word.
        letters_size: Units per direction of the LSTM over letters.
    """

    def __init__(self, words: Words, embedding_size: int, letters_size: int):
        super().__init__()
        sizes = {name: max(4, round(_SHARES[name] * embedding_size)) for name in words.parts}
        self.parts = nn.ModuleList(_embedding(len(known) + 1, sizes[name]) for name, known in words.parts.items())
        self.width = sum(sizes.values())
        # Chance that a word is read as the unknown in training, so that this is learned too: high for the rare ones.
        rare = torch.tensor([0.0, *(0.1 + 0.9 / (1 + count) for count in words.counts)])
        self.rare: Tensor
        self.register_buffer("rare", rare, persistent=False)
        if words.letters:
            size = min(32, letters_size)
            self.letters = _embedding(len(words.letters) + 2, size, padding_idx=0)
            self.spelling = LSTM(size, letters_size, bidirectional=True)
            self.width += 2 * letters_size
        if words.pairs:
            self.pairs = _embedding(len(words.pairs) + 1, embedding_size)
            self.width += embedding_size * (2 if words.ahead else 1)

    def forward(self, batch: Batch) -> Tensor:
        """(T, B, width)."""
        index, parts = batch["index"], batch["parts"]
        word = parts[:, 0][index]
        if self.training:
            word = torch.where(torch.rand(word.shape, device=word.device) < self.rare[word], 0, word)
        found = [self.parts[0](word)]
        rest = [part(parts[:, place]) for place, part in enumerate(self.parts) if place]
        if hasattr(self, "spelling"):
            _, (h, _) = self.spelling(self.letters(batch["letters"]), lengths=batch["spelled"])
            rest += [h[0], h[1]]
        # Each distinct word is looked at once, however often it stands in the batch.
        found.append(torch.cat(rest, -1)[index])
        if hasattr(self, "pairs"):
            found.append(self.pairs(batch["pairs"]).flatten(2))
        return torch.cat(found, -1)


class TagNetwork(Network):
    """Scores each label at each step (or estimates a number) from all steps, or from those so far.

    Args:
        cell: The recurrent cell.
        features: What is read.
        outputs: Labels, or 1 for a number.
        numeric: Whether it is a number.
        allowed: Of the CRF, see `CRF`; None for no CRF.
        spans_of: The spans that label numbers mark; None where labels mark none.
        outside: Number of the label that is no part of a span, if spans are marked and there is one.
        embedding_size, letters_size, hidden_size, num_layers, bidirectional: Sizes.
        dropout: Chance that a feature of tokens, a value between layers, or one before the scores is zeroed; one mask
            for all steps of a sequence between layers (Gal & Ghahramani 2016).
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.
    """

    def __init__(
        self,
        cell: Cell,
        features: Features,
        outputs: int,
        numeric: bool,
        allowed: np.ndarray | None,
        spans_of: Callable[[Sequence[int]], Iterable[Any]] | None,
        outside: int | None,
        embedding_size: int,
        letters_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
    ):
        super().__init__()
        self.numeric, self.spans_of, self.outside, self.dropout = numeric, spans_of, outside, dropout
        if outside is not None:
            self.outside_bias: Tensor
            self.register_buffer("outside_bias", torch.zeros(()))
        words = [WordEncoder(words, embedding_size, letters_size) for words in features.words]
        levels = [len(levels) + 1 for levels in features.categories.values()]
        self.words = nn.ModuleList(words)
        self.categories = nn.ModuleList(_embedding(count, min(_MOST_CATEGORY, count)) for count in levels)
        width = sum(own.width for own in words) + sum(min(_MOST_CATEGORY, count) for count in levels)
        if features.width:
            edges = torch.tensor(features.edges)  # (N, bins + 1)
            self.edges: Tensor
            self.register_buffer("edges", edges, persistent=False)
            cuts = edges.diff(dim=1).numel() if features.edges else 0
            self.measured = Linear(features.width + cuts, 2 * hidden_size)
            self.combined = Linear(2 * hidden_size, hidden_size)
            width += hidden_size
        self.layers = Stack(
            cell,
            width,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_dropout=weight_dropout,
        )
        self.layers.rate, self.layers.variational = dropout, True
        self.output = Linear(hidden_size * (2 if bidirectional else 1), outputs)
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()
        self.crf = CRF(outputs, allowed) if allowed is not None else None

    def forward(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Scores (T, B, outputs), and the last state."""
        found = [own(words) for own, words in zip(self.words, batch["words"], strict=True)]
        found += [own(batch["categories"][..., place]) for place, own in enumerate(self.categories)]
        if found and self.training and self.dropout:
            x = torch.cat(found, -1)
            found = [x * dropout_mask(x, self.dropout)]
        if batch["numbers"].shape[-1]:
            numbers = batch["numbers"]
            measured = self.measured(torch.cat([numbers, self._cuts(numbers)], -1)).relu()
            found.append(self.combined(measured).relu())
        y, state = self.layers(torch.cat(found, -1), state, lengths=batch["lengths"])
        return self.output(self.layers.between_layers(y)), state

    def _cuts(self, numbers: Tensor) -> Tensor:
        """Of each bin of each measurement, the share of it that lies below the value: 0, 1, or one between them."""
        if not len(self.edges):
            return numbers[..., :0]
        low, width = self.edges[:, :-1], self.edges.diff(dim=1).clamp(min=1e-6)
        shares = (numbers[..., : len(self.edges), None] - low) / width
        return shares.clamp(0.0, 1.0).flatten(-2)

    @torch.no_grad()
    def decode(self, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """The likeliest labels (T, B), or the numbers in training's units of scale; and the last state."""
        scores, state = self(batch, state)
        if self.outside is not None:
            scores[..., self.outside] -= self.outside_bias
        return self._likeliest(scores, batch), state

    def _likeliest(self, scores: Tensor, batch: Batch) -> Tensor:
        if self.numeric:
            return scores[..., 0]
        if self.crf is not None:
            return self.crf.decode(scores, lengths=batch["lengths"])[0]
        return scores.argmax(-1)

    @torch.no_grad()
    def settle(self, held_out: Pieces) -> None:
        """Choose `outside_bias`, what is taken off the score of "no span" in nats, by the F1 of spans in these.

        Likelihood makes a tagger that is unsure say "outside", which is most often right. F1, which asks for as many
        right spans as it can get, wants it to say more.
        """
        if self.outside is None:
            return
        self.eval()
        batches = [held_out.at(place) for place in range(len(held_out))]
        scores = [self(batch)[0] for batch in batches]
        wrong = {}
        for bias in _BIASES:
            taken = torch.zeros(scores[0].shape[-1])
            taken[self.outside] = bias
            found = [self._likeliest(own - taken, batch) for own, batch in zip(scores, batches, strict=True)]
            sums = [self._span_sums(labels, batch) for labels, batch in zip(found, batches, strict=True)]
            wrong[bias] = sum(missed for missed, _ in sums) / max(1, sum(both for _, both in sums))
        self.outside_bias.fill_(min(wrong, key=lambda bias: wrong[bias]))

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        scores, targets = self(batch)[0].float(), batch["targets"]
        if self.numeric:
            known = ~targets.isnan()
            return mse_loss(scores[..., 0][known], targets[known], reduction="sum") / max(1, int(known.sum()))
        if self.crf is not None:
            total = -self.crf(scores, targets, lengths=batch["lengths"]).sum()
        else:
            total = cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")
        return total / max(1, int((targets >= 0).sum()))

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        """What the weights are chosen by: squared errors, wrong labels, or with spans a sum whose mean is 1 - F1.

        Not the likelihood, which the few confident mistakes of a tagger make worse long before its labels are.
        """
        found, targets = self.decode(batch)[0], batch["targets"]
        if self.numeric:
            known = ~targets.isnan()
            return mse_loss(found[known], targets[known], reduction="sum"), int(known.sum())
        if self.spans_of is None:
            return ((found != targets) & (targets >= 0)).sum(), int((targets >= 0).sum())
        missed, both = self._span_sums(found, batch)
        return torch.tensor(float(missed)), both

    def _span_sums(self, found: Tensor, batch: Batch) -> tuple[int, int]:
        """How many spans, true or found, are not in the other set, and how many there are: their ratio is 1 - F1."""
        assert self.spans_of is not None
        both = right = 0
        for row, length in enumerate(batch["lengths"].tolist()):
            gold, said = (set(self.spans_of(labels[:length, row].tolist())) for labels in (batch["targets"], found))
            both, right = both + len(gold) + len(said), right + len(gold & said)
        return both - 2 * right, both


def _embedding(count: int, size: int, padding_idx: int | None = None) -> nn.Embedding:
    table = nn.Embedding(count, size, padding_idx)
    nn.init.uniform_(table.weight, -math.sqrt(3 / size), math.sqrt(3 / size))
    if padding_idx is not None:
        with torch.no_grad():
            table.weight[padding_idx] = 0.0
    return table


class Pieces:
    """Sequences as batches of tensors, those of about one length together; long ones cut.

    Args:
        data: What is read.
        targets: (n,) label numbers, -1 where not given, or numbers, NaN where not given; None to predict.
        batch_size: Sequences, or pieces of them, side by side.
        chunk_length: Steps of the longest piece; each pass cuts at other places. None: nothing is cut.
        seed: Of the order and the cuts; None for the order as it is, without a cut.
    """

    def __init__(
        self,
        data: Encoded,
        targets: np.ndarray | None,
        batch_size: int,
        chunk_length: int | None = None,
        seed: int | None = None,
    ):
        self.data, self.targets, self.batch_size, self.seed = data, targets, batch_size, seed
        lengths = np.diff(data.offsets)
        self._starts, self._lengths = data.offsets[:-1][lengths > 0], lengths[lengths > 0]
        self._longest = chunk_length or int(lengths.max(initial=1))
        self._pieces = -(-self._lengths // self._longest)
        self._epochs = Epochs(-(-int(self._pieces.sum()) // batch_size), self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> Batch:
        return self.batch(*self._epochs.at(step))

    def _drawn(self, random: np.random.Generator | None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Starts and lengths of the pieces of each batch."""
        starts, rooms = np.repeat(self._starts, self._pieces), np.repeat(self._lengths, self._pieces)
        lengths = np.minimum(rooms, self._longest)
        if random is None:
            batches = in_batches(np.arange(len(starts)), self.batch_size)
        else:
            starts = starts + random.integers(0, rooms - lengths + 1)
            batches = bucketed(lengths, self.batch_size, random)
        return [(starts[places], lengths[places]) for places in batches]

    def batch(self, starts: np.ndarray, lengths: np.ndarray) -> Batch:
        """Tensors of the pieces from these starts, time-major."""
        steps = np.arange(lengths.max())[:, None]
        inside = steps < lengths
        at = np.where(inside, starts + steps, starts)  # padding repeats the first step: it is never looked at
        data = self.data
        words = []
        for own in data.words:
            used, index = np.unique(own.index[at], return_inverse=True)
            spelled = own.lengths[used]
            words.append(
                {
                    "index": torch.from_numpy(index.reshape(at.shape)),
                    "parts": torch.from_numpy(own.parts[used]),
                    "letters": torch.from_numpy(own.letters[used, : max(1, spelled.max())].T.copy()),
                    "spelled": torch.from_numpy(spelled),
                    "pairs": torch.from_numpy(own.pairs[at]),
                }
            )
        found: Batch = {
            "words": words,
            "categories": torch.from_numpy(data.categories[at]),
            "numbers": torch.from_numpy(data.numbers[at]),
            "lengths": torch.from_numpy(lengths),
        }
        if self.targets is not None:
            nothing = np.nan if self.targets.dtype.kind == "f" else -1
            found["targets"] = torch.from_numpy(np.where(inside, self.targets[at], nothing).astype(self.targets.dtype))
        return found


def decoded(model: TagNetwork, data: Encoded, batch_steps: int = 8192) -> np.ndarray:
    """Label numbers, or numbers, of every step, (n,); sequences of about one length side by side."""
    lengths = np.diff(data.offsets)
    found = np.zeros(int(data.offsets[-1]), np.float32 if model.numeric else np.int64)
    pieces = Pieces(data, None, 1)
    order: Sequence[int] = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())].tolist()
    while order:
        many = max(1, batch_steps // int(lengths[order[0]]))
        some, order = np.array(order[:many]), order[many:]
        labels = model.decode(pieces.batch(data.offsets[some], lengths[some]))[0].numpy()
        for row, sequence in enumerate(some):
            start, stop = data.offsets[sequence], data.offsets[sequence + 1]
            found[start:stop] = labels[: stop - start, row]
    return found
