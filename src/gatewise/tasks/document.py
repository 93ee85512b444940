"""What the model files of all tasks say alike. What those of one task say is in its `document.py`, as a `Document`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypedDict, TypeVar, get_type_hints

from ..document import read
from ..errors import ModelFileError
from .fields import Options, renamed

D = TypeVar("D")

# Keys that are read by `Estimator.load`, whatever the task.
_COMMON = ("format", "sha256", "task", "cell", "cell_without_zoneout", "options", "schema", "training")


class TrainedOn(TypedDict):
    """What is said of the training data, as far as it is asked for later."""

    fingerprint: str


class Provenance(TypedDict):
    """What is said of the training."""

    data: TrainedOn
    metrics: Mapping[str, Any]


def read_sized(document: Mapping[str, Any], kind: type[D], options: type[Options]) -> D:
    """What a model's document says of its task.

    Args:
        kind: The task's `Document`: a dataclass with `sizes`, a dataclass some of whose fields are options.
        options: The task's options.

    Raises:
        ModelFileError: A key is missing or unknown, or a value is not what `kind` says (see `document.read`).
        OptionError: The option of the same name could not have the value of a size.
    """
    types = get_type_hints(kind)
    own = renamed({name: value for name, value in document.items() if name not in _COMMON}, types)
    sizes = renamed(read(Mapping[str, Any], own.get("sizes"), "sizes"), get_type_hints(types["sizes"]))
    found: Any = read(kind, {**own, "sizes": sizes})
    options.check_values(vars(found.sizes))
    return found


def options_of(document: Mapping[str, Any], options: type[Options]) -> dict[str, Any]:
    """The options in a model's document, but for the cell. ModelFileError if one is unknown, or of another type."""
    types = {f.name: f.type for f in fields(options) if f.name != "cell"}
    given = renamed(read(Mapping[str, Any], document.get("options"), "options"), types)
    given.pop("cell", None)  # its name alone
    if unknown := given.keys() - types.keys():
        raise ModelFileError(f"options has a key {min(unknown)!r:.60}, which is no option")
    return {name: read(types[name], value, f"options.{name}") for name, value in given.items()}
