"""What tasks share that say their models as a step, see `runtime.recording`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.recording import Recorder

Array = np.ndarray
Rounding = Callable[[Array], Array]


def rounded_network(estimator: Any, rounded: Rounding, recorder: Recorder) -> Any:
    """The recorded network of an estimator that was read from a file; it then predicts with rounded weights itself."""
    if getattr(estimator, "only", None) == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    weights = with_rounded(estimator._read_weights, rounded)
    estimator._read_weights = weights
    return recorder.network(estimator._architecture(), weights)


def with_rounded(weights: Mapping[str, Array], rounded: Rounding) -> dict[str, Array]:
    """Weights by name, of which layers' matrices are rounded."""
    return {
        name: rounded(array) if array.ndim == 2 and "weight" in name.rpartition(".")[2] else array
        for name, array in weights.items()
    }


def share_line(share: float, others: str) -> str:
    """That a network is a part of what its model predicts. OptionError if it is none."""
    if not share:
        raise OptionError(
            f"its network has no share in what it predicts, which is all {others}. Train it with --share 1"
        )
    if share == 1:
        return ""
    return (
        f" This is its network alone, whose share in what the model predicts is {share:.0%}; the rest is {others}, "
        "which is not exported."
    )
