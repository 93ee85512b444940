"""How well a model continues sequences of numbers, and how well plain methods do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...verdict import judged

if TYPE_CHECKING:
    from .batches import Examples, Steps
    from .fitting import Learned
    from .network import TrajectoryModel


def evaluate(
    model: TrajectoryModel, learned: Learned, parts: Mapping[str, Steps], with_baselines: bool
) -> dict[str, Any]:
    """Losses by part, and those of the baselines on the last part, unless they learned from that; and whether
    the network earned its place beside the strongest of them."""
    metrics: dict[str, Any] = {name: loss_of(model, learned.examples(steps)) for name, steps in parts.items()}
    if with_baselines and parts.keys() != {"train"}:
        last = [*parts][-1]
        metrics["baselines"] = learned.plain.evaluate(parts[last], learned.channels, learned.ends)
        if learned.strongest is not None and learned.strongest in metrics["baselines"]:
            metrics |= judged(
                measure="loss",
                part=last,
                model=metrics[last]["loss"],
                plain={name: scores["loss"] for name, scores in metrics["baselines"].items()},
                strongest=learned.strongest,
                share=1.0,
            )
    return metrics


def loss_of(model: TrajectoryModel, examples: Examples) -> dict[str, Any]:
    """Mean nats per step, of the values before scaling, and how many steps were predicted."""
    from .batches import InOrder

    batches, carried = InOrder(examples), model.carried
    model.begin("test")
    nats, count = 0.0, 0
    with model.predicting():
        for number in range(len(batches)):
            total, targets = model.validation_sums(batches.at(number))
            nats, count = nats + float(total), count + targets
    model.carried = carried
    return {"loss": nats / max(1, count), "steps": count, "sequences": len(examples.lengths)}
