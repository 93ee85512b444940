"""Options that say how a CSV file is written, for the verbs that read data for a model."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, get_type_hints

from ..tasks.options import CSVOptions
from . import options as derived


def with_csv(verb: Any) -> Any:
    """Add the options of `CSVOptions` to a verb whose `**search` takes them; None stands for what the model learned."""
    own, hints = inspect.signature(verb).parameters, get_type_hints(verb, include_extras=True)
    kept = [p.replace(annotation=hints[name]) for name, p in own.items() if p.kind is not p.VAR_KEYWORD]
    added = derived.of_task(CSVOptions).values()
    named = [parameter.replace(kind=parameter.POSITIONAL_OR_KEYWORD) for parameter in added]
    return derived.with_parameters(verb, [*kept, *named])


def csv_options(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `with_csv` that are given out of a verb's keyword arguments."""
    values = {f.name: given.pop(f.name) for f in fields(CSVOptions)}
    return derived.read_task(CSVOptions, {name: value for name, value in values.items() if value is not None})
