"""A folder for each task: what it reads, its network, training, figures and predictions.

A new task is one folder with the same file names as the others, and one row in `_TASKS`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError, OptionError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..runtime.functions import FunctionModel
    from ..runtime.recording import StepModel
    from .caption.estimator import Captioner as Captioner
    from .classify.estimator import Classifier as Classifier
    from .compressing import compress as compress
    from .detect.estimator import Detector as Detector
    from .estimator import Estimator
    from .forecast.estimator import Forecaster as Forecaster
    from .generate.estimator import Generator as Generator
    from .generate.numbers.predictor import Tracer as Tracer
    from .generate.text.predictor import Writer as Writer
    from .scoring import score as score
    from .sequential.estimator import Sequential as Sequential
    from .tag.estimator import Tagger as Tagger
    from .transcribe.estimator import Transcriber as Transcriber
    from .translate.estimator import Translator as Translator

_TASKS = {
    "generate": "Generator",
    "classify": "Classifier",
    "tag": "Tagger",
    "forecast": "Forecaster",
    "detect": "Detector",
    "translate": "Translator",
    "transcribe": "Transcriber",
    "caption": "Captioner",
}  # task, which is also the name of its folder -> its estimator
_OTHERS = {"sequential": "Sequential"}  # the same of models that were trained elsewhere, which no `fit` makes
_HOME = {
    **{estimator: f"{task}.estimator" for task, estimator in (_TASKS | _OTHERS).items()},
    "Tracer": "generate.numbers.predictor",
    "Writer": "generate.text.predictor",
    "compress": "compressing",
    "score": "scoring",
}  # public name -> module it lives in
TASKS = tuple(_TASKS)  # that `fit` learns
KNOWN = (*_TASKS, *_OTHERS)
__all__ = ["KNOWN", "TASKS", "find", "load", "onnx_model", "step_model", *sorted(_HOME)]


def find(task: str) -> "type[Estimator]":
    """The estimator of a task. ModelFileError if there is no such task, for only a file could have named it."""
    if task not in KNOWN:
        raise ModelFileError(suggest("task", task, KNOWN))
    estimator: type[Estimator] = __getattr__((_TASKS | _OTHERS)[task])
    return estimator


def load(path: str | os.PathLike[str]) -> "Estimator":
    """Open a model file of any task. ModelFileError if it is none, or damaged."""
    from ..bundle import read_header

    return find(str(read_header(path).document.get("task"))).load(path)


# Task whose models are printed as operations -> file in its folder.
_PRINTED = {**dict.fromkeys(("generate", "classify", "tag", "forecast", "detect"), "step"), "sequential": "recorded"}
# Those whose models of words are exported, by the file `words`, to what looks no words up.
_OF_WORDS = ("classify", "tag")


def step_model(path: str | os.PathLike[str], rounded: Any, target: str) -> "StepModel":
    """A model of any task as its step, for exporters.

    Args:
        path: Of the model file.
        rounded: What weights in fewer bytes make of a matrix.
        target: What it is exported to, for messages.

    Raises:
        ModelFileError: The file is damaged.
        OptionError: It cannot be said so; the message says why.
    """
    found: StepModel = _said(path, rounded, target, {task: (file, "step_model") for task, file in _PRINTED.items()})
    return found


def onnx_model(path: str | os.PathLike[str], rounded: Any) -> "StepModel | FunctionModel":
    """A model of any task as ONNX has it: a step, or an encoder and a step of a decoder. As of `step_model`."""
    ways = dict.fromkeys(KNOWN, ("step", "step_model")) | dict.fromkeys(_OF_WORDS, ("words", "numbered_model"))
    return _said(path, rounded, "onnx", ways)


def _said(path: str | os.PathLike[str], rounded: Any, target: str, ways: "Mapping[str, tuple[str, str]]") -> Any:
    """What the function of a task says of its model: by task, the file in its folder, and its name."""
    from ..bundle import read_header

    document = read_header(path).document
    task = str(document.get("task"))
    estimator = find(task)
    if task not in ways:
        able = f"{', '.join([*ways][:-1])} and {[*ways][-1]}"
        raise OptionError(
            f"a model of the task '{task}' cannot be said in {target}, only those of {able}. Export it to onnx"
        )
    file, function = ways[task]
    try:
        module = import_module(f".{task}.{file}", __name__)
        model = estimator.load(path)
        model.compressed_ = None  # what is exported multiplies floats, whatever the file holds; so do its examples
        return getattr(module, function)(model, str(document.get("sha256", "")), rounded)
    except OptionError as error:
        raise OptionError(f"this model cannot be said in {target}: {error}") from error


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
