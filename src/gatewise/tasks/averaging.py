"""Averaging the networks of several trials: what each answers on the validation data, and one model of some of them.

Averaged is what a network puts out: probabilities of classes, numbers, quantiles of a forecast. What comes after it,
plain methods and their share, temperature, calibration, is fitted anew for the average, as for any network.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..randomness import built
from ..training import Outcome
from .document import weights_of
from .fitting import Trial, attempt, beginning, own_threads, provenance_of
from .members import Member, blueprint
from .network import Network
from .prepared import Fittable, Halves, Prepared

if TYPE_CHECKING:
    from .estimator import Estimator

_MOST = 2**23  # numbers of one network's answers; of more, evenly spaced items are taken


class Averageable(Protocol):
    """A `training.Trainable` whose outputs can be averaged.

    Attributes:
        judged_by: Names of the tensors of a batch that losses follow from, beside outputs.
    """

    judged_by: tuple[str, ...]

    def outputs(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, ...) of a validation batch."""
        ...

    def losses(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, ...) what validation sums up of each item, and 1 where there is something to measure, else 0."""
        ...


@dataclass(frozen=True)
class Answers:
    """What one trained network answers on the validation data.

    Attributes:
        outputs: (N, ...).
        truth: What losses follow from, by name, (N, ...).
        halves: Of these items.
        estimator: With the trained network and the sizes of its setting.
        outcome: How its training ended.
    """

    outputs: Tensor
    truth: Mapping[str, Tensor]
    halves: Halves
    estimator: Any
    outcome: Outcome

    def losses(self, outputs: Tensor, first: bool) -> tuple[np.ndarray, np.ndarray]:
        """(n,) float64 sums of the losses of one half's items if these were the outputs (n, ...), and how many values
        each sums up."""
        truth = {name: values[self._places(first)] for name, values in self.truth.items()}
        losses, known = self.estimator.model_.losses(outputs, truth)
        return tuple(one.double().reshape(len(outputs), -1).sum(1).numpy() for one in (losses, known))

    def half(self, first: bool) -> Tensor:
        """(n, ...) outputs of one half."""
        return self.outputs[self._places(first)]

    def _places(self, first: bool) -> Tensor:
        return torch.from_numpy(np.flatnonzero(self.halves.first == first))


def answered(estimator: Fittable, prepare: Callable[[], Callable[[], Prepared]], trial: Trial) -> Answers:
    """What a trial's network answers. If its checkpoint is there, nothing is trained.

    Raises:
        KeyboardInterrupt: It was interrupted.
        Whatever `fitting.attempt` raises.
    """
    kept: list[Prepared] = []

    def checks(prepared: Prepared, start: str | None) -> None:
        trial.checks(prepared, start)
        kept.append(prepared)

    outcome = attempt(estimator, prepare, replace(trial, checks=checks))
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt
    [prepared] = kept
    halves, batches, net = prepared.halves, prepared.validation, estimator.model_.cpu().eval()
    assert halves is not None
    outputs: list[Tensor] = []
    truth: dict[str, list[Tensor]] = {name: [] for name in net.judged_by}
    taken: list[np.ndarray] = []
    net.begin("validation")
    begin, apart = 0, 0
    for step in range(len(batches)):
        batch = batches.at(step)
        with torch.no_grad():
            found = net.outputs(batch).float()
        apart = apart or math.ceil(len(halves.blocks) * found[0].numel() / _MOST)
        places = np.arange(-begin % apart, len(found), apart)
        begin += len(found)
        outputs.append(found[places])
        taken.append(begin - len(found) + places)
        for name, values in truth.items():
            values.append(batch[name][places])
    items = np.concatenate(taken)
    return Answers(
        torch.cat(outputs),
        {name: torch.cat(values) for name, values in truth.items()},
        Halves(halves.blocks[items], halves.first[items]),
        estimator,
        outcome,
    )


@dataclass(frozen=True)
class Part:
    """One network of an average.

    Attributes:
        share: In the average.
        trained: What it answers.
    """

    share: float
    trained: Answers


def keep_together(
    estimator: Estimator,
    prepare: Callable[[], Callable[[], Prepared]],
    parts: Sequence[Part],
    output: str | os.PathLike[str],
    tell: Callable[[str], None],
    about: Mapping[str, Any],
) -> None:
    """Make one model of several trained networks: fit what it needs beside them, measure and save it.

    Args:
        estimator: With the options of the first part.
        output: Model file to write.
        tell: Shows the user a line.
        about: How they were chosen, for the model file.
    """
    fittable: Any = estimator
    fittable.check()
    fittable.choose_preset(None)
    started = time.time()
    with own_threads(fittable):
        prepared = beginning(fittable, prepare)()
        if estimator._start is not None:
            built(int(estimator.seed), prepared.build)  # by which it is known what was kept of that model
        estimator.members_ = tuple(_member(part) for part in parts)
        estimator.model_ = _joined(estimator, parts)
        outcomes = [part.trained.outcome for part in parts]
        estimator.history_, estimator.advice_ = {}, []
        estimator.outcome_ = replace(outcomes[0], reason="finished", seconds=sum(one.seconds for one in outcomes))
        prepared.settle()
        estimator.metrics_ = prepared.measure(True, tell)
        estimator.provenance_ = {**provenance_of(fittable, prepared, started, False), "ensemble": dict(about)}
        estimator.save(output)


def _member(part: Part) -> Member:
    own = part.trained.estimator
    return Member(part.share, {f.name: getattr(own, f.name) for f in fields(own)}, own.sizing_)


def _joined(estimator: Estimator, parts: Sequence[Part]) -> Network:
    """The networks as one. Its weights are theirs, in the same order."""
    network = Network(blueprint(estimator))
    values: list[np.ndarray] = []
    for part in parts:
        weights = weights_of(part.trained.estimator.model_)
        values += [weights[name] for name, _ in part.trained.estimator._architecture().weights()]
    names = [name for name, _ in blueprint(estimator).weights()]
    network.load_state_dict({name: torch.from_numpy(own) for name, own in zip(names, values, strict=True)})
    return network.eval()
