"""What it takes to walk through the steps of the first layer, as a part of a report; and the story that it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..algebra import Cell
from ..errors import OptionError
from ..walk import Story, window
from ..walk.window import handed_back, states_of
from .inside import Walk
from .packed import Packed
from .question import Question
from .report import Report
from .traces import Trace

MOST_WALKED = 1 << 16  # numbers of the weights of a layer that is walked through


def walk_of(question: Question, calls: Sequence[Trace], layer: str) -> Walk | str:
    """What a page needs of a layer that ran, in one call or step by step; why not, if it is too large."""
    one = calls[0]
    size = sum(array.size for array in one.stored)
    if size > MOST_WALKED:
        return f"the {size:,} weights of {layer} are too many to walk through, {MOST_WALKED:,} at most"
    names = [own[0] for own in one.cell.stored()]
    run = _in_float64(question, calls) or _Run(one.x[:, 0], [start[0] for start in one.start], one.stored, {})
    return Walk(
        layer=layer,
        cell=one.cell.to_json(),
        weights={name: Packed.exactly(array) for name, array in zip(names, run.weights, strict=True)},
        inputs=Packed.exactly(run.x),
        state={name: Packed.exactly(start) for name, start in zip(one.cell.carry, run.start, strict=True)},
        steps=_steps(question, len(run.x)),
        at=_step_of_target(question, len(run.x), run.arriving.get(one.cell.carry[0])),
        arriving={name: Packed.exactly(slope) for name, slope in run.arriving.items()},
    )


def story_of(report: Report) -> Story:
    """The last steps until that of the target, as a story. OptionError, which says why, if the report has none."""
    found = report.walk
    if found is None:
        raise OptionError(f"there is no walk through this model: {report.missing['walk']}")
    cell, made = Cell.from_json(found.cell), report.provenance
    start = [found.state[name].array for name in cell.carry]
    zeros = {name: np.zeros((len(found.steps), own.size)) for name, own in zip(cell.carry, start, strict=True)}
    given = {name: found.arriving[name].array if name in found.arriving else zeros[name] for name in cell.carry}
    return window(
        f"{made.model or made.task}, {found.layer}: {report.target.text}",
        cell,
        found.inputs.array,
        start,
        [found.weights[own[0]].array for own in cell.stored()],
        found.steps,
        found.at,
        list(given.values()) if found.arriving else None,
    )


def _steps(question: Question, steps: int) -> list[str]:
    """Names of the steps that a layer read: those of the first input with as many, else their numbers."""
    labels = next((one.labels for one in question.inputs if len(one.labels) == steps), [""] * steps)
    return [("␣" if label == " " else label.strip()) or str(number) for number, label in enumerate(labels)]


def _step_of_target(question: Question, steps: int, slopes: np.ndarray | None) -> int:
    """The step at which the target is read off: that of a tag, the frame of a symbol, else the last one."""
    target = question.target
    if target.kind in ("tag", "number") and target.step is not None:
        return min(target.step, steps - 1)
    if target.kind == "symbol" and slopes is not None:
        return int(np.abs(slopes).sum(-1).argmax())
    return steps - 1


@dataclass(frozen=True, eq=False)
class _Run:
    """What a layer in its forward direction ran on.

    Attributes:
        x: (T, D).
        start: (H,) per carried name.
        weights: One array per parameter of the cell.
        arriving: (T, H) per carried name the gradient of the score by the state after each step, by what reads that
            state and not by way of later steps. Without names that get none; empty if it is not known.
    """

    x: np.ndarray
    start: Sequence[np.ndarray]
    weights: Sequence[np.ndarray]
    arriving: Mapping[str, np.ndarray]


def _in_float64(question: Question, calls: Sequence[Trace]) -> _Run | None:
    """The first layer that ran, in a network of float64, so that a page can be compared with the network to the last
    digits. None where that network runs it otherwise, where its calls do not go on from one another, and without
    torch."""
    if question.differentiable is None:
        return None
    import torch

    net, cell = deepcopy(question.differentiable).double(), calls[0].cell
    layer: Any = dict(net.named_modules()).get(calls[0].place)
    arrays = [torch.from_numpy(part.values[:, None].astype(np.float64)).requires_grad_() for part in question.parts]
    with _kept(layer) as ran:
        score = question.scores(net, arrays).sum()
    if len(ran) != len(calls) or any(one.x.shape[1] != 1 or not one.output.requires_grad for one in ran):
        return None
    x = np.concatenate([one.x.detach()[:, 0].numpy() for one in ran])
    start = [begin.detach()[0].numpy() for begin in ran[0].start]
    weights = [weight.detach().numpy() for weight in layer.equations()[0][1]]
    own = np.concatenate([one.after[0][:, 0] for one in calls])
    states = states_of(cell, x, start, weights)
    if x.shape[0] != len(own) or not np.allclose([state[0] for state in states[1:]], own, 1e-3, 1e-4):
        return None
    slopes = torch.autograd.grad(score, [value for one in ran for value in (one.output, *one.last)], allow_unused=True)
    arriving, size = [np.zeros((len(x), value.size)) for value in start], own.shape[1]
    ends, each = np.cumsum([len(one.output) for one in ran]), len(cell.carry) + 1
    for number, (end, one) in enumerate(zip(ends, ran, strict=True)):
        slope, *last = slopes[number * each : (number + 1) * each]
        if slope is not None:
            arriving[0][end - len(one.output) : end] += slope[:, 0, :size].numpy()
        for every, of_last in zip(arriving, last, strict=True):
            if of_last is not None:
                every[end - 1] += of_last[0, 0].numpy()
    if len(ran) > 1:  # the last state of a call was read by the next one, whose steps hand that back
        for step, handed in handed_back(cell, x, states, arriving, weights, 0):
            if step + 1 in ends[:-1]:
                for every, later in zip(arriving, handed, strict=True):
                    every[step] -= later
    known = {name: every for name, every in zip(cell.carry, arriving, strict=True) if every.any()}
    return _Run(x, start, weights, known)


class _Call(NamedTuple):
    """What the first of stacked layers reads and starts from in a call, its output at each step, and all layers' last
    states."""

    x: Any
    start: Sequence[Any]
    output: Any
    last: Sequence[Any]


@contextmanager
def _kept(stack: Any) -> Iterator[list[_Call]]:
    """The calls of stacked layers."""
    from ..nn import Recurrent

    found: list[_Call] = []
    if not isinstance(stack, Recurrent):  # in torch the network is built otherwise
        yield found
        return
    between: list[Any] = []  # what each layer gave to the next
    handed = stack.between_layers

    def keeping(output: Any) -> Any:
        between.append(output)
        return handed(output)

    def ended(_: Any, read: Any, named: Any, given: Any) -> None:
        x, *hx = read
        output, last = given[:2]
        start = stack.starts(x, hx[0] if hx else named.get("hx"))[0]
        own = between[0] if between else output
        found.append(_Call(x, start, own, last if isinstance(last, tuple) else (last,)))
        between.clear()

    hook = stack.register_forward_hook(ended, with_kwargs=True)
    stack.between_layers = keeping  # type: ignore[assignment, method-assign]  # for this run, as a hook would
    try:
        yield found
    finally:
        del stack.between_layers
        hook.remove()
