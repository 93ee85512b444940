"""How far an attribution can be relied on, measured on the row that it explains.

Five things are measured, and fixed thresholds make a verdict of them: whether the parts add up (gap), whether the
steps that are said to matter do when they are replaced (deletion, beside random steps), whether two methods agree,
whether the attribution falls apart with the weights that were learned, and whether a little noise changes it.

Source: Adebayo et al. (2018), "Sanity checks for saliency maps", NeurIPS; DeYoung et al. (2020), "ERASER", ACL.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from .attribution import (
    GAP,
    GRADIENTS,
    LEAST_ORDERS,
    LEAST_POINTS,
    Found,
    drawn,
    integrated,
    replaced,
    runs_of,
    steps_of,
)
from .question import WITHOUT_TORCH, Part, Question
from .report import Reliability, Verdict

RANDOM = 16  # orders in which steps are deleted at random
MOST_DELETED = 10
SHARE_DELETED = 0.1
LEAST_SHARE = 0.5  # of the network in the answer, below which its explanation is not that of the answer
DRAWS = 12  # of random weights: with one step that matters, each says yes or no by chance
VERDICTS: tuple[Verdict, ...] = ("reliable", "rough", "do not rely on this")
NOISE = 0.05  # of the root mean square distance from the usual step
FEWEST = 3  # steps whose ranks say something

# What each verdict takes: gap at most, ratio at least, agreement at least, randomised at most, noise at least. Where
# the score contains the value itself, as an anomaly's does, any weights give it most: alone no reason for the worst.
RELIABLE = (GAP, 3.0, 0.7, 0.5, 0.7)
ROUGH = (0.1, 1.0, 0.4, 1.0, 0.4)


def reliability(question: Question, found: Found, occlusion: np.ndarray, seed: int) -> Reliability:
    """Measure, and judge.

    Args:
        occlusion: (S,) what `occluded` gave.
        seed: Of the deletions, weights and noise.
    """
    steps = found.steps
    deleted, at_random = deletion(question, steps, np.random.default_rng([seed, 0]))
    ratio = deleted / at_random if at_random > 0 else None
    few = len(steps) < FEWEST
    runs = runs_of(question)
    agreement = None if few else agreement_of(*(np.bincount(runs, own) for own in (steps, occlusion)))
    without_torch = question.differentiable is None
    randomised = None if few or without_torch else _randomised(question, found, seed)
    noise = None if few else _under_noise(question, found, seed)
    verdict, reasons = judge(found.gap, ratio, agreement, randomised, noise)
    if without_torch:
        verdict = _worse(verdict, "rough")
        reasons.append(f"trying shuffled weights {WITHOUT_TORCH}")
    share = question.answer.network_share
    if share < LEAST_SHARE:
        verdict = "do not rely on this" if share == 0 else _worse(verdict, "rough")
        reasons.append(f"the network, which is explained, has {share:.0%} of the answer")
    return Reliability(
        gap=found.gap,
        points=found.points,
        deleted=deleted,
        deleted_random=at_random,
        ratio=ratio,
        agreement=agreement,
        randomised=randomised,
        noise=noise,
        verdict=verdict,
        reasons=reasons,
    )


def deletion(question: Question, steps: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """By how much the score changes, on average, while the most relevant tenth of the steps is replaced one by one; and
    the same for as many random steps.

    Source: the cumulative prediction difference of Jang et al. (2025), "TIMING", ICML, section 4.
    """
    S = len(steps)
    count = min(MOST_DELETED, max(1, round(SHARE_DELETED * S)))
    orders = [np.argsort(-np.abs(steps), kind="stable")[:count]]
    orders += [rng.permutation(S)[:count] for _ in range(RANDOM)]
    hidden = np.zeros((1 + len(orders) * count, S), bool)
    for number, order in enumerate(orders):
        for taken in range(count):
            hidden[1 + number * count + taken, order[: taken + 1]] = True
    scores = replaced(question, hidden, steps_of(question))
    changes = np.abs(scores[1:] - scores[0]).reshape(len(orders), count).mean(1)
    return float(changes[0]), float(changes[1:].mean())


def agreement_of(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation of two attributions, in which a step weighs as much as either gives it.

    Without weights, the order of steps that hardly matter would decide: most steps of most rows.
    """
    weights = np.abs(one) / max(np.abs(one).max(), 1e-300) + np.abs(other) / max(np.abs(other).max(), 1e-300)
    if not weights.sum() > 0:
        return 0.0
    weights /= weights.sum()
    first, second = (_ranks(values) for values in (one, other))
    first, second = first - weights @ first, second - weights @ second
    spread = np.sqrt((weights @ first**2) * (weights @ second**2))
    return float(np.clip(weights @ (first * second) / spread, -1, 1)) if spread > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]


