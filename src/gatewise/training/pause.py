"""What validating, sampling and looking must not disturb, kept until training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..randomness import Generators
from .schedule_free import ScheduleFree
from .trainable import Trainable


@dataclass
class Pause:
    """The state of training while other weights are at work.

    Attributes:
        carried: The module's carried state.
        generators: States of the run's generators.
        weights: Those that train, by name, where the average of the optimiser has their place for now.
    """

    carried: list[Tensor]
    generators: dict[str, Tensor]
    weights: dict[str, Tensor]

    @classmethod
    def begin(cls, module: Trainable, generators: Generators, optimizer: torch.optim.Optimizer) -> Pause:
        """Keep the state, and load averaged weights if the optimiser has them."""
        # Copies, in case `begin` of the module clears the tensors or their list in place.
        carried = [tensor.clone() for tensor in module.carried]
        return cls(carried, generators.states(), load_average(cast(nn.Module, module), optimizer))

    def end(self, module: Trainable, generators: Generators) -> None:
        """All is as it was."""
        module.carried = self.carried
        generators.restore(self.generators)
        for name, parameter in cast(nn.Module, module).named_parameters():
            if name in self.weights:
                parameter.detach().copy_(self.weights[name])


def load_average(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Load the averaged weights, if the optimiser has them. Returns copies of those that were there, by name."""
    if not isinstance(optimizer, ScheduleFree):
        return {}
    averages = {id(parameter): average for parameter, average in optimizer.averages()}
    before = {}
    for name, parameter in network.named_parameters():
        if id(parameter) in averages:
            before[name] = parameter.detach().clone()
            parameter.detach().copy_(averages[id(parameter)])
    return before
