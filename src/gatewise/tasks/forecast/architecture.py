"""The networks of `forecast`, said once: a recurrent part that corrects a linear one, all steps at once or one after
the other.

B windows, C target columns, T steps of past, H of future, R rows of the recurrent layers: B where they read all columns
together, B * C where each column is a row of its own; G columns in each row. P outputs of the head for each value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...algebra import Cell
from ...runtime.network import Block, Constant, Dropout, Linear, Recurrent, Weight
from ..transfer import Axes, input_axes, row_names

_KNOWN_AHEAD = 32  # units that join what is known ahead of a step to what was read
_LINEAR_RATE = 0.1  # factor of the learning rate of the solved weights, which are nearly right


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a network.

    Attributes:
        direct: Whether all steps of the horizon are predicted at once.
        columns: Target columns, C.
        joint: Whether they are read together.
        context_length, horizon: T and H.
        patch: Steps of past that make one step of the recurrent layers.
        covariates, ahead, static: Features per step of past, per step of future, per series.
        learn_variance: Whether all outputs of the head are learned. Else only the location is, and the rest stays as
            held-out windows show it: a network that knows a few windows by heart would be too sure of itself.
        others: As in `Forecaster`.
    """

    direct: bool
    columns: int
    joint: bool
    context_length: int
    horizon: int
    patch: int
    covariates: int
    ahead: int
    static: int
    learn_variance: bool
    hidden_size: int
    num_layers: int
    dropout: float

    @property
    def width(self) -> int:
        """Features that the recurrent layers read at each of their steps."""
        if self.direct:
            return self.patch * (2 * self.row_columns + self.covariates) + self.static
        return 2 * self.row_columns + self.ahead + self.static

    @property
    def steps(self) -> int:
        """Steps of the horizon that are predicted at once."""
        return self.horizon if self.direct else 1

    @property
    def row_columns(self) -> int:
        """Columns that a row of the recurrent layers reads, G."""
        return self.columns if self.joint else 1


def architecture(
    shape: Shape, cell: Cell, location_mask: tuple[float, ...], regularisation: Mapping[str, Any]
) -> Block:
    """The network of a forecaster.

    Args:
        cell: Of the recurrent layers.
        location_mask: (P,) 1 where the linear part is added to an output of the head.
        regularisation: Of the recurrent layers, beside dropout; see `Recurrent`.
    """
    # What is learned of each value: all outputs of the head, or one that moves its location.
    learned = len(location_mask) if shape.learn_variance else 1
    ahead = {}
    if shape.direct and shape.ahead:
        ahead = {
            "known": Linear(shape.ahead + shape.hidden_size, _KNOWN_AHEAD, exact=True),
            "joined": Linear(_KNOWN_AHEAD, shape.row_columns * learned, exact=True),
        }
    return Block(
        {
            "members": [],
            "shares": (),
            "shape": shape,
            "location_mask": Constant(location_mask),
            "moved": Weight((shape.steps, shape.context_length)),
            # Weight of what was learned beyond the linear part: below 1 in older models, which had no shares.
            "blend_weight": Weight((), trained=False),
            "linear": Weight((shape.steps, shape.context_length), trained=False),
            "start": Weight((shape.steps, len(location_mask)), trained=False),
            "layers": Recurrent(
                cell=cell,
                input_size=shape.width,
                hidden_size=shape.hidden_size,
                num_layers=shape.num_layers,
                dropout=shape.dropout,
                **regularisation,
            ),
            "dropout": Dropout(shape.dropout),
            "output": Linear(shape.hidden_size, shape.row_columns * shape.steps * learned, exact=True),
            **ahead,
        }
    )


def together(networks: Sequence[Block], shares: Sequence[float]) -> Block:
    """Networks of several settings as one, which predicts the average of their outputs by these shares: of a value the
    quantiles, level by level, or what says its distribution."""
    return Block({"members": list(networks), "shares": tuple(shares), "shape": networks[0].parts["shape"]})


def axes_of(
    network: Block, columns: Sequence[str], covariates: Sequence[str], ahead: Sequence[str], static: Sequence[str]
) -> Axes:
    """What the places of weights are; steps of past count back from the last one.

    Args:
        columns: Names of the target columns.
        covariates, ahead, static: Names of the features of each step of past, of each step of future, and per series.
    """
    shape: Shape = network.parts["shape"]
    own = columns if shape.joint else [""]
    past, future = range(-shape.context_length, 0), range(shape.steps)
    sizes = dict(network.weights())
    learned = sizes["output.bias"][0] // (len(own) * shape.steps)
    outputs = [(name, step, place) for name in own for step in future for place in range(learned)]
    read: list[Any] = [(kind, name) for kind in ("before", "seen") for name in own]
    if shape.direct:
        patch = range(-shape.patch, 0)
        read = [(kind, step, name) for kind in ("before", "seen") for step in patch for name in own]
        read += [("covariate", step, name) for step in patch for name in covariates]
    else:
        read += [("covariate", name) for name in ahead]
    read += [("static", name) for name in static]
    units = [("unit", place) for place in range(shape.hidden_size)]
    joined = [(name, place) for name in own for place in range(learned)]
    return {
        "moved": {0: future, 1: past},
        **input_axes(network.parts["layers"], "layers.", read),
        **row_names(outputs, "output.weight", "output.bias"),
        "known.weight": {1: [*ahead, *units]},
        **row_names(joined, "joined.weight", "joined.bias"),
    }


