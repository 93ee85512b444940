"""The tensors of a checkpoint: weights, best weights, optimiser, carried state, random generators; or several times."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

_STATE = {  # of each parameter in the optimiser, beside its step
    "cosine": ("exp_avg", "exp_avg_sq"),
    "schedule-free": ("x", "z", "exp_avg_sq"),
}


@dataclass
class Snapshot:
    """Attributes:
    model: Weights by name.
    best: Best weights by name; empty before the first validation.
    carried: The module's carried state, in order.
    generators: States of the run's generators by kind of device, uint8.
    optimizer: State by parameter number, then by name.
    kept: Snapshots of other moments of the same run, by what they are for.
    """

    model: dict[str, Tensor]
    best: dict[str, Tensor] = field(default_factory=dict)
    carried: list[Tensor] = field(default_factory=list)
    generators: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    kept: dict[str, Snapshot] = field(default_factory=dict)

    def named(self) -> dict[str, Tensor]:
        """All tensors, each under one name: "optimizer.3.exp_avg"."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"carried.{index}": tensor for index, tensor in enumerate(self.carried)}
        tensors |= {f"generator.{name}": tensor for name, tensor in self.generators.items()}
        for index, values in self.optimizer.items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
        for purpose, snapshot in self.kept.items():
            tensors |= {f"kept.{purpose}.{name}": tensor for name, tensor in snapshot.named().items()}
        return tensors

    def copied(self) -> Snapshot:
        """The same in memory of its own."""
        return Snapshot.from_named({name: tensor.detach().clone() for name, tensor in self.named().items()})

    @classmethod
    def from_named(cls, tensors: Mapping[str, Tensor]) -> Snapshot:
        """Undo `named`.

        Raises:
            KeyError, ValueError: A name is not one of ours.
        """
        parts: dict[str, dict[str, Tensor]] = {
            kind: {} for kind in ("model", "best", "carried", "generator", "optimizer", "kept")
        }
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            parts[kind][rest] = tensor
        snapshot = cls(parts["model"], parts["best"], generators=parts["generator"])
        snapshot.carried = [parts["carried"][str(index)] for index in range(len(parts["carried"]))]
        for name, tensor in parts["optimizer"].items():
            index, _, key = name.partition(".")
            snapshot.optimizer.setdefault(int(index), {})[key] = tensor
        kept: dict[str, dict[str, Tensor]] = {}
        for name, tensor in parts["kept"].items():
            purpose, _, key = name.partition(".")
            kept.setdefault(purpose, {})[key] = tensor
        snapshot.kept = {purpose: cls.from_named(own) for purpose, own in kept.items()}
        return snapshot


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, and those buffers that belong in a file; a tied weight once. The tensors themselves, not copies."""
    saved = module.state_dict().keys()
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach() for name, tensor in named if name in saved}


def load(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy values into the weights of the same names, on any device."""
    for name, tensor in weights(module).items():
        tensor.copy_(values[name])


def difference(module: nn.Module, values: Mapping[str, Tensor]) -> str | None:
    """The first way in which `values` do not fit this module's weights, or None if they fit."""
    inside = weights(module)
    wanted = {name: tuple(tensor.shape) for name, tensor in inside.items()}
    found = {name: tuple(tensor.shape) for name, tensor in values.items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            return f"its {name} has shape {found.get(name, 'none')}, here it has {wanted.get(name, 'none')}"
        if values[name].dtype != inside[name].dtype:
            return f"its {name} holds {values[name].dtype}, here {inside[name].dtype}"
    return None


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[int, Any], schedule: str, step: int) -> None:
    """Copy a state into an optimiser, in memory of its own.

    Args:
        state: Of each parameter by number, see `Snapshot`.
        schedule: Of the plan, which says what there is.
        step: Finished steps; a parameter may have made fewer.

    Raises:
        KeyError, ValueError, TypeError, RuntimeError: It is no state of such a run.
    """
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": deepcopy(dict(state)), "param_groups": groups})
    for parameter, values in optimizer.state.items():
        shapes = {"step": torch.Size(), **dict.fromkeys(_STATE[schedule], parameter.shape)}
        if {name: tensor.shape for name, tensor in values.items()} != shapes:
            raise ValueError("the optimiser's state does not fit the weights")
        if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in values.values()):
            raise ValueError("the optimiser's state holds values that are not finite")
        if not 0 <= float(values["step"]) <= step or (values["exp_avg_sq"] < 0).any():
            raise ValueError("the optimiser's state is of no run")
