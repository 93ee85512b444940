"""Tagging schemes: how labels per token say where named spans begin and end.

Every scheme here is a spelling of four roles: a span Begins, goes on Inside, Ends, or is a Single token. All readings
follow conlleval, the script of the CoNLL shared tasks, which makes a span of any labels however broken. A sequence is
legal in a scheme exactly if writing its spans again gives the same labels; that one law is also what repairs it.

Source: Tjong Kim Sang & Buchholz (2000), CoNLL shared task, and its conlleval; Ratinov & Roth (2009) for BILOU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...errors import DataError, OptionError, suggest
from ..sequences import MISSING, Column, Sequences, category_column

OUTSIDE = "O"

# Scheme: the letter that each of the roles B, I, E, S is written with. Those without E and S mark no ends.
SCHEMES = {
    "BIO": {"B": "B", "I": "I"},  # also called IOB2
    "IOB1": {"B": "B", "I": "I"},  # B only where a span follows one of its own type at once
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BMES": {"B": "B", "I": "M", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "E": "L", "S": "U"},
}
_ROLES = {name: {letter: role for role, letter in letters.items()} for name, letters in SCHEMES.items()}

_LETTERS = {letter for letters in SCHEMES.values() for letter in letters.values()}


class Span(NamedTuple):
    """Tokens start : stop of one sequence, of one type ("" where labels carry none)."""

    start: int
    stop: int
    type: str


class SpanScores(NamedTuple):
    """Precision, recall and F1 (0 to 1) of predicted spans, and how many there were.

    A span counts as right if its start, stop and type are all right.
    """

    precision: float
    recall: float
    f1: float
    gold: int
    predicted: int
    right: int


def spans(labels: Sequence[str], scheme: str, strict: bool = False) -> list[Span]:
    """The spans that the labels of one sequence mark, in order.

    Args:
        labels: One per token.
        scheme: A name in `SCHEMES`.
        strict: Drop spans that are not written as the scheme writes them, such as one that opens with I in BIO. False
            is conlleval's definition.

    Raises:
        OptionError: no such scheme.
        DataError: a label that the scheme does not have.
    """
    found: list[Span] = []
    start, before, kind_before = 0, OUTSIDE, ""
    for place, label in enumerate([*labels, OUTSIDE]):
        role, kind = role_of(label, scheme)
        goes_on = role in "IE" and before in "BI" and kind == kind_before
        if before != OUTSIDE and not goes_on:
            found.append(Span(start, place, kind_before))
        if not goes_on:
            start = place
        before, kind_before = role, kind
    if strict:
        written = labels_of(found, len(labels), scheme)
        found = [span for span in found if list(labels[span.start : span.stop]) == written[span.start : span.stop]]
    return found


def labels_of(marked: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Labels for `length` tokens that mark these spans, which do not overlap and stand in order."""
    letters = _letters(scheme)
    labels = [OUTSIDE] * length
    end = previous = None
    for start, stop, kind in marked:
        roles = ["B"] + ["I"] * (stop - start - 1)
        if "E" in letters:
            roles[-1] = "E" if len(roles) > 1 else "S"
        elif scheme == "IOB1" and (end, previous) != (start, kind):
            roles[0] = "I"
        labels[start:stop] = [_label(letters[role], kind) for role in roles]
        end, previous = stop, kind
    return labels


def convert(labels: Sequence[str], source: str, target: str) -> list[str]:
    """Labels of one scheme in another; the spans are the same."""
    return labels_of(spans(labels, source), len(labels), target)


def allowed_transitions(levels: Sequence[str], scheme: str) -> np.ndarray:
    """Which label may follow which, as a CRF needs it.

    Returns:
        (L + 2, L + 2) bool, from row to column, for L labels. Row L is the start of a sequence and column L + 1 its
        end; nothing leads to the start or on from the end.
    """
    parts = [role_of(level, scheme) for level in levels]
    roles = np.array([role for role, _ in parts] + ["start", "end"])
    kinds = np.array([f"type {kind}" if role != OUTSIDE else OUTSIDE for role, kind in parts] + ["start", "end"])
    open_before = np.isin(roles, ["B", "I"])[:, None]
    goes_on = open_before & (kinds[:, None] == kinds[None, :])
    if "E" in _letters(scheme):
        # What is open must go on, and nothing else may.
        matrix = np.where(np.isin(roles, ["I", "E"]), goes_on, ~open_before)
    else:
        matrix = np.where(roles == ("B" if scheme == "IOB1" else "I"), goes_on, True)
    matrix[:, -2] = matrix[-1] = False
    return matrix