# The forward pass.


def forward_direct(net: Any, batch: Mapping[str, Any]) -> Any:
    """Outputs of the head for all steps at once, (B, C, H, P). Those of a window do not depend on what is beside it, to
    the last bit.

    Args:
        net: The parts of `architecture`.
        batch: As `Batch`, by the names of its fields.
    """
    if net.members:
        return sum(forward_direct(own, batch) * share for own, share in zip(net.members, net.shares, strict=True))
    shape = net.shape
    y, _ = net.layers(_patches(net, batch))
    h = net.dropout(y[-1])
    learned = net.output(h).reshape(len(h), shape.row_columns, shape.horizon, -1)
    if shape.ahead:
        learned = learned + _of_known_ahead(net, h, batch["ahead"])
    found = _combined(net, learned, net.ops.linear_by_row(rows(net, batch["past"]), _linear_weights(net)))
    return found.reshape(-1, shape.columns, shape.horizon, found.shape[-1])


def forward_steps(net: Any, batch: Mapping[str, Any], state: Any = None) -> tuple[Any, Any]:
    """Outputs of the head for n steps, each given the values before it, (R, G, n, P); and the state after them.

    Args:
        net: The parts of `architecture`.
        batch: What `step_features` reads, and "windows", (R, G, n, T), all that the linear part reads.
        state: Of the layers.
    """
    y, state = net.layers(step_features(net, batch), state)
    learned = net.output(net.dropout(y)).reshape(*y.shape[:2], net.shape.row_columns, -1)
    base = net.ops.linear_by_row(batch["windows"], _linear_weights(net))[..., 0]
    return _combined(net, net.ops.moveaxis(learned, 0, 2), base), state


def step_features(net: Any, batch: Mapping[str, Any]) -> Any:
    """(n, R, width) what the layers read: the values before each step, and what is known of the step.

    Args:
        batch: "before" and "seen", (R, G, n): the value before each step, and whether it was observed; "ahead"
            (R, n, F) and "static" (R, S).
    """
    steps = [net.ops.moveaxis(batch[name], -1, 0) for name in ("before", "seen")]
    static = net.ops.broadcast_to(batch["static"], (len(steps[0]), *batch["static"].shape))
    return net.ops.concatenate([*steps, batch["ahead"].swapaxes(0, 1), static])


def rows(net: Any, values: Any) -> Any:
    """(B, C, n) as (R, G, n)."""
    return values if net.shape.joint else values.reshape(-1, 1, values.shape[-1])


def per_row(net: Any, values: Any) -> Any:
    """(B, ...) of each window as (R, ...)."""
    return values if net.shape.joint else net.ops.repeat(values, net.shape.columns, 0)


def _patches(net: Any, batch: Mapping[str, Any]) -> Any:
    """(T / patch, R, width) what the layers read."""
    past, seen = rows(net, batch["past"]), rows(net, batch["seen"])
    parts = [_patched(net, past.swapaxes(1, 2)), _patched(net, seen.swapaxes(1, 2))]
    if net.shape.covariates:
        covariates = _patched(net, batch["covariates"])
        parts.append(per_row(net, covariates.swapaxes(0, 1)).swapaxes(0, 1))
    if net.shape.static:
        static = per_row(net, batch["static"])
        parts.append(net.ops.broadcast_to(static, (len(parts[0]), *static.shape)))
    return net.ops.concatenate(parts)


def _patched(net: Any, values: Any) -> Any:
    """(R, T, n) as (T / patch, R, patch * n); if the first patch is not full, it is padded with zeros."""
    R, T, n = values.shape
    padded = net.ops.concatenate([net.ops.zeros((R, -T % net.shape.patch, n), values), values], 1)
    return padded.reshape(R, -1, net.shape.patch * n).swapaxes(0, 1)


def _of_known_ahead(net: Any, h: Any, ahead: Any) -> Any:
    """(R, G, H, learned outputs) from what was read of the past, (R, hidden), and what is known ahead, (B, H, F)."""
    H = net.shape.horizon
    both = [per_row(net, ahead), net.ops.broadcast_to(h[:, None], (len(h), H, h.shape[-1]))]
    learned = net.joined(net.ops.tanh(net.known(net.ops.concatenate(both))))
    return learned.reshape(len(h), H, net.shape.row_columns, -1).swapaxes(1, 2)


def _linear_weights(net: Any) -> Any:
    """(steps, T)."""
    return net.linear + _LINEAR_RATE * net.blend_weight * net.moved


def _combined(net: Any, learned: Any, base: Any) -> Any:
    """(R, G, n, P) outputs of the head: its start, what was learned (R, G, n, ...), the linear part (R, G, n)."""
    moved = learned if net.shape.learn_variance else learned * net.location_mask
    return net.blend_weight * moved + net.start + base[..., None] * net.location_mask
