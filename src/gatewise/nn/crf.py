"""A linear-chain conditional random field: labels of a sequence scored together, so that each may depend on the one
before it.

Letters: T steps, B rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import OptionTypeError, ShapeError
from ._checks import check_size, checked_lengths

_FORBIDDEN = -1e6  # beyond any sum of scores, and yet finite: where no path is legal, the least broken one is best
_STRETCH = 16  # steps after which running sums are brought back near zero, where float32 is fine


class CRF(nn.Module):
    """Scores whole sequences of labels: emissions, plus a weight for each pair of neighbours, for the first label and
    for the last.

    Everything is computed in float32 at least, autocast or not. Emissions are normalised per step, which changes no
    probability and keeps sums over thousands of steps exact.

    Args:
        num_labels: L.
        allowed: (L + 2, L + 2) booleans, which label may follow which, from row to column; row L is the start of a
            sequence and column L + 1 its end; `data.text.tagging_schemes.allowed_transitions` makes it. All, if
            omitted.
        batch_first: Emissions and labels are (B, T, ...) instead of (T, B, ...).

    Shape:
        emissions: (T, B, L), a score for each label at each step.
        labels: (T, B) int64 in 0..L-1; beyond a row's length they may be anything.
        lengths: (B,) integers in 0..T, in any order, on any device; T for every row if omitted. What stands beyond is
            never looked at. A row of length 0 has one sequence of labels, whose probability is 1.
        returns: log-likelihoods (B,), whose mean with a minus is the loss.

    Raises:
        ShapeError: Sizes do not fit.

    Example:
        >>> crf = CRF(num_labels=9)
        >>> loss = -crf(emissions, labels, lengths=lengths).mean()
        >>> labels, score = crf.decode(emissions, lengths=lengths)

    Source: Lafferty, McCallum & Pereira (2001), ICML; over LSTMs: Huang, Xu & Yu (2015), arXiv:1508.01991.
    """

    allowed: Tensor

    def __init__(
        self,
        num_labels: int,
        allowed: Any = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        check_size("num_labels", num_labels)
        self.num_labels, self.batch_first = num_labels, batch_first
        self.transitions = nn.Parameter(torch.empty(num_labels, num_labels, device=device, dtype=dtype))
        self.start = nn.Parameter(torch.empty(num_labels, device=device, dtype=dtype))
        self.end = nn.Parameter(torch.empty(num_labels, device=device, dtype=dtype))
        wanted = (num_labels + 2, num_labels + 2)
        mask = torch.ones(wanted, dtype=torch.bool) if allowed is None else torch.as_tensor(allowed).bool()
        if tuple(mask.shape) != wanted:
            raise ShapeError(
                f"allowed has shape {tuple(mask.shape)}, but {num_labels} labels with start and end need {wanted}"
            )
        # Follows from the labels, so it is no part of the state.
        self.register_buffer("allowed", mask.to(device), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin with no preference between legal neighbours."""
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def extra_repr(self) -> str:
        return f"{self.num_labels}" + ", batch_first=True" * self.batch_first

    def forward(self, emissions: Tensor, labels: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        emissions, labels, inside = self._prepared(emissions, labels, lengths)
        return self._score(emissions, labels, inside) - self._log_partition(emissions, inside)

    def log_partition(self, emissions: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> Tensor:
        """The logarithm of the sum of exp(score) over all sequences of labels, (B,)."""
        shifts = self._time_major(emissions).float().logsumexp(-1)
        emissions, _, inside = self._prepared(emissions, None, lengths)
        return self._log_partition(emissions, inside) + torch.where(inside, shifts, 0.0).sum(0)

    @torch.no_grad()
    def decode(self, emissions: Tensor, *, lengths: Tensor | Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """The likeliest labels, by Viterbi's algorithm.

        Returns:
            Labels (T, B), int64, 0 beyond a row's length; and the log-likelihood of each row's, (B,).
        """
        emissions, _, inside = self._prepared(emissions, None, lengths)
        start, transitions, end = self._weights(emissions)
        best = start + emissions[0]
        pointers = []
        for t in range(1, len(emissions)):
            scores, pointer = (best[:, :, None] + transitions).max(1)
            best = torch.where(inside[t, :, None], scores + emissions[t], best)
            if t % _STRETCH == 0:
                best = best - best.amax(1, keepdim=True)
            # Beyond a row's end every label points at itself: the walk back begins at the last step that counts.
            pointers.append(
                torch.where(inside[t, :, None], pointer, torch.arange(self.num_labels, device=pointer.device))
            )
        labels = [(best + end).argmax(1)]
        for pointer in reversed(pointers):
            labels.append(pointer.gather(1, labels[-1][:, None])[:, 0])
        path = torch.where(inside, torch.stack(labels[::-1]), 0)
        score = self._score(emissions, path, inside) - self._log_partition(emissions, inside)
        return path.transpose(0, 1) if self.batch_first else path, score

    def _weights(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of the first label, of each pair and of the last, those that are not allowed out of reach."""
        L = self.num_labels
        start, transitions, end = (w.to(like.dtype) for w in (self.start, self.transitions, self.end))
        return (
            torch.where(self.allowed[L, :L], start, _FORBIDDEN),
            torch.where(self.allowed[:L, :L], transitions, _FORBIDDEN),
            torch.where(self.allowed[:L, L + 1], end, _FORBIDDEN),
        )

    def _log_partition(self, emissions: Tensor, inside: Tensor) -> Tensor:
        start, transitions, end = self._weights(emissions)
        alpha = start + emissions[0]  # of all beginnings that end in each label, less `moved`
        moved = alpha.new_zeros(alpha.shape[0], dtype=torch.float64)
        for t in range(1, len(emissions)):
            after = (alpha[:, :, None] + transitions).logsumexp(1) + emissions[t]
            alpha = torch.where(inside[t, :, None], after, alpha)
            if t % _STRETCH == 0:
                most = alpha.detach().amax(1)  # a constant: it is taken here and given back below
                alpha, moved = alpha - most[:, None], moved + most
        total = ((alpha + end).logsumexp(1) + moved).to(alpha.dtype)
        return torch.where(inside[0], total, 0.0)

    def _score(self, emissions: Tensor, labels: Tensor, inside: Tensor) -> Tensor:
        start, transitions, end = self._weights(emissions)
        labels = torch.where(inside, labels, 0)
        emitted = emissions.gather(2, labels[..., None])[..., 0]
        moved = torch.where(inside[1:], transitions[labels[:-1], labels[1:]], 0.0)
        last = labels.gather(0, (inside.sum(0) - 1).clamp(min=0)[None])[0]
        ends = torch.where(inside[0], start[labels[0]] + end[last], 0.0)
        return ends + torch.where(inside, emitted, 0.0).sum(0) + moved.sum(0)

    def _time_major(self, values: Tensor) -> Tensor:
        return values.transpose(0, 1) if self.batch_first else values

    def _prepared(
        self, emissions: Tensor, labels: Tensor | None, lengths: Tensor | Sequence[int] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Time-major: log-probabilities of single steps, labels (zeros if None), and which steps count (T, B)."""
        if not isinstance(emissions, Tensor):
            raise OptionTypeError(f"CRF takes a tensor of emissions, not {type(emissions).__name__}")
        if emissions.dim() != 3 or emissions.shape[-1] != self.num_labels:
            raise ShapeError(
                f"CRF takes emissions of 3 dimensions, the last of num_labels={self.num_labels}, but got "
                f"{tuple(emissions.shape)}"
            )
        if labels is not None and labels.shape != emissions.shape[:2]:
            raise ShapeError(f"labels of shape {tuple(labels.shape)} do not fit emissions of {tuple(emissions.shape)}")
        emissions = self._time_major(emissions)
        if emissions.shape[0] == 0:
            raise ShapeError(f"CRF needs at least one step, but the emissions have 0 ({tuple(emissions.shape)})")
        if lengths is None:
            inside = torch.ones(emissions.shape[:2], dtype=torch.bool, device=emissions.device)
        else:
            lengths = checked_lengths(lengths, emissions).to(emissions.device)
            inside = torch.arange(len(emissions), device=emissions.device)[:, None] < lengths
        # Mask what goes in, for a NaN in the padding would survive the gradient of `where` further down.
        scores = torch.where(inside[..., None], emissions, 0.0)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        labels = inside.long() if labels is None else self._time_major(labels)
        return scores.log_softmax(-1), labels, inside
