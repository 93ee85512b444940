"""What would change an answer: the fewest steps whose replacement flips it, and what two phrases do together.

Both are measured by replacing steps with the usual one, so they hold for any network.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice

import numpy as np

from .attribution import replaced, steps_of, variants
from .inside import Flip, Interaction, Place
from .question import Question

MOST_TRIED = 1 << 12  # sets of steps, for it to be said that no smaller one does
MOST_READ = 1 << 18  # steps that are read to try them
MOST_TAKEN = 256  # steps, after which it is given up
MOST_PUT_BACK = 32  # steps that it is tried without, those that were taken last
_TOGETHER = 32  # sets that are tried at once
_PHRASES = 4
_FADES = 0.3  # of the largest step of a phrase: a neighbour that adds less is not of it


def flip(question: Question, steps: np.ndarray) -> Flip:
    """The fewest steps found whose replacement changes the answer.

    Steps are taken by what they add to the score or take from it, and those put back without which the answer is
    another one too. Where there are few enough smaller sets, all of them are tried.

    Args:
        steps: (S,) what each adds.
    """
    input = steps_of(question)
    [before] = _answers(question, np.zeros((1, len(steps)), bool), input)
    orders = [np.argsort(way * steps, kind="stable") for way in (-1, 1)]
    sets = [one for one in (_greedy(question, input, order, before) for order in orders) if one is not None]
    found = min(sets, key=np.sum) if sets else np.ones(len(steps), bool)
    exhaustive, size = True, 1
    while exhaustive and size < found.sum():
        smaller = _sets(len(steps), size)
        exhaustive = len(smaller) <= MOST_TRIED and smaller.size <= MOST_READ
        if exhaustive:
            answers = _answers(question, smaller, input)
            flips = next((own for own, answer in zip(smaller, answers, strict=False) if answer != before), None)
            found = found if flips is None else flips
            size += flips is None
    answer = next(_answers(question, found[None], input))
    flipped = answer != before
    score = replaced(question, found[None] & flipped, input)[0] + sum(one.value for one in question.others)
    places = np.flatnonzero(found) if flipped else ()
    return Flip(
        places=[_place(question, input, int(step)) for step in places],
        score=float(score),
        answer=answer,
        exhaustive=exhaustive,
    )


def _greedy(question: Question, input: np.ndarray, order: np.ndarray, before: str) -> np.ndarray | None:
    """(S,) the first steps of an order that change the answer, without those that are not needed; None if none do."""
    hidden = np.zeros((min(len(order), MOST_TAKEN), len(order)), bool)
    for taken, step in enumerate(order[:MOST_TAKEN]):
        hidden[taken:, step] = True
    first = next((taken for taken, answer in enumerate(_answers(question, hidden, input)) if answer != before), None)
    if first is None:
        return None
    found: np.ndarray = hidden[first]
    for step in order[max(0, first - MOST_PUT_BACK) : first][::-1]:
        without = found.copy()
        without[step] = False
        if next(_answers(question, without[None], input)) != before:
            found = without
    return found


def _sets(steps: int, size: int) -> np.ndarray:
    """(N, S) all sets of so many steps; one more than are tried, if there are more."""
    chosen = np.array([*islice(combinations(range(steps), size), MOST_TRIED + 1)])
    found = np.zeros((len(chosen), steps), bool)
    found[np.arange(len(chosen))[:, None], chosen] = True
    return found


def _answers(question: Question, hidden: np.ndarray, input: np.ndarray) -> Iterator[str]:
    """As many as are asked for, but for those that are computed with them."""
    assert question.answers is not None
    for start in range(0, len(hidden), _TOGETHER):
        yield from question.answers(question.run(variants(question, hidden[start : start + _TOGETHER], input)))


def _place(question: Question, input: np.ndarray, step: int) -> Place:
    number = int(input[step])
    return Place(input=question.inputs[number].name, step=int(step - np.searchsorted(input, number)))


def interactions(question: Question, steps: np.ndarray) -> list[Interaction]:
    """What each two of the phrases that add most do by themselves, and together.

    A phrase is a step with the neighbours that pull the same way. What phrases do is by how much the score falls
    without them.
    """
    input = steps_of(question)
    phrases = _phrases(steps, input)
    pairs = [pair for pair in combinations(phrases, 2) if input[pair[0].start] == input[pair[1].start]]
    if not pairs:
        return []
    hidden = np.zeros((1 + 3 * len(pairs), len(steps)), bool)
    for number, (one, other) in enumerate(pairs):
        hidden[1 + 3 * number, one] = hidden[2 + 3 * number, other] = True
        hidden[3 + 3 * number] = hidden[1 + 3 * number] | hidden[2 + 3 * number]
    scores = replaced(question, hidden, input)
    falls = (scores[0] - scores[1:]).reshape(-1, 3)
    return [_interaction(question, input, *pair, own) for pair, own in zip(pairs, falls, strict=True)]


def _phrases(steps: np.ndarray, input: np.ndarray) -> list[slice]:
    """Runs of steps, in their order."""
    free, found = np.ones(len(steps), bool), list[slice]()
    for peak in np.argsort(-np.abs(steps), kind="stable"):
        if len(found) == _PHRASES or not steps[peak]:
            break
        if not free[peak]:
            continue
        least = _FADES * steps[peak]
        own = free & (input == input[peak]) & (steps * np.sign(steps[peak]) >= abs(least))
        start = stop = int(peak)
        while start > 0 and own[start - 1]:
            start -= 1
        while stop + 1 < len(steps) and own[stop + 1]:
            stop += 1
        free[start : stop + 1] = False
        found.append(slice(start, stop + 1))
    return sorted(found, key=lambda one: one.start)


def _interaction(question: Question, input: np.ndarray, one: slice, other: slice, falls: np.ndarray) -> Interaction:
    number = int(input[one.start])
    own, begin = question.inputs[number], int(np.searchsorted(input, number))

    def ends(phrase: slice) -> tuple[int, int]:
        return phrase.start - begin, phrase.stop - 1 - begin

    def text(phrase: slice) -> str:
        start, stop = ends(phrase)
        if own.kind == "tokens":
            return own.separator.join(own.labels[start : stop + 1])
        first, last = (own.labels[step] or f"step {step}" for step in (start, stop))
        return f"{first} to {last}" if stop > start else first

    return Interaction(
        input=own.name,
        first=ends(one),
        second=ends(other),
        texts=(text(one), text(other)),
        alone=(float(falls[0]), float(falls[1])),
        together=float(falls[2]),
    )
