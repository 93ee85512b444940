"""One file per job: what it learns, its loss, metric and decoding."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError, suggest

if TYPE_CHECKING:
    from ._estimator import Estimator
    from .caption import Captioner as Captioner
    from .classify import Classifier as Classifier
    from .detect import Detector as Detector
    from .forecast import Forecaster as Forecaster
    from .generate import Generator as Generator
    from .tag import Tagger as Tagger
    from .transcribe import Transcriber as Transcriber
    from .translate import Translator as Translator

_HOME = {
    "Generator": "generate",
    "Classifier": "classify",
    "Tagger": "tag",
    "Forecaster": "forecast",
    "Detector": "detect",
    "Translator": "translate",
    "Transcriber": "transcribe",
    "Captioner": "caption",
}  # public name -> module it lives in, which is also the name of its task
TASKS = tuple(_HOME.values())
__all__ = ["TASKS", "find", *sorted(_HOME)]


def find(task: str) -> "type[Estimator]":
    """The estimator of a task. ModelFileError if there is no such task, for only a file could have named it."""
    for name, module in _HOME.items():
        if module == task:
            estimator: type[Estimator] = getattr(import_module(f".{module}", __name__), name)
            return estimator
    raise ModelFileError(suggest("task", task, TASKS))


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
