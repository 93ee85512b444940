"""Looks at a network while it trains: when there is one, and what the steps between two of them did."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from .trainable import Batches, Trainable


class Watch(Protocol):
    """What looks at a network after validations.

    Attributes:
        share: Of the run's time that looking may take.
        page: The file that `show` writes.
    """

    share: float
    page: Path

    def look(self, module: Trainable, training: Any, validation: Any) -> dict[str, Any]:
        """Figures of the network as it is now, as plain JSON.

        Args:
            module: In evaluation mode; carried state and generators are restored afterwards, gradients must not be kept
                in its parameters.
            training, validation: The first batch of either, on the module's device.
        """
        ...

    def show(self, history: Path) -> None:
        """The figures are in the history now: write the page. OSError if that fails."""
        ...


class Watching:
    """Decides which validations are followed by a look, and adds what happened since the last one.

    The first validation is; each later one is if the time of all looks stays below its share of the run's. What a step
    did to the weights is measured at the last step before a look.

    Args:
        watch: What looks.
        training, validation: Of the run.
        limit: Of the gradient's norm; None if there is none.
    """

    def __init__(self, watch: Watch, training: Batches, validation: Batches, limit: float | None):
        self._watch, self._training, self._validation, self._limit = watch, training, validation, limit
        self._spent, self._last = 0.0, 0.0  # seconds in looks, and in the last one
        self._norms: list[float] = []  # of each step's gradient, before clipping
        self._before: list[Tensor] | None = None
        self._updates: dict[str, float] = {}
        self._batches: tuple[Any, Any] | None = None
        self.page = watch.page

    def due(self, seconds: float) -> bool:
        """Whether there is a look if a validation comes now, `seconds` into the run."""
        return self._last == 0 or self._spent + self._last <= self._watch.share * seconds

    def gradient(self, norm: float) -> None:
        """The norm of a step's gradient, before clipping."""
        self._norms.append(norm)

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
        norms, self._norms = self._norms, []
        updates, self._updates = self._updates, {}
        self._took(time.monotonic() - started, new=True)
        clipped = _clipped(norms, self._limit)
        return {**figures, "updates": updates, "clipped": clipped, "looked": round(self._spent, 3)}

    def show(self, history: Path) -> None:
        """The last look is in the history."""
        started = time.monotonic()
        self._watch.show(history)
        self._took(time.monotonic() - started, new=False)

    def _took(self, seconds: float, new: bool) -> None:
        self._spent += seconds
        self._last = seconds if new else self._last + seconds


def _clipped(norms: Sequence[float], limit: float | None) -> dict[str, float] | None:
    """Of the gradients since the last look: the share that was clipped, and their norm over the limit in the median."""
    if limit is None or not norms:
        return None
    return {"share": sum(norm > limit for norm in norms) / len(norms), "ratio": median(norms) / limit, "limit": limit}
