"""What it takes to walk through the steps of the first layer, as a part of a report; and the story that it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..algebra import Cell
from ..errors import OptionError
from ..walk import Story, window
from .inside import Walk
from .packed import Packed
from .question import Question
from .report import Report
from .traces import Trace

MOST_WALKED = 1 << 16  # numbers of the weights of a layer that is walked through


def walk_of(question: Question, one: Trace, layer: str) -> Walk | str:
    """What a page needs of a layer that ran; why not, if it is too large."""
    size = sum(array.size for array in one.stored)
    if size > MOST_WALKED:
        return f"the {size:,} weights of {layer} are too many to walk through, {MOST_WALKED:,} at most"
    names = [own[0] for own in one.cell.stored()]
    exact = _in_float64(question, one)
    run = exact or _Run(one.x[:, 0], [start[0] for start in one.start], one.stored, {})
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


def _in_float64(question: Question, one: Trace) -> _Run | None:
    """The first layer that ran, in a network of float64, so that a page can be compared with the network to the last
    digits. None where that network runs it otherwise, as step by step, and without torch."""
    if question.differentiable is None:
        return None
    import torch

    net = deepcopy(question.differentiable).double()
    layer: Any = dict(net.named_modules()).get(one.place)
    arrays = [torch.from_numpy(part.values[:, None].astype(np.float64)).requires_grad_() for part in question.parts]
    with _kept(layer) as ran:
        score = question.scores(net, arrays).sum()
    own = one.after[0][:, 0]
    size = own.shape[1]
    if len(ran) != 1:
        return None
    x, start, output, last = ran[0]
    if not output.requires_grad:  # of nothing that was read
        return None
    if output.shape[:2] != (len(own), 1) or not np.allclose(output.detach()[:, 0, :size].numpy(), own, 1e-3, 1e-4):
        return None
    slopes = torch.autograd.grad(score, [output, *last], allow_unused=True)
    found = {} if slopes[0] is None else {one.cell.carry[0]: slopes[0][:, 0, :size].numpy()}
    for name, slope, began in zip(one.cell.carry, slopes[1:], start, strict=True):
        if slope is not None and slope[0, 0].any():
            every = found.setdefault(name, np.zeros((len(own), began.shape[1])))
            every[-1] += slope[0, 0].numpy()
    weights = layer.equations()[0][1]
    return _Run(
        *(x.detach()[:, 0].numpy(), [s.detach()[0].numpy() for s in start], [w.detach().numpy() for w in weights]),
        arriving=found,
    )


@contextmanager
def _kept(stack: Any) -> Iterator[list[tuple[Any, Sequence[Any], Any, Sequence[Any]]]]:
    """Of the first of stacked layers, for each call: what it reads and starts from, its output at each step, and all
    layers' last states."""
    from ..nn import Recurrent

    found: list[tuple[Any, Sequence[Any], Any, Sequence[Any]]] = []
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
        found.append((x, start, between[0] if between else output, last if isinstance(last, tuple) else (last,)))

    hook = stack.register_forward_hook(ended, with_kwargs=True)
    stack.between_layers = keeping  # type: ignore[assignment, method-assign]  # for this run, as a hook would
    try:
        yield found
    finally:
        del stack.between_layers
        hook.remove()
