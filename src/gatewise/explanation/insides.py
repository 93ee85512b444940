"""What happened inside the network while it read the row, as parts of a report: gates, memories, what gates are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .effects import by_layer, gates_at_their_mean
from .grids import GridTrace, trace_grids
from .inside import Connectivity, FoundUnit, GateAblation, GridStream, LayerMemory, Stream
from .memory import ages, half_lives, ledger, life_lines, memories, rewriting
from .packed import Packed
from .question import WITHOUT_TORCH, Question
from .relevance import gates_of
from .traces import Held, Trace, trace
from .units import NamedUnit
from .walking import walk_of

MOST_SHOWN = 1 << 20  # numbers of all streams: what a page can hold
MOST_ON_GRIDS = 1 << 18  # numbers of the streams over images: a byte each in a page
MOST_OUTPUTS = 32  # steps of the output whose dependence on each step of the input is shown
MOST_KEPT = 1 << 25  # numbers of a layer's output that are kept for their derivatives
_TOGETHER = 1 << 21  # numbers of that output that are kept at once: more do not fit the caches
_ROUNDING = 1e-5  # by which a gate that is a quotient may be above 1
DIRECTIONS = 8  # in which a step of the output is differentiated; as many as it has units, if that is fewer


def insides(question: Question, seed: int) -> dict[str, Any]:
    """By name "streams", "grids", "memory", "gate_ablation", "walk" and "connectivity" of a report, or why one is
    missing."""
    arrays = [part.values[:, None] for part in question.parts]
    with np.errstate(all="ignore"):  # damaged weights show in what comes out
        _, traces = trace(question.network, lambda net: question.scores(net, arrays))
        grids = _grids(question, arrays)
    if not traces:
        why = "no recurrent layer ran"
        return {"grids": grids} | dict.fromkeys(("streams", "memory", "gate_ablation", "walk", "connectivity"), why)
    layers = by_layer(traces)
    whole = [one[0] for one in layers if len(one) == 1 and len(one[0].x) > 1]  # others ran step by step
    memory = [layer_memory(one, name) for one in whole for name in _vectors(one)]
    kept = "its cell has no memory of one number for each unit" if whole else "its layers run step by step"
    return {
        "streams": streams_of(layers),
        "grids": grids,
        "memory": memory or kept,
        "gate_ablation": _ablation(question, arrays, traces) or "its cell has no gates",
        "walk": walk_of(question, layers[0], layer_name(traces[0])),
        "connectivity": connectivity(question, seed),
    }


def named_units(question: Question, seed: int) -> list[FoundUnit] | str:
    """The units that were named, or why there are none."""
    if question.units is None:
        return "nothing is known here that units could follow; `explanation.name_units` takes your own features"
    found = [
        FoundUnit(
            layer=layer_name(one),
            unit=one.unit,
            feature=one.proposal.feature,
            correlation=one.proposal.correlation,
            unseen=one.proposal.unseen,
            null=one.proposal.null,
            silenced={kind: cost.after - cost.before for kind, cost in one.silenced.items() if cost.steps},
            confirmed=one.confirmed,
        )
        for one in question.units(seed)
    ]
    return found or "no unit follows anything nameable beyond chance"


def layer_name(one: Trace | Held | NamedUnit) -> str:
    """ "layer 1", "encoder, layer 2, backward" """
    before, chained, at = one.place.rpartition("layers.")  # a chain of layers has each by itself
    place = (before if chained else one.place.removesuffix("layers")).strip(".").replace(".", " ")
    number = one.layer + 1 + (int(at) if chained else 0)
    return f"{f'{place}, ' if place else ''}layer {number}{', backward' if one.reverse else ''}"


def _vectors(one: Trace) -> list[str]:
    """The memories of a cell that are no matrices."""
    sizes = dict(zip(one.cell.carry, one.cell.carry_sizes, strict=True))
    return [memory.name for memory in memories(one.cell) if sizes[memory.name] in "HP"]


def layer_memory(one: Trace, name: str) -> LayerMemory:
    """What a layer kept of the row, the first of its trace."""
    account, lives = ledger(one, name), half_lives(one, name)
    parts = np.abs(account.written[:, 0]).sum(-1)
    start = float(np.abs(account.start).sum())
    total = float(parts.sum()) + start or 1.0
    age = ages(one, name)[0]
    known = np.isfinite(age)
    changed = rewriting(one, name)
    lines, left = np.median(life_lines(one, name)[:, 0], -1), np.arange(len(one.x))[:: 1 if one.reverse else -1]
    return LayerMemory(
        layer=layer_name(one),
        name=name,
        half_lives=[float(life) if np.isfinite(life) else None for life in lives],
        written=(parts / total).tolist(),
        initial=start / total,
        life_lines=[float(line) if line < end else None for line, end in zip(lines, left, strict=True)],
        age=float(age[known].mean()) if known.any() else 0.0,
        kept=float(np.clip(1 - changed.share, 0, 1)),
        rewrites=changed.rewrites,
    )


def streams_of(layers: Sequence[Sequence[Trace]]) -> list[Stream]:
    """Every named value of every layer, of as many units as there is room for."""
    named = [(own, name) for own in layers for name in own[0].values]
    steps = sum(len(one.x) for own, _ in named for one in own)
    most = max(1, MOST_SHOWN // max(1, steps))
    found = []
    for own, name in named:
        first, values = own[0], np.concatenate([one.values[name][:, 0] for one in own])
        gates = {called for node, called in first.cell.names.items() if node in gates_of(first.cell)}
        outside = values.min() < 0 or values.max() > 1 + _ROUNDING  # as an exponential gate of one's own may be
        units = _slowest_first(own, values.shape[1])[:most]
        found.append(
            Stream(
                layer=layer_name(first),
                name=name,
                gate=name in gates and not outside,
                units=units.tolist(),
                values=Packed.of(values[:, units]),
            )
        )
    return found


def _grids(question: Question, arrays: Sequence[Any]) -> list[GridStream] | str:
    """Every named value of layers over images, of as many units as there is room for."""
    _, found = trace_grids(question.network, lambda net: question.scores(net, arrays))
    if not found:
        return "no layer of two dimensions ran"
    positions = sum(one.values["h"][0].size for one in found) * len(found[0].values)
    share = min(1.0, MOST_ON_GRIDS / max(1, positions))
    return [stream for one in found for stream in _on_grid(one, share)]


def _on_grid(one: GridTrace, share: float) -> list[GridStream]:
    gates = {called for node, called in one.cell.names.items() if node in gates_of(one.cell)}
    place = one.place.replace(".", " ")
    _, rows, columns, H = one.values["h"].shape
    units = [*range(max(1, int(share * H)))]
    return [
        GridStream(
            layer=f"{place}, from the {one.corner}",
            name=name,
            gate=name in gates,
            grid=(rows, columns),
            units=units,
            values=Packed.of(values[0].reshape(rows * columns, H)[:, units]),
        )
        for name, values in one.values.items()
    ]


def _slowest_first(own: Sequence[Trace], size: int) -> np.ndarray:
    """The units of a layer, those whose memory has the longest half-life first."""
    for name in _vectors(own[0]) if len(own) == 1 else ():
        lives = half_lives(own[0], name)
        if len(lives) == size:
            return np.argsort(-np.nan_to_num(lives, nan=0.0, posinf=np.inf), kind="stable")
    return np.arange(size)


def _ablation(question: Question, arrays: Sequence[Any], traces: Sequence[Trace]) -> list[GateAblation]:
    """Each gate held at its mean, those that the score needs most first."""

    def run(net: Any) -> tuple[float, str]:
        with np.errstate(all="ignore"):
            outputs = question.outputs(net, arrays)
            return float(question.score(outputs)[0]), "" if question.answers is None else question.answers(outputs)[0]

    score, answer = run(question.network)
    found = []
    for gate in gates_at_their_mean(traces):
        (changed, other), _ = trace(question.network, run, [gate])
        effect = GateAblation(
            layer=layer_name(gate), gate=gate.name, effect=changed - score, answer=other if other != answer else ""
        )
        found.append(effect)
    return sorted(found, key=lambda one: -abs(one.effect))


def connectivity(question: Question, seed: int) -> Connectivity | str:
    """How much each step of the last layer's output depends on each step of the first input.

    The norm of a matrix of derivatives, by `DIRECTIONS` random signs of the output's units: as a mean it is right, and
    exact where there are no more units than that.
    """
    net, ran = question.differentiable, []  # what the layers gave, in their order
    if net is None:
        return f"taking derivatives {WITHOUT_TORCH}"
    import torch

    from ..nn import Recurrent
    from ..nn.linear import Linear

    hooks = [
        one.register_forward_hook(lambda layer, _, output: ran.append((layer, output[0])))
        for one in net.modules()
        if isinstance(one, Recurrent) and not isinstance(one, Linear)  # which carries nothing
    ]
    try:
        # Once to learn how many steps there are, then with a row for each direction of each step.
        _run(question, net, [part.values[:, None] for part in question.parts])
        outputs = _last_layer(ran)
        steps, units = len(outputs), outputs.shape[-1]
        count = min(units, DIRECTIONS)
        most = min(MOST_OUTPUTS, max(4, MOST_KEPT // (steps * units * count)))
        shown = np.unique(np.linspace(0, steps - 1, min(steps, most)).round().astype(int))
        signs = np.random.default_rng([seed, 3]).choice([-1.0, 1.0], (count, units))
        ways = torch.from_numpy(np.eye(units) if units <= DIRECTIONS else signs).float()
        found = []
        for some in np.array_split(shown, min(len(shown), -(-len(shown) * steps * units * count // _TOGETHER))):
            ran.clear()
            rows = len(some) * count
            arrays = _run(question, net, [np.repeat(part.values[:, None], rows, 1) for part in question.parts])
            places = torch.from_numpy(np.repeat(some, count))
            chosen = _last_layer(ran)[places, torch.arange(rows)]  # (rows, units)
            own = [array for array, part in zip(arrays, question.parts, strict=True) if part.input == 0]
            total = (chosen * ways.repeat(len(some), 1)).sum()
            slopes = torch.autograd.grad(total, own, allow_unused=True) if total.requires_grad else ()
            squares = [slope.double().square().sum(-1).numpy() for slope in slopes if slope is not None]
            if not squares:
                return "the last layer does not depend on the first input"
            found.append(np.sum(squares, 0).reshape(-1, len(some), count).sum(-1))
    finally:
        for hook in hooks:
            hook.remove()
    norms = np.sqrt(np.concatenate(found, 1) / (1 if units <= DIRECTIONS else count))
    return Connectivity(
        input=question.inputs[0].name,
        outputs=shown.tolist(),
        inputs=list(range(len(norms))),
        strength=Packed.of(norms.T),
        skipped="" if len(shown) == steps else f"{len(shown)} of {steps:,} steps of the output are shown",
    )


def _run(question: Question, net: Any, values: Sequence[np.ndarray]) -> list[Any]:
    """Run the network, and what it read, of which gradients can be taken."""
    import torch

    arrays = [torch.from_numpy(np.ascontiguousarray(one)).requires_grad_() for one in values]
    question.scores(net, arrays)
    return arrays


def _last_layer(ran: Sequence[tuple[Any, Any]]) -> Any:
    """(T, N, units) of the layers that ran last, all their calls one after the other."""
    import torch

    last = ran[-1][0]
    return torch.cat([output for layer, output in ran if layer is last])
