"""How good a tagger's labels are, by part of the data; how its network and its regression are blended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...decoding.viterbi import Chain
from ...metrics.tagging import label_scores, number_scores
from ..report import NOTHING_MEASURED, Metrics, parts_and_baselines, table
from ..verdict import KEYS, judged
from .baselines import Baselines
from .features import Encoded
from .linear import Blend, blended, decided, mixed
from .predictor import Predictor
from .targets import Targets, target_column

_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)  # of the network, that are tried
_BIASES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -0.5, -1.0)  # nats, that are tried; the first of equally good ones counts
_DOUBT = 0.5  # standard errors
_UNITS = 20  # independent pieces at least, of which a standard error is made


def counts(found: np.ndarray, wanted: np.ndarray, offsets: np.ndarray, targets: Targets) -> np.ndarray:
    """(U, 3) of the sequences or, where there are few, of pieces of them: spans or labels that are right, predicted and
    true; of numbers the squared errors, and twice how many there are.

    Args:
        found: What `linear.decided` gives.
        wanted: Label indices, -1 where missing; or standardised numbers, NaN where missing.
    """
    unit = _units(offsets)
    total = np.zeros((int(unit.max(initial=0)) + 1, 3))
    if not targets.classes:
        known = ~np.isnan(wanted)
        squares = np.where(known, found - wanted, 0.0).astype(np.float64) ** 2
        values = [squares, known, known]
        values = [own.reshape(len(own), -1).sum(1) for own in values]
    elif targets.scheme is None:
        known = wanted >= 0
        values = [known & (found == wanted), known, known]
    else:
        for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            predicted, true = ({*targets.spans(own[start:stop].tolist())} for own in (found, wanted))
            for column, spans in enumerate((predicted & true, predicted, true)):
                for span in spans:
                    total[unit[start + span.start], column] += 1
        return total
    for column, own in enumerate(values):
        np.add.at(total[:, column], unit, own)
    return total


def error(total: np.ndarray, targets: Targets) -> np.ndarray:
    """What `counts` sum to (..., 3) as an error: 1 - F1 of spans, share of wrong labels, or mean squared error."""
    right, predicted, true = np.moveaxis(np.asarray(total, np.float64), -1, 0)
    mean = right / np.maximum((predicted + true) / 2, 1)
    found: np.ndarray = mean if not targets.classes else 1 - mean
    return found


def standard_error(one: np.ndarray, other: np.ndarray, targets: Targets, in_units: bool = False) -> float | None:
    """Of the difference between two errors on the same steps, whose sequences are the independent items; None of fewer
    than two.

    Args:
        one, other: What `counts` gives.
        in_units: Whether errors of numbers are root mean squares in the units of the data.

    Source: the infinitesimal jackknife, Jaeckel (1972), Bell Laboratories memorandum MM 72-1215-11.
    """
    if len(one) < 2:
        return None
    moved = [_moved(own, targets, in_units) for own in (one, other)]
    return float(np.sqrt(np.square(moved[0] - moved[1]).sum() * len(one) / (len(one) - 1)))


def _moved(own: np.ndarray, targets: Targets, in_units: bool) -> np.ndarray:
    """(U,) how far each item moves the error."""
    total = float(np.maximum(own[:, 1:].sum() / 2, 1))
    ratio = float(own[:, 0].sum() / total)
    found: np.ndarray = (own[:, 0] - ratio * own[:, 1:].mean(1)) / total
    if in_units and not targets.classes:
        scale = 1.0 if isinstance(targets.scale, list) else targets.scale
        found = found * scale / (2 * max(ratio, 1e-300) ** 0.5)
    return found


def _units(offsets: np.ndarray) -> np.ndarray:
    """(n,) which piece each step is in."""
    lengths = np.diff(offsets)
    longest = int(offsets[-1]) if (lengths > 0).sum() >= _UNITS else -(-int(offsets[-1]) // _UNITS)
    steps = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], lengths)
    pieces = -(-lengths // max(1, longest))
    firsts = np.cumsum(pieces) - pieces
    found: np.ndarray = np.repeat(firsts, lengths) + steps // max(1, longest)
    return found


@dataclass(frozen=True)
class Held:
    """Steps that neither network nor regression learned from, with what both say of them.

    Attributes:
        plain: (n, K) scores of the regression.
        plain_chain: Its scores of neighbouring labels.
        wanted: Targets, encoded.
        offsets: Where sequences begin and end.
        network, network_chain: The same of the network; None where there is none.
    """

    plain: np.ndarray
    plain_chain: Chain | None
    wanted: np.ndarray
    offsets: np.ndarray
    network: np.ndarray | None = None
    network_chain: Chain | None = None

    def counts(self, share: float, bias: float, targets: Targets) -> np.ndarray:
        """(U, 3) see `counts`."""
        scores = blended(self.network, self.plain, share)
        chain = mixed(self.network_chain, self.plain_chain, share, targets.outputs)
        return counts(decided(scores, self.offsets, chain, targets, bias), self.wanted, self.offsets, targets)


def choose_blend(held: Sequence[Held], targets: Targets, *, bias: float, share: float | None) -> Blend:
    """The share of the network, and the biases, by the error on these held-out steps.

    The error of a share is averaged with those of its neighbours, so that none is chosen for a lucky figure. Of shares
    whose errors are within half a standard error of the least, the smallest is taken: the best of a network's weights
    were chosen on such data, out of more candidates than the regression had, so they look better there than they are.

    Args:
        bias: The network's own.
        share: If the user chose one.
    """

    def counted(share: float, bias: float) -> np.ndarray:
        return np.concatenate([own.counts(share, bias, targets) for own in held])

    def wrong(share: float, bias: float) -> float:
        return float(error(counted(share, bias).sum(0), targets))

    biases = _BIASES if targets.outside is not None else (0.0,)
    of_plain = {own: wrong(0.0, own) for own in biases}
    plain_bias = min(of_plain, key=lambda own: of_plain[own])
    if any(own.network is None for own in held):
        return Blend(0.0, plain_bias, plain_bias)
    between = {own: own * bias + (1 - own) * plain_bias for own in (_SHARES if share is None else (float(share),))}
    if share is None:
        parts = [counted(own, between[own]) for own in _SHARES]
        errors = [float(error(own.sum(0), targets)) for own in parts]
        smooth = [float(np.mean(errors[max(0, place - 1) : place + 2])) for place in range(len(errors))]
        best = int(np.argmin(smooth))
        doubt = [_DOUBT * (standard_error(own, parts[best], targets) or 0.0) for own in parts]
        share = min(
            own for own, wrong_, room in zip(_SHARES, smooth, doubt, strict=True) if wrong_ <= smooth[best] + room
        )
    share = float(share)
    if share in (0.0, 1.0):
        return Blend(share, plain_bias if share == 0 else 0.0, plain_bias)
    around = {between[share] + own: 0.0 for own in ((0.0, 0.5, -0.5, 1.0, -1.0) if len(biases) > 1 else (0.0,))}
    around = {own: wrong(share, own) for own in around}
    return Blend(share, min(around, key=lambda own: around[own]), plain_bias)


def strongest_of(
    held: Sequence[Held], others: Sequence[Mapping[str, np.ndarray]], name: str, blend: Blend, targets: Targets
) -> str:
    """The name of the plain method that errs least on these held-out steps.

    Args:
        others: By part of `held`, what other methods than the regression say, encoded.
        name: Of the regression, which is taken where it is no worse.
    """
    totals = {name: sum(own.counts(0.0, blend.plain_bias, targets).sum(0) for own in held)}
    for other in others[0]:
        totals[other] = sum(
            counts(some[other], own.wanted, own.offsets, targets).sum(0) for own, some in zip(held, others, strict=True)
        )
    return min(totals, key=lambda own: float(error(totals[own], targets)))


@dataclass(frozen=True)
class Evaluator:
    """Evaluates a trained tagger and its baselines.

    Attributes:
        strongest: Name of the plain method that was best on held-out data; "" if that is not known.
    """

    predictor: Predictor
    baselines: Baselines
    strongest: str = ""

    def evaluate(
        self, parts: Mapping[str, Sequences], encoded: Mapping[str, Encoded], with_baselines: bool = True
    ) -> dict[str, Any]:
        """Metrics of each part; and, on the last one, those of the "baselines" and what `verdict.judged` says.

        Args:
            encoded: What `Features.encode` makes of the parts.
        """
        predicted = {name: self.predictor.labels(encoded[name]) for name in parts}
        found = {name: self._scores(part, predicted[name]) for name, part in parts.items()}
        if with_baselines:
            last = list(parts)[-1]
            plain = self.plain_predictions(parts[last], encoded[last])
            found["baselines"] = {name: self._scores(parts[last], values) for name, values in plain.items()}
            if self.strongest in plain and last != "train":
                found |= self._judged(last, parts[last], predicted[last], plain[self.strongest], found)
        return found

    def plain_predictions(self, data: Sequences, encoded: Encoded) -> dict[str, Any]:
        """The labels or numbers of every plain method, by name."""
        found = self.baselines.predictions(data, encoded)
        if self.predictor.plain is not None:
            found[self.predictor.plain.name(self.predictor.targets)] = self.predictor.plain_labels(encoded)
        return found

    def _judged(
        self, part: str, data: Sequences, predicted: Any, plain: Any, found: Mapping[str, Any]
    ) -> dict[str, Any]:
        targets, wanted = self.predictor.targets, self._wanted(data)
        measure = "rmse" if not targets.classes else "f1" if targets.scheme else "accuracy"
        both = [counts(self._encoded(own), wanted, data.offsets, targets) for own in (predicted, plain)]
        return judged(
            measure=measure,
            part=part,
            model=found[part][measure],
            plain={name: scores[measure] for name, scores in found["baselines"].items()},
            strongest=self.strongest,
            share=self.predictor.blend.share,
            standard_error=standard_error(both[0], both[1], targets, in_units=True),
        )

    def _wanted(self, data: Sequences) -> np.ndarray:
        targets = self.predictor.targets
        return targets.encode(targets.truth(target_column(data, self.predictor.options.target), data))

    def _encoded(self, values: Any) -> np.ndarray:
        return self.predictor.targets.encode(
            values if self.predictor.targets.classes else np.asarray(values, np.float64)
        )

    def _scores(self, data: Sequences, predicted: Any) -> dict[str, Any]:
        targets = self.predictor.targets
        truth = targets.truth(target_column(data, self.predictor.options.target), data)
        if not targets.classes:
            return _number_scores(truth, np.asarray(predicted), targets)
        return label_scores(truth, list(predicted), data.offsets, targets.scheme)


def _number_scores(truth: np.ndarray, predicted: np.ndarray, targets: Targets) -> dict[str, Any]:
    """See `number_scores`; of several numbers of all of them, standardised, and of each under "targets"."""
    if not targets.columns:
        return number_scores(truth, predicted)
    each = {name: number_scores(truth[:, k], predicted[:, k]) for k, name in enumerate(targets.columns)}
    together = number_scores(targets.encode(truth).ravel(), targets.encode(predicted).ravel())
    return {**together, "targets": each}


_TAGS = ("f1", "precision", "recall", "accuracy", "macro_f1", "mae", "rmse", "r2")
_TYPES = 30  # types that are listed, the most frequent first


def tag_report(metrics: Metrics) -> str:
    """A row for each part, then the baselines; below, a row for each type of the last part."""
    rows = parts_and_baselines(metrics, " (baseline)")
    if not rows:
        return NOTHING_MEASURED
    heads = [name for name in _TAGS if name in next(iter(rows.values()))][:4]
    cells = ((row[:34], [f"{scores[name]:.4f}" for name in heads]) for row, scores in rows.items())
    lines = table(heads, cells, left=34, widths=[11] * 4)
    last = next((name for name in reversed(list(metrics)) if name not in ("baselines", *KEYS)), None)
    if last and (several := metrics[last].get("targets")):
        cells = ((name[:34], [f"{scores[tag]:.4f}" for tag in heads]) for name, scores in several.items())
        lines += ["", *table(heads, cells, left=34, widths=[11] * 4, corner=f"{last}, by target")]
    if last and (types := metrics[last].get("types")):
        ranked = sorted(types.items(), key=lambda item: -item[1]["gold"])[:_TYPES]
        heads = ["f1", "precision", "recall"]
        cells = ((kind[:34], [*(f"{some[name]:.4f}" for name in heads), f"{some['gold']:,}"]) for kind, some in ranked)
        lines += ["", *table([*heads, "count"], cells, left=34, widths=[11] * 4, corner=f"{last}, by type")]
    return "\n".join(lines)
