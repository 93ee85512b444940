"""Classifiers that are no chain: networks side by side, each with several pools, over numbers of which changes are
made. This is what writers take of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.recording import LETTERS
from ..tasks.classify import step, words
from ..tasks.classify.inputs import Inputs
from ..tasks.options import names
from ..tasks.stepwise import share_line
from .as_chain import dense, stack
from .chain import Placed

Array = np.ndarray
_OTHERWISE = "Export it to onnx instead"
_ACTIVATIONS = {"category": "softmax", "labels": "sigmoid", "number": "linear"}


@dataclass(frozen=True)
class Member:
    """One of the networks.

    Attributes:
        table: (tokens, size) of its embedding; None where it reads numbers.
        letters: (letters, size) of another one, of the letters of words; None where it reads none.
        speller: The recurrent layer that reads a word's letters, in both directions to their ends.
        layers: Its recurrent layers, which give all steps.
        question: A dense layer with tanh and one with a single score of each step, where a pool is attention.
        output: A dense layer over all pools beside one another.
    """

    table: Array | None
    letters: Array | None
    speller: tuple[Placed, ...]
    layers: tuple[Placed, ...]
    question: tuple[Placed, ...]
    output: Placed


@dataclass(frozen=True)
class Ensemble:
    """The networks of a classifier, whose outputs are averaged.

    Attributes:
        pooling: Names of the pools, in their order.
        inputs: What of the data the networks read.
        kind: Of the target: "category", "labels" or "number".
        temperature: What logits of the average are still to be divided by.
        scale, mean: Of a number: the average times `scale`, plus `mean`, is what is predicted.
        left_out: What else predicts and is not among them, a sentence; empty if nothing does.
        examples: Sequences, each (T, C) numbers, or (T,) tokens and, where letters are read, (T, letters) these; and
            what is predicted of each, (K,).
    """

    members: tuple[Member, ...]
    pooling: tuple[str, ...]
    inputs: Inputs
    kind: str
    temperature: float
    scale: float
    mean: float
    left_out: str
    examples: tuple[tuple[tuple[Array, ...], Array], ...]


def ensemble_of(model: Any) -> Ensemble:
    """The networks of a trained `Classifier`.

    Raises:
        OptionError: They have no share in what it predicts, or read what is not written yet.
    """
    inputs, targets, sizes = model.inputs_, model.targets_, model.sizing_
    static = [one.name for one in (*inputs.numbers, *inputs.categories) if not one.per_step]
    refused = {
        "it hears recordings, whose spectra are not exported": model.sound_ is not None,
        "it reads columns of categories": bool(inputs.categories),
        f"it reads numbers that a sequence has once ({', '.join(static)})": bool(static),
        "it reads numbers beside text": inputs.text is not None and bool(inputs.numbers),
    }
    for reason, found in refused.items():
        if found:
            raise OptionError(f"{reason}. {_OTHERWISE}")
    share = 1.0 if model.baselines_ is None else float(model.blend_weight_)
    plain = "" if share == 1 else ", ".join(model.baselines_.shares_of(targets))
    left_out = share_line(share, f"that of plain methods ({plain})").strip()
    alone = copy(model)
    alone.blend_weight_ = 1.0
    single = sizes.ensemble == 1 and targets.kind != "number"  # then its logits can be divided beforehand
    members = tuple(
        _member(model, number, float(model.temperature_) if single else 1.0) for number in range(sizes.ensemble)
    )
    return Ensemble(
        members,
        names(model.pooling),
        inputs,
        targets.kind,
        1.0 if single or targets.kind == "number" else float(model.temperature_),
        float(targets.scale),
        float(targets.mean),
        left_out,
        tuple(_examples(alone)),
    )


def _member(model: Any, number: int, temperature: float) -> Member:
    """One network, whose scores are divided by the temperature."""
    prefix, sizes, program = f"members.{number}.", model.sizing_, model._cells()["cell"]
    weights = {name.removeprefix(prefix): one for name, one in model._weights().items() if name.startswith(prefix)}
    for name in ("output.weight", "output.bias"):
        weights[name] = weights[name] / np.float32(temperature)
    table, letters = weights.get("words.weight"), weights.get("letters.weight")
    speller, width = list[Placed](), model.inputs_.width if table is None else table.shape[1]
    if letters is not None:
        size = letters.shape[1]
        how = {"hidden_size": size, "direction": "both", "outputs": "end"}
        speller = stack(weights, program, size, 1, how, "speller")
        width += 2 * size
    how = {"hidden_size": sizes.hidden_size, "direction": "both" if model.bidirectional else "forward"}
    layers = stack(weights, program, width, sizes.num_layers, {**how, "zero_masked": True})
    asks = "attention" in names(model.pooling)
    question = [dense(weights, "question.0", "tanh"), dense(weights, "question.2")] if asks else []
    output = dense(weights, "output", _ACTIVATIONS[model.targets_.kind])
    return Member(table, letters, tuple(speller), tuple(layers), tuple(question), output)


def _examples(model: Any) -> Iterator[tuple[tuple[Array, ...], Array]]:
    text = model.inputs_.text is not None
    found = words.examples(model, "y") if text else step.examples(model, "sequence", "y")
    read = (
        [found.inputs["words"][:, 0], *([found.inputs[LETTERS]] if LETTERS in found.inputs else [])]
        if text
        else [found.inputs["values"]]
    )
    wanted = found.outputs["y"]
    if text:  # of numbers these are standardised
        wanted = model.targets_.predictions(wanted).reshape(wanted.shape)
    ends = np.cumsum(found.lengths)
    for begin, end, y in zip([0, *ends], ends, wanted, strict=False):
        yield tuple(x[begin:end] for x in read), y


def scaling(inputs: Inputs) -> Mapping[str, Array]:
    """Of each number of a step, C of them: "heavy", whether its logarithm is taken first, "mean" and "scale",
    "missing", whether a mark says where it is missing; "pace" of those whose changes are read, and "changes", which
    these are."""
    columns = inputs.numbers
    places = np.cumsum([0, *(len(column.mean) for column in columns)])
    changing = [range(a, b) for column, a, b in zip(columns, places, places[1:], strict=False) if column.pace]
    return {
        **{name: np.array([v for column in columns for v in getattr(column, name)]) for name in _OF_COLUMNS},
        "changes": np.array([place for own in changing for place in own], np.int64),
    }


_OF_COLUMNS = ("heavy", "mean", "scale", "missing", "pace")
