"""What the model files of all tasks say alike, and their tensors.

What those of one task say is in its `document.py`, as a `Document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypedDict, TypeVar, get_type_hints

import numpy as np

from .. import cells
from ..algebra import Cell
from ..document import read
from ..errors import ModelFileError
from ..runtime.network import outside_training
from .fields import Options, renamed

D = TypeVar("D")
T = TypeVar("T")

# Keys that are read by `Estimator.load`, whatever the task.
_COMMON = (
    *("format", "sha256", "task", "cell", "cell_without_zoneout", "options", "schema", "training", "compressed"),
    "members",
)


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


def cell_from(document: Mapping[str, Any]) -> str | Cell:
    """The option `cell` of a model: the name of one of ours, or a cell of the user's own."""
    cell = Cell.from_json(document.get("cell_without_zoneout", document["cell"]))
    ours = cell.name in cells.NAMES and cells.find(cell.name).equations == cell.equations
    return cell.name if ours else cell


def cells_of(cell: Cell, zoneout: float) -> dict[str, Any]:
    """For a model's document: the cell that runs outside training and, if zoneout makes it another one than was asked
    for, that one too."""
    runs = outside_training(cell, zoneout)
    if runs.equations == cell.equations:
        return {"cell": cell.to_json()}
    return {"cell": runs.to_json(), "cell_without_zoneout": cell.to_json()}


def taken(tensors: dict[str, Any], prefix: str, shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, np.ndarray]:
    """Take tensors that are not the network's out of those of a model file, by their names without the prefix.

    Args:
        shapes: Of each; None stands for any number.

    Raises:
        ModelFileError: One is missing, there is another one, or one has another shape.
    """
    found = {name.removeprefix(prefix): tensors.pop(name) for name in [*tensors] if name.startswith(prefix)}
    for name in {**shapes, **found}:
        has, needs = found[name].shape if name in found else None, shapes.get(name)
        fits = has is not None and needs is not None and len(has) == len(needs)
        if not fits or any(b is not None and a != b for a, b in zip(has or (), needs or (), strict=True)):
            raise ModelFileError(f"{prefix}{name} has the shape {has}, where the model needs {needs}")
    return found


def renamed_tensors(tensors: Mapping[str, T], prefixes: Mapping[str, str]) -> dict[str, T]:
    """Tensors of an older model file by the names that they have now.

    Args:
        prefixes: Beginning of a name in older files -> what it is now. The first one that matches counts.
    """
    found = {}
    for name, tensor in tensors.items():
        old = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        found[name if old is None else prefixes[old] + name.removeprefix(old)] = tensor
    return found


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """The weights of a `torch.nn.Module` by name, not copied where they lie in memory that numpy sees."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
