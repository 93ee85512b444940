"""Options that say how a CSV file is written, for the verbs that read data for a model."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

from ..tasks.options import CSVOptions
from . import options as derived


def with_csv(verb: Any) -> Any:
    """Add the options of `CSVOptions` to a verb whose `**search` takes them; None stands for what the model learned."""
    own, added = inspect.signature(verb), derived.of_task(CSVOptions)
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "search"]
    named = [parameter.replace(kind=parameter.POSITIONAL_OR_KEYWORD) for parameter in added.values()]
    vars(verb)["__signature__"] = own.replace(parameters=[*kept, *named])
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *named)}
    return verb


def csv_options(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `with_csv` that are given out of a verb's keyword arguments."""
    values = {f.name: given.pop(f.name) for f in fields(CSVOptions)}
    return derived.read_task(CSVOptions, {name: value for name, value in values.items() if value is not None})
