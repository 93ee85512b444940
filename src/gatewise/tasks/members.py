"""Models whose network is several: trials of a search, each with a setting of its own, whose answers are averaged.

What reads data and answers is one, as for any model: the networks of all settings read the same. So a model file says
once what that is, and of each member only its share, its options and its sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any

from ..document import Share, read
from ..errors import OptionError
from ..runtime.network import Block
from .document import cell_from, cells_of, options_of

MOST_MEMBERS = 5
_ROUNDING = 1e-6  # by which shares may miss 1


@dataclass(frozen=True)
class Member:
    """One of the settings.

    Attributes:
        share: In the average.
        options: Of the estimator, by name.
        sizes: What its task chose, as `sizing_` of the estimator.
    """

    share: float
    options: Mapping[str, Any]
    sizes: Any

    def of(self, model: Any) -> Any:
        """The model with this setting alone, as far as its architecture goes."""
        own = copy(model)
        vars(own).update(self.options, members_=(), sizing_=self.sizes)
        return own

    def to_json(self, model: Any) -> dict[str, Any]:
        own = self.of(model)
        cells = cells_of(own.find_cell(), float(getattr(own, "zoneout", 0.0)))
        return {"share": self.share, "options": own.plain_options(), "sizes": vars(self.sizes), **cells}


@dataclass(frozen=True)
class _Said:
    """What a model file says of a member."""

    share: Share
    options: Mapping[str, Any]
    sizes: Mapping[str, Any]
    cell: Mapping[str, Any]
    cell_without_zoneout: Mapping[str, Any] | None = None


def members_of(document: Mapping[str, Any], kind: Any, sizes: Any) -> tuple[Member, ...]:
    """Those of a model file; () if it is of one setting.

    Args:
        sizes: What says the task's sizes, a dataclass.

    Raises:
        ModelFileError, OptionError, ValueError: The document contradicts itself.
    """
    listed = read(list[Mapping[str, Any]] | None, document.get("members"), "members")
    if listed is None:
        return ()
    if not 2 <= len(listed) <= MOST_MEMBERS:
        raise ValueError(f"it has {len(listed)} members, where 2 to {MOST_MEMBERS} are averaged")
    found = []
    for number, one in enumerate(listed):
        said: _Said = read(_Said, one, f"members.{number}")
        cell = cell_from({name: value for name, value in one.items() if name.startswith("cell")})
        own = kind(**options_of({"options": said.options}, kind), cell=cell)
        own.check()
        chosen = read(sizes, said.sizes, f"members.{number}.sizes")
        kind.check_values(vars(chosen))
        found.append(Member(float(said.share), {f.name: getattr(own, f.name) for f in fields(own)}, chosen))
    if abs(sum(member.share for member in found) - 1) > _ROUNDING:
        raise ValueError("the shares of its members do not sum to 1")
    return tuple(found)


def cannot(what: str) -> OptionError:
    """That something needs a model of one setting."""
    return OptionError(
        f"this model averages the networks of several settings, but {what}. Fit one, with the command that "
        "`gatewise tune` printed"
    )


def settings(model: Any) -> list[Any]:
    """The model with each of its settings alone."""
    return [member.of(model) for member in model.members_] or [model]


def cell_names(model: Any) -> str:
    """Of all its settings: "lstm", or "lstm and gru"."""
    return " and ".join(dict.fromkeys(own.find_cell().name for own in settings(model)))


def blueprint(model: Any) -> Block:
    """What the network of a model is made of, be it of one setting or of several."""
    members: Sequence[Member] = model.members_
    if not members:
        found: Block = model._architecture()
    else:
        each = [own._architecture() for own in settings(model)]
        found = model._together(each, [member.share for member in members])
    return found
