"""A file for each task: what may be asked of its models, and what a row of its data is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import OptionError
from ..question import Ask, Question

WITHOUT_QUERY = ("generate", "caption")  # tasks whose data are no tables


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """A question about a row of the data, and what the data are called.

    Args:
        model: A fitted estimator of any task.
        data: As its `predict` takes them.
        row: From 0.
        ask: What is to be explained.
        reading: "query" and "encoding", as its `predict` takes them.

    Raises:
        OptionError: There is no such row, target or network.
        DataError: The data are not like those that the model learned from.
    """
    if "query" in reading and model.task in WITHOUT_QUERY:
        raise OptionError(f"query is not an option for models of the task '{model.task}'. Leave it out")
    found: tuple[Question, str] = _of(model).question(model, data, row, ask, **reading)
    return found


def of_text(model: Any, text: str) -> Any:
    """A text as data for `question`. OptionError if the model reads no text, or more than one."""
    module = _of(model)
    if not hasattr(module, "of_text"):
        raise OptionError(f"a model of the task '{model.task}' reads no text. Leave --text out, and name its DATA")
    return module.of_text(model, text)


def _of(model: Any) -> Any:
    """The file of a model's task."""
    return import_module(f".{model.task}", __name__)