def _randomised(question: Question, found: Found, seed: int) -> float:
    """Mean agreement with attributions by networks whose weights were shuffled: by few points, as such networks do not
    latch."""
    others = list[float]()
    for draw in range(DRAWS):
        net = shuffled(question.differentiable, np.random.default_rng([seed, 1, draw]))
        others.append(agreement_of(found.steps, integrated(question, net, LEAST_POINTS).steps))
    return float(np.mean(others))


def shuffled(net: Any, rng: np.random.Generator) -> Any:
    """The network with the numbers of each of its weights in another order, but for embeddings."""
    import torch

    other = copy.deepcopy(net)
    tables = {own.weight.data_ptr() for own in other.modules() if isinstance(own, torch.nn.Embedding)}
    with torch.no_grad():
        for weight in other.state_dict().values():  # what is learned without gradients, too
            if weight.is_floating_point() and weight.data_ptr() not in tables:
                order = torch.from_numpy(rng.permutation(weight.numel()))
                weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return other.eval()


def _under_noise(question: Question, found: Found, seed: int) -> float:
    """Agreement with the attribution of the same row under a little noise, by the same method with few points or
    orders."""
    parts, rng = [], np.random.default_rng([seed, 2])
    for part in question.parts:
        way = part.values.astype(np.float64) - part.usual
        noise = NOISE * np.sqrt(np.mean(np.square(way))) * rng.standard_normal(way.shape)
        parts.append(Part(part.input, (part.values + noise).astype(np.float32), part.usual, part.channels))
    noisy = replace(question, parts=parts)
    if found.method == GRADIENTS:
        again = integrated(noisy, question.differentiable, found.points)
    else:
        again = drawn(noisy, question.network, seed, most=LEAST_ORDERS)
    return agreement_of(found.steps, again.steps)


def judge(
    gap: float, ratio: float | None, agreement: float | None, randomised: float | None, noise: float | None
) -> tuple[Verdict, list[str]]:
    """The verdict, and what keeps it from being "reliable"."""
    said = (
        (gap, False, f"the parts miss, or may be wrong by, {gap:.1%} of what they should add up to"),
        (ratio, True, "" if ratio is None else f"replacing its main steps does {ratio:.1f} times what random steps do"),
        (agreement, True, "" if agreement is None else f"the attribution and occlusion agree by {agreement:.2f}"),
        (
            randomised,
            False,
            "" if randomised is None else f"with shuffled weights it is still {randomised:.2f} like this",
        ),
        (noise, True, "" if noise is None else f"a little noise leaves {noise:.2f} of it"),
    )
    reasons, worst = [], 0
    for (value, more, text), fine, bearable in zip(said, RELIABLE, ROUGH, strict=True):
        if value is None:
            continue
        level = _level(value, more, fine, bearable)
        worst = max(worst, level)
        reasons += [text] if level else []
    if ratio is None:
        worst = max(worst, 1)
        reasons.append("replacing random steps changes nothing, so that there is nothing to compare with")
    if agreement is None:
        worst = max(worst, 1)
        reasons.append(f"fewer than {FEWEST} steps have no ranks to compare")
    return VERDICTS[worst], reasons


def _worse(one: Verdict, other: Verdict) -> Verdict:
    return VERDICTS[max(VERDICTS.index(one), VERDICTS.index(other))]


def _level(value: float, more: bool, fine: float, bearable: float) -> int:
    if not more:
        value, fine, bearable = -value, -fine, -bearable
    return 0 if value >= fine else 1 if value >= bearable else 2
