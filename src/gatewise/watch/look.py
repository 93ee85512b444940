"""A look at a network while it trains: figures of each layer, of its predictions, and of its losses.

All of them are of one probe, the first batch of training, so that they compare from look to look: of the layers, the
first rows and steps of what they read there.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..training import Trainable
from .dependence import dependence_by_lag
from .figures import gates, gradient_by_lag, half_lives, units
from .page import write_page
from .trace import Call, calls_of, traces_of

SHARE = 0.02  # of the time of a run, which is to lose no more than 3 % in all
ROWS, STEPS = 16, 200  # of what layers read
MOST_PREDICTIONS = 4000


class Look:
    """What `training.train` calls after validations, as its `watch`.

    Args:
        page: The file to show it in.
        title: Of the page.
        share: Of the run's time that looking may take.
    """

    def __init__(self, page: str | os.PathLike[str], title: str, share: float = SHARE):
        self.page, self.title, self.share = Path(page), title, share

    def show(self, history: Path) -> None:
        """Write the page. OSError if that fails."""
        write_page(history, self.page, self.title)

    def look(self, module: Trainable, training: Any, validation: Any) -> dict[str, Any]:
        """See `training.watching.Watch`. The keys:

        "layers": of each layer and direction, by name, "gates", "units" and more, see `figures`; "beyond" is a lag from
            which the loss wants something that the gradient does not reach, with how sure that is, or null.
        "losses": mean loss per target of the first training and validation batch, without dropout; null where a
            validation batch is no training batch.
        "spread": the standard deviation of the predictions over that of what is wanted, or null.
        """
        module.begin("validation")
        with calls_of(cast(nn.Module, module)) as calls:
            loss = module.training_loss(training)
        wishes = _wishes(loss, list(calls.values()))
        layers = {}
        for call, wish in zip(calls.values(), wishes, strict=True):
            traces = traces_of(call, STEPS, ROWS)
            for trace in traces:
                figures = {"cell": trace.cell.name, "gates": gates(trace), **units(trace)}
                layers[trace.name] = {**figures, "half_lives": half_lives(trace), **gradient_by_lag(trace)}
            if not call.layers.bidirectional:
                reach = max(layers[trace.name]["reach"] for trace in traces)
                layers[traces[0].name]["beyond"] = _beyond(call, wish, reach)
        with torch.no_grad():
            return {
                "layers": layers,
                "losses": [_finite(loss.item()), _validation_loss(module, training, validation)],
                "spread": _spread(module, training),
            }


def _wishes(loss: Tensor, calls: list[Call]) -> list[Tensor | None]:
    """Of each module of layers the gradient of the loss by its output (T, B, H): what the loss wants of it still."""
    outputs = [y for call in calls for y in call.y]
    gradients = iter(torch.autograd.grad(loss, outputs, allow_unused=True) if outputs else ())
    found: list[Tensor | None] = []
    for call in calls:
        own = [next(gradients) for _ in call.y]
        found.append(None if any(one is None for one in own) else torch.cat([one for one in own if one is not None]))
    return found


@torch.no_grad()
def _beyond(call: Call, wish: Tensor | None, reach: int) -> list[float] | None:
    """[lag, deviations from chance], where the loss's wish goes with what was read before the reach, and more so than
    with anything within it."""
    if wish is None or len(wish) <= reach + 1:
        return None
    found = dependence_by_lag(call.x, wish, STEPS)
    within = max((strength for lag, strength in found.items() if lag <= max(1, reach)), default=0.0)
    lag, strength = max(found.items(), key=lambda item: item[1] if item[0] > reach else -math.inf)
    return [lag, round(strength, 2)] if lag > reach and strength > within else None


def _validation_loss(module: Trainable, training: Any, validation: Any) -> float | None:
    if _kind(training) != _kind(validation):
        return None
    module.begin("validation")
    return _finite(module.training_loss(validation).item())


def _kind(batch: Any) -> Any:
    """What a batch is made of: two batches of one kind can be given to the same loss."""
    return type(batch), sorted(batch) if isinstance(batch, dict) else None


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _spread(module: Any, batch: Any) -> float | None:
    module.begin("validation")
    compared = module.predictions(batch) if hasattr(module, "predictions") else None
    if compared is None:
        return None
    predicted, wanted = (values[:: max(1, len(values) // MOST_PREDICTIONS)].float() for values in compared)
    if predicted.dim() > wanted.dim():  # probabilities of classes
        wanted = torch.nn.functional.one_hot(wanted.long(), predicted.shape[-1]).float()
    deviations = [(values - values.mean(0)).square().sum().sqrt().item() for values in (predicted, wanted)]
    return _finite(deviations[0] / deviations[1]) if deviations[1] > 0 else None