def detect_scheme(labels: Column, offsets: np.ndarray) -> str | None:
    """The scheme of a column of labels, or None where they mark no spans, such as parts of speech.

    Labels mark spans if some are O and some a scheme's letter, a hyphen and a type, or if they are bare letters that
    make a whole scheme (B I; B M E S). Of the schemes with these letters it is the one that the fewest steps break, in
    the order of `SCHEMES`: what follows B and I alone tells BIO from IOB1.
    """
    used = {labels.levels[code] for code in np.unique(labels.values) if code != MISSING}
    letters = {level[0] for level in used if level[1:2] == "-" and level[0] in _LETTERS}
    bare = used - {OUTSIDE}
    if bare <= _LETTERS and (bare == {"B", "I"} or bare >= {"B", "E", "S"}):
        letters = bare
    elif not letters or (OUTSIDE not in used and any(level[1:2] != "-" for level in used)):
        return None
    unknown = {name: len(letters - set(own.values())) for name, own in SCHEMES.items()}
    candidates = [name for name in SCHEMES if unknown[name] == min(unknown.values())]
    return min(candidates, key=lambda name: len(_illegal(labels, offsets, name)))


def check_labels(
    sequences: Sequences, column: str = "label", scheme: str | None = None, repair: bool = False
) -> tuple[Sequences, str | None]:
    """Sequences whose labels are legal in their scheme, and its name; None if they follow none.

    Args:
        sequences: With a category of labels per step.
        column: Its name.
        scheme: A name in `SCHEMES`; None detects it.
        repair: Write broken spans again as conlleval reads them, instead of refusing them.

    Raises:
        DataError: the first illegal step, with its line.
    """
    labels = sequences.column(column)
    scheme = scheme or detect_scheme(labels, sequences.offsets)
    if scheme is None:
        return sequences, None
    foreign = [code for code, level in enumerate(labels.levels) if not _fits(level, scheme)]
    strange = np.flatnonzero(np.isin(labels.values, foreign))
    if len(strange):
        step = int(strange[0])
        raise DataError(f"{_place(sequences, step)}: {_not_a_label(labels.levels[labels.values[step]], scheme)}")
    wrong = _illegal(labels, sequences.offsets, scheme)
    if len(wrong) and not repair:
        step, at_end = divmod(int(wrong[0]), 2)
        what = _transition(labels, sequences.offsets, step, at_end)
        more = f" There are {len(wrong) - 1} more." if len(wrong) > 1 else ""
        hint = "Fix it, or pass --repair to read spans as conlleval does."
        raise DataError(f"{_place(sequences, step)}: {what} is illegal in {scheme}. {hint}{more}")
    return (converted(sequences, column, scheme, scheme) if len(wrong) else sequences), scheme


def converted(sequences: Sequences, column: str, source: str, target: str) -> Sequences:
    """The same sequences with the labels of this column in another scheme; a step without a label keeps none."""
    labels = sequences.column(column)
    words: list[str | None] = []
    for start, stop in zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True):
        given = labels[start:stop].strings()
        written = convert([word or OUTSIDE for word in given], source, target)
        words += [None if old is None else new for old, new in zip(given, written, strict=True)]
    return replace(sequences, steps={**sequences.steps, column: category_column(column, words)})


