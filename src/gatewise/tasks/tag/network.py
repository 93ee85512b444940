"""How the network of `tag` is trained, and what it predicts meanwhile.

Letters: T steps, B sequences.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ...launch import each
from ...ranks import total
from ...runtime.network import Block
from ..network import Listed, Network, begin_as
from ..vectors import Pretrained
from .architecture import forward
from .batches import Batch, Pieces
from .features import UNKNOWN, Features
from .targets import Targets

_BIASES = (0.0, *(sign * size / 4 for size in range(1, 17) for sign in (1, -1)))  # nats; the first of equally good ones


class TagNetwork(Network):
    """Scores each label at each step, or estimates a number.

    Args:
        block: See `architecture`.
        targets: What is predicted.

    Shape:
        batch: What `Encoded.batch` gives, as tensors.
        returns: See `architecture.forward`.
    """

    outside_bias: Tensor
    axes: ClassVar = {
        "lengths": 0,
        **dict.fromkeys(("index", "pairs", "categories", "numbers", "targets"), 1),
        "parts": Listed("index", 0),
        "letters": Listed("index", 1),
        "letter_counts": Listed("index", 0),
    }

    def __init__(self, block: Block, targets: Targets):
        super().__init__(block)
        self.targets, self.numeric, self.outside = targets, not targets.classes, targets.outside
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()

    def begin_as(self, pretrained: Pretrained, features: Features) -> None:
        """Let the embeddings of the words of each column begin as vectors."""
        for own, words in zip(self.words, features.words, strict=True):
            begin_as(own.parts[0], pretrained, words.parts["word"], UNKNOWN + 1)

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        return forward(self, batch)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The most probable labels (T, B), as indices, or the standardised numbers (T, B) or (T, B, K)."""
        return self._decode(scores, lengths, 0.0 if self.outside is None else self.outside_bias)

    def _decode(self, scores: Tensor, lengths: Tensor, outside_bias: Tensor | float) -> Tensor:
        if self.numeric:
            return self._numbers(scores)
        if self.outside is not None:
            scores = scores.clone()
            scores[..., self.outside] -= outside_bias
        if self.crf is not None:
            labels: Tensor = self.crf.decode(scores, lengths=lengths)[0]
            return labels
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

        def wrong(bias: float) -> float:
            found = [self._decode(own, batch["lengths"], bias) for own, batch in zip(scores, batches, strict=True)]
            sums = [self._span_errors(labels, batch) for labels, batch in zip(found, batches, strict=True)]
            return sum(wrong for wrong, _ in sums) / max(1, sum(count for _, count in sums))

        errors = dict(zip(_BIASES, each(wrong, _BIASES), strict=True))
        self.outside_bias.fill_(min(errors, key=lambda bias: errors[bias]))

    def predictions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        scores, targets = self(batch)[0].float(), batch["targets"]
        if self.numeric:
            known = ~targets.isnan()
            return self._numbers(scores)[known], targets[known]
        return scores.softmax(-1)[targets >= 0], targets[targets >= 0]

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        scores, targets = self(batch)[0].float(), batch["targets"]
        if self.numeric:
            known = ~targets.isnan()
            found = self._numbers(scores)
            return mse_loss(found[known], targets[known], reduction="sum") / max(1, total(int(known.sum())))
        if self.crf is not None:
            nats = -self.crf(scores, targets, lengths=batch["lengths"]).sum()
        else:
            nats = cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")
        return nats / max(1, total(int((targets >= 0).sum())))

    @torch.no_grad()
    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        """What the best weights are chosen by: squared errors, wrong labels, or with spans a sum whose mean is 1 - F1.

        Not the likelihood: a few confident mistakes make it worse long before the labels get worse.
        """
        found, targets = self.decode(self(batch)[0], batch["lengths"]), batch["targets"]
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
