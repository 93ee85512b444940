"""The one training loop: plans, checkpoints that resume bit for bit, progress."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .before import Before as Before
    from .loop import Outcome as Outcome
    from .loop import TrainingStopped as TrainingStopped
    from .loop import load_driver as load_driver
    from .loop import train as train
    from .pace import Budget as Budget
    from .plan import Plan as Plan
    from .progress import Bar as Bar
    from .progress import Lines as Lines
    from .progress import Progress as Progress
    from .progress import ProgressFor as ProgressFor
    from .progress import Silent as Silent
    from .progress import choose as choose
    from .trainable import Batches as Batches
    from .trainable import Trainable as Trainable

_HOME = {  # public name -> module it lives in; torch and Lightning are imported on demand
    "Bar": "progress",
    "Batches": "trainable",
    "Budget": "pace",
    "Before": "before",
    "Lines": "progress",
    "ProgressFor": "progress",
    "Outcome": "loop",
    "Plan": "plan",
    "Progress": "progress",
    "Silent": "progress",
    "Trainable": "trainable",
    "TrainingStopped": "loop",
    "choose": "progress",
    "load_driver": "loop",
    "train": "loop",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
