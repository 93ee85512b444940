"""What it takes to walk through the steps of the first layer, as a part of a report; and the story that it tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    arriving = _arriving(question, one)
    return Walk(
        layer=layer,
        cell=one.cell.to_json(),
        weights={name: Packed.of(array) for name, array in zip(names, one.stored, strict=True)},
        inputs=Packed.of(one.x[:, 0]),
        state={name: Packed.of(start[0]) for name, start in zip(one.cell.carry, one.start, strict=True)},
        steps=_steps(question, len(one.x)),
        at=_step_of_target(question, len(one.x), arriving.get(one.cell.carry[0])),
        arriving={name: Packed.of(slope) for name, slope in arriving.items()},
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


def _arriving(question: Question, one: Trace) -> dict[str, np.ndarray]:
    """(T, size) per carried name the gradient of the score by a layer's state after each step, by what reads that
    state and not by way of later steps. Without those that get none; nothing at all where it cannot be known.

    Args:
        one: The first layer that ran, in its forward direction.
    """
    net = question.differentiable
    if net is None:
        return {}
    import torch

    layer = dict(net.named_modules()).get(one.place)
    arrays = [torch.from_numpy(np.ascontiguousarray(part.values[:, None])).requires_grad_() for part in question.parts]
    with _kept(layer) as ran:
        score = question.scores(net, arrays).sum()
    own = one.after[0][:, 0]
    size = own.shape[1]
    if len(ran) != 1 or not ran[0][0].requires_grad:
        return {}  # step by step, or of nothing that was read
    output, last = ran[0]
    if output.shape[:2] != (len(own), 1) or not np.allclose(output.detach()[:, 0, :size].numpy(), own, 1e-3, 1e-4):
        return {}  # in torch the network runs otherwise
    slopes = torch.autograd.grad(score, [output, *last], allow_unused=True)
    found = {} if slopes[0] is None else {one.cell.carry[0]: slopes[0][:, 0, :size].double().numpy()}
    for name, slope, start in zip(one.cell.carry, slopes[1:], one.start, strict=True):
        if slope is not None and slope[0, 0].any():
            every = found.setdefault(name, np.zeros((len(own), start.shape[1])))
            every[-1] += slope[0, 0].double().numpy()
    return found


@contextmanager
def _kept(stack: Any) -> Iterator[list[tuple[Any, Sequence[Any]]]]:
    """What the first of stacked layers gives, for each call: its output at each step, and all layers' last states."""
    from ..nn import Recurrent

    found: list[tuple[Any, Sequence[Any]]] = []
    if not isinstance(stack, Recurrent):  # in torch the network is built otherwise
        yield found
        return
    between: list[Any] = []  # what each layer gave to the next
    handed = stack.between_layers

    def keeping(output: Any) -> Any:
        between.append(output)
        return handed(output)

    def ended(_: Any, __: Any, given: Any) -> None:
        output, last = given[:2]
        found.append((between[0] if between else output, last if isinstance(last, tuple) else (last,)))

    hook = stack.register_forward_hook(ended)
    stack.between_layers = keeping  # type: ignore[assignment, method-assign]  # for this run, as a hook would
    try:
        yield found
    finally:
        del stack.between_layers
        hook.remove()
