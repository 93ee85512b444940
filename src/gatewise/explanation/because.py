"""The parts of an attribution as a sentence that adds up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .report import Attribution, Because, Input, Target, Term

SHOWN = 5  # steps that the sentence names
_LONGEST = 30  # characters of a step's words


def because(target: Target, inputs: Sequence[Input], attribution: Attribution) -> Because:
    """The largest steps by name, and everything else summed up."""
    every = [
        (value, one.input, own, step)
        for one, own in zip(attribution.added, inputs, strict=True)
        for step, value in enumerate(one.steps)
    ]
    order = sorted(range(len(every)), key=lambda place: -abs(every[place][0]))
    named = [every[place] for place in order[:SHOWN] if every[place][0]]
    rest = [every[place][0] for place in order[len(named) :]]
    terms = [Term(text="all steps as usual", kind="baseline", value=attribution.baseline)]
    terms += [
        Term(text=step_text(own, step, len(inputs) > 1), kind="step", value=value, input=name, step=step)
        for value, name, own, step in named
    ]
    if rest:
        others = "1 other step" if len(rest) == 1 else f"{len(rest):,} other steps"
        terms.append(Term(text=others, kind="rest", value=float(sum(rest))))
    terms += [Term(text=one.text, kind="other", value=one.value) for one in attribution.others]
    if attribution.initial_state is not None:
        terms.append(Term(text="the state before", kind="initial state", value=attribution.initial_state))
    terms.append(Term(text="an unexplained rest", kind="remainder", value=attribution.remainder))
    return Because(sentence=sentence(target, terms, attribution.score), terms=terms, score=attribution.score)


def sentence(target: Target, terms: Sequence[Term], score: float) -> str:
    """ "The lead of B over A is +3.21 nats: all steps as usual give +0.40; 'not' (step 3) adds +2.10; ..."

    What is written adds up to the last digit: sums are rounded, and each term is what its sum has more than the one
    before. Parts that then are 0 are left out.
    """
    digits = max(2, 2 - _exponent(score))
    sums = np.round(np.cumsum([term.value for term in terms]), digits)
    shown = np.round(np.diff(sums, prepend=0.0), digits)
    parts = [
        f"{term.text} {_verb(term)} {value:+.{digits}f}"
        for term, value in zip(terms, shown, strict=True)
        if value or term.kind == "baseline"
    ]
    unit = f" {target.unit}" if target.unit else ""
    text = target.text[:1].upper() + target.text[1:]
    return f"{text} is {sums[-1]:+.{digits}f}{unit}: {'; '.join(parts)}."


def _verb(term: Term) -> str:
    if term.kind == "baseline":
        return "give"
    return "add" if term.kind == "rest" and not term.text.startswith("1 ") else "adds"


def _exponent(value: float) -> int:
    """Of the first digit: 0 from 1 on, -1 from 0.1 on."""
    return int(f"{value:e}".partition("e")[2]) if value else 0


def step_text(own: Input, step: int, several: bool = False) -> str:
    """A step as the sentence names it: "'not' (step 3)", "series at 14:00".

    Args:
        several: Whether there are inputs beside this one, so that words need its name.
    """
    label, where = own.labels[step], f"{own.name}, step {step}" if several else f"step {step}"
    if own.kind == "tokens":
        shown = repr(label) if len(label) <= _LONGEST else repr(label[: _LONGEST - 1] + "…")
        return f"{shown} ({where})" if label else f"{own.name} (step {step})"
    if own.kind == "image" and own.grid is not None:
        return f"{own.name} at row {step // own.grid[1]}, column {step % own.grid[1]}"
    if len(own.labels) == 1:
        return own.name
    return f"{own.name} at {label}" if label else f"{own.name} at step {step}"