def span_scores(
    gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]], scheme: str, strict: bool = False
) -> tuple[SpanScores, dict[str, SpanScores]]:
    """Scores over all spans, and those of each type.

    Args:
        gold: Labels per token, per sequence.
        predicted: As many of each.
        scheme: Of both.
        strict: As in `spans`; False is what conlleval and the published figures count.

    Raises:
        DataError: the two differ in length.
    """
    gold, predicted = list(gold), list(predicted)
    if len(gold) != len(predicted):
        raise DataError(f"{len(gold)} sequences have labels, but {len(predicted)} were predicted.")
    counts = {"gold": Counter[str](), "predicted": Counter[str](), "right": Counter[str]()}
    for index, (truth, guess) in enumerate(zip(gold, predicted, strict=True)):
        if len(truth) != len(guess):
            raise DataError(f"sequence {index} has {len(truth)} labels, but {len(guess)} were predicted.")
        true, guessed = set(spans(truth, scheme, strict)), set(spans(guess, scheme, strict))
        for name, some in (("gold", true), ("predicted", guessed), ("right", true & guessed)):
            counts[name].update(span.type for span in some)
    kinds = sorted(set(counts["gold"]) | set(counts["predicted"]))
    scores = {kind: _scores(*(counts[name][kind] for name in counts)) for kind in kinds}
    return _scores(*(counts[name].total() for name in counts)), scores


def _scores(gold: int, predicted: int, right: int) -> SpanScores:
    precision = right / predicted if predicted else 0.0
    recall = right / gold if gold else 0.0
    f1 = 2 * right / (gold + predicted) if right else 0.0
    return SpanScores(precision, recall, f1, gold, predicted, right)


def _letters(scheme: str) -> dict[str, str]:
    if scheme not in SCHEMES:
        raise OptionError(suggest("tagging scheme", scheme, SCHEMES))
    return SCHEMES[scheme]


def role_of(label: str, scheme: str) -> tuple[str, str]:
    """Role and type of a label; the type may hold hyphens, as in B-creative-work."""
    if label == OUTSIDE:
        return OUTSIDE, ""
    letter, _, kind = label.partition("-")
    _letters(scheme)
    if letter not in _ROLES[scheme]:
        raise DataError(_not_a_label(label, scheme))
    return _ROLES[scheme][letter], kind


def _label(letter: str, kind: str) -> str:
    return f"{letter}-{kind}" if kind else letter


def _fits(label: str, scheme: str) -> bool:
    return label == OUTSIDE or label.partition("-")[0] in _letters(scheme).values()


def _not_a_label(label: str, scheme: str) -> str:
    forms = ", ".join(f"{letter}-TYPE" for letter in SCHEMES[scheme].values())
    return f"'{label[:40]}' is not a label of {scheme}, whose labels are O, {forms}."


def _illegal(labels: Column, offsets: np.ndarray, scheme: str) -> np.ndarray:
    """Where labels break the scheme, sorted: 2 * step if a step may not follow what is before it, and 2 * step + 1 if
    the sequence may not end behind it. Labels that are missing or of another scheme count as O."""
    levels = [level if _fits(level, scheme) else OUTSIDE for level in labels.levels] + [OUTSIDE]
    matrix = allowed_transitions(levels, scheme)
    codes = np.where(labels.values == MISSING, len(levels) - 1, labels.values)
    filled = np.diff(offsets) > 0
    before = np.roll(codes, 1)
    before[offsets[:-1][filled]] = len(levels)
    last = offsets[1:][filled] - 1
    steps = np.flatnonzero(~matrix[before, codes])
    ends = last[~matrix[codes[last], len(levels) + 1]]
    return np.sort(np.concatenate([2 * steps, 2 * ends + 1]))


def _transition(labels: Column, offsets: np.ndarray, step: int, at_end: int) -> str:
    """The illegal transition in words."""
    here, before = (labels[max(at, 0) : at + 1].strings() for at in (step, step - 1))
    if at_end:
        return f"{here[0] or OUTSIDE} at the end of a sequence"
    if step in offsets[:-1]:
        return f"{here[0] or OUTSIDE} at the start of a sequence"
    return f"{here[0] or OUTSIDE} after {before[0] or OUTSIDE}"


def _place(sequences: Sequences, step: int) -> str:
    """Where a step stands in its source."""
    if sequences.lines is not None:
        return f"{sequences.name}, line {sequences.lines[step]}"
    index = int(np.searchsorted(sequences.offsets, step, "right")) - 1
    return f"{sequences.name}, sequence {index}, step {step - sequences.offsets[index]}"
