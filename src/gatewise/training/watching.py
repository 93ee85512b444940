"""Looks at a network while it trains: when there is one, and what the steps between two of them did."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from .trainable import Batches, Trainable

if TYPE_CHECKING:
    from .plan import Plan


class Watch(Protocol):
    """What looks at a network after validations.

    Attributes:
        share: Of the run's time that looking may take.
    """

    share: float

    def look(self, module: Trainable, training: Any, validation: Any) -> dict[str, Any]:
        """Figures of the network as it is now, as plain JSON.

        Args:
            module: In evaluation mode; carried state and generators are restored afterwards, gradients must not be kept
                in its parameters.
            training, validation: The first batch of either, on the module's device.
        """
        ...

    def show(self, history: Path) -> None:
        """The figures are in the history now."""
        ...


class Watching:
    """Decides which validations are followed by a look, and adds what happened since the last one.

    The first validation is; each later one is if the time of all looks stays below its share of the run's. What a step
    did to the weights is measured at the last step before a look.

    Args:
        watch: What looks.
        training, validation: Of the run.
    """

    def __init__(self, watch: Watch, training: Batches, validation: Batches):
        self._watch, self._training, self._validation = watch, training, validation
        self._spent, self._last = 0.0, 0.0  # seconds in looks, and in the last one
        self._ratios: list[float] = []  # of each step's gradient norm to the limit
        self._before: list[Tensor] | None = None
        self._updates: dict[str, float] = {}
        self._batches: tuple[Any, Any] | None = None

    def due(self, seconds: float) -> bool:
        """Whether there is a look if a validation comes now, `seconds` into the run."""
        return self._last == 0 or self._spent + self._last <= self._watch.share * seconds

    def gradient(self, norm: float, plan: Plan) -> None:
        """A step's gradient norm, before clipping."""
        if plan.clip is not None:
            self._ratios.append(norm / plan.clip)

    def before_update(self, parameters: Iterable[Tensor]) -> None:
        """The optimiser is about to make the last step before a look."""
        self._before = [parameter.detach().clone() for parameter in parameters]

    def after_update(self, network: nn.Module) -> None:
        """It has made a step."""
        if self._before is None:
            return
        named = dict(network.named_parameters())
        steps = [own.detach() - before for own, before in zip(named.values(), self._before, strict=True)]
        pairs = [torch.stack((step.norm(), before.norm())) for step, before in zip(steps, self._before, strict=True)]
        norms = torch.stack(pairs).tolist()  # in one transfer: on a GPU each waits for the device
        self._before = None
        self._updates = {name: step / size for name, (step, size) in zip(named, norms, strict=True) if size > 0}

    def look(self, module: Trainable, device: torch.device) -> dict[str, Any]:
        """The figures of now."""
        started = time.monotonic()
        if self._batches is None:
            from lightning.fabric.utilities import move_data_to_device

            first = self._training.at(0), self._validation.at(0)
            self._batches = cast(tuple[Any, Any], move_data_to_device(first, device))
        with torch.enable_grad():
            figures = self._watch.look(module, *self._batches)
        ratios, self._ratios = self._ratios, []
        clipped = {"share": sum(ratio > 1 for ratio in ratios) / len(ratios), "ratio": median(ratios)} if ratios else None
        updates, self._updates = self._updates, {}
        self._took(time.monotonic() - started, new=True)
        return {**figures, "updates": updates, "clipped": clipped}

    def show(self, history: Path) -> None:
        """The last look is in the history."""
        started = time.monotonic()
        self._watch.show(history)
        self._took(time.monotonic() - started, new=False)

    def _took(self, seconds: float, new: bool) -> None:
        self._spent += seconds
        self._last = seconds if new else self._last + seconds
