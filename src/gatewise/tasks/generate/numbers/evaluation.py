"""How well a model continues sequences of numbers, and how well plain methods do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....runtime import ops
from ....runtime.sequence_model import forward
from ....sharing import each
from ...verdict import judged
from .examples import Steps
from .learned import Learned
from .mixture import summed_loss


def evaluate(net: Any, learned: Learned, parts: Mapping[str, Steps], with_baselines: bool) -> dict[str, Any]:
    """Losses by part, and those of the baselines on the last part, unless they learned from that; and whether
    the network earned its place beside the strongest of them.

    Args:
        net: The network, see `runtime.sequence_model`.
    """
    metrics: dict[str, Any] = {name: loss_of(net, learned, steps) for name, steps in parts.items()}
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


def loss_of(net: Any, learned: Learned, steps: Steps) -> dict[str, Any]:
    """Mean nats per step, of the values before scaling, and how many steps were predicted."""
    examples = learned.examples(steps)

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def sums(pieces: Sequence[tuple[np.ndarray, int]]) -> list[tuple[float, int]]:
        found, state = [], None
        for rows, start in pieces:
            batch = examples.piece(rows, start)
            output, state = forward(net, batch.inputs, state, batch.lengths)
            total, targets = summed_loss(ops, output, learned.layout, batch, learned.log_scale)
            found.append((float(total), int(targets)))
        return found

    nats, count = 0.0, 0
    for one in each(sums, examples.side_by_side()):
        for total, targets in one:
            nats, count = nats + total, count + targets
    return {"loss": nats / max(1, count), "steps": count, "sequences": len(examples.lengths)}
