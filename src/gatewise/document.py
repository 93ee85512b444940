"""Reads the document of a model file: dataclasses say what it holds, and anything else is refused.

A model file may be a stranger's, so no value in it is used before it was checked. Each part of a document is a
dataclass, whose annotations say what its values are:

    @dataclass(frozen=True)
    class Category:
        name: str
        per_step: bool
        levels: Names

    read(Category, {"name": "kind", "per_step": True, "levels": ["flat", "house"]}, "inputs.categories[0]")

What a type cannot say is a check in `Annotated`, and what several fields have to agree on is in `__post_init__`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from .checks import number, whole
from .errors import ModelFileError, OptionError

MOST = 2**31 - 1  # of any size


def read(kind: Any, value: Any, where: str = "") -> Any:
    """A value of a document as `kind`.

    Args:
        kind: bool, int, float, str, None, Any or literals; lists, tuples, sequences (which become tuples) and mappings
            of them; unions. A dataclass is made of an object with its fields as keys, of which those may be left out
            that have a default. A TypedDict is an object with at least its keys. Numbers are finite, and a whole one
            may stand for a float. Further arguments of `Annotated` are called with the name and the value, and raise
            OptionError or ValueError.
        where: The keys that lead to the value, for messages: "inputs.categories[0]".

    Raises:
        ModelFileError: It is something else; the message names the key and the value.
    """
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        found = read(inside[0], value, where)
        for check in inside[1:]:
            _checked(where, check, where, found)
        return found
    if origin in (Union, UnionType):
        return _one_of(inside, value, where)
    if kind is not Any and not _fits(kind, value):
        raise ModelFileError(f"{where or 'the document'} is {_shown(value)}, not {_name(kind)}")
    if is_dataclass(kind):
        make: Any = kind
        return _checked(where, make, **_parts(kind, value, where))
    if is_typeddict(kind):
        return {**value, **_parts(kind, value, where)}
    if origin is tuple and inside[-1] is not Ellipsis:
        return tuple(read(own, item, f"{where}[{i}]") for i, (own, item) in enumerate(zip(inside, value, strict=True)))
    if origin in (list, tuple, Sequence):
        if inside[0] in (str, bool) and set(map(type, value)) <= {inside[0]}:  # a vocabulary may be large
            return list(value) if origin is list else tuple(value)
        items = [read(inside[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if origin is list else tuple(items)
    if origin in (dict, Mapping):
        return {key: read(inside[1], item, _join(where, key)) for key, item in value.items()}
    return value


def distinct(name: str, value: Sequence[Any]) -> None:
    """OptionError if a value is there twice."""
    if len(set(value)) < len(value):
        raise OptionError(f"{name} holds {_shown(Counter(value).most_common(1)[0][0])} twice")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two objects of JSON values, each as "data.rows was 3 and is 4"."""
    before, after = _flat(old), _flat(new)
    return [
        f"{key} was {before.get(key, 'absent')} and is {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{"data": {"name": "a"}} -> {"data.name": '"a"'}, so that a difference is named where it is."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
    return flat


Count = Annotated[int, lambda name, value: whole(name, value, 1, MOST)]
Positive = Annotated[float, lambda name, value: number(name, value, "above 0", lambda v: v > 0)]
Share = Annotated[float, lambda name, value: number(name, value, "from 0 to 1", lambda v: 0 <= v <= 1)]
Names = Annotated[list[str], distinct]


def _checked(where: str, make: Callable[..., Any], *args: Any, **given: Any) -> Any:
    """What a check or a dataclass gives. ModelFileError, which says where, if it refuses."""
    try:
        return make(*args, **given)
    except ModelFileError:
        raise
    except ValueError as error:
        text, place = str(error), where or "the document"
        raise ModelFileError(text if text.startswith(place) else f"{place}: {text}") from error


def _one_of(kinds: Sequence[Any], value: Any, where: str) -> Any:
    """As the first of several kinds that the value is."""
    possible = [kind for kind in kinds if _fits(kind, value)]
    if not possible:
        wanted = " or ".join(map(_name, kinds))
        raise ModelFileError(f"{where} is {_shown(value)}, not {wanted}")
    for kind in possible[:-1]:
        try:
            return read(kind, value, where)
        except ModelFileError:
            pass
    return read(possible[-1], value, where)


def _parts(kind: Any, value: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of a dataclass or a TypedDict by name."""
    known, optional = _known(kind)
    inside = f"{where} " if where else "the document "
    for name in known:
        if name not in value and name not in optional:
            raise ModelFileError(f"{inside}has no '{name}'")
    for name in value:
        if name not in known and not is_typeddict(kind):
            raise ModelFileError(f"{inside}has a key {_shown(name)}, which it should not have")
    return {name: read(own, value[name], _join(where, name)) for name, own in known.items() if name in value}


@cache
def _known(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """The fields of a dataclass or a TypedDict with their types, and the names of those that may be left out."""
    hints = get_type_hints(kind, include_extras=True)
    if is_typeddict(kind):
        return hints, set()
    own = [field for field in fields(kind) if field.init]
    required = {field.name for field in own if field.default is MISSING and field.default_factory is MISSING}
    known = {field.name: hints[field.name] for field in own}
    return known, known.keys() - required


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value is of this kind at first sight: what a list or an object holds is not looked at."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _fits(inside[0], value)
    if origin is Literal:
        return type(value) in map(type, inside) and value in inside
    if kind is int:
        return type(value) is int and -(2**63) <= value < 2**63
    if kind is float:
        return (type(value) is float and math.isfinite(value)) or _fits(int, value)
    if origin is tuple and inside[-1] is not Ellipsis:
        return isinstance(value, list | tuple) and len(value) == len(inside)
    if origin in (list, tuple, Sequence):
        return isinstance(value, list | tuple)
    if origin in (dict, Mapping) or is_dataclass(kind) or is_typeddict(kind):
        return isinstance(value, Mapping)
    return type(value) is (NoneType if kind is None else kind)


def _name(kind: Any) -> str:
    """What a kind is called in messages."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _name(inside[0])
    if origin is Literal:
        return " or ".join(json.dumps(item) for item in inside)
    if origin is tuple and inside[-1] is not Ellipsis:
        return f"a list of {len(inside)}"
    if origin in (list, tuple, Sequence):
        return "a list"
    plain = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}
    return plain.get(kind, "an object")


def _shown(value: Any) -> str:
    """A value of an untrusted file, short enough for a message."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _join(where: str, key: str) -> str:
    name = key[:60] if key.isprintable() else _shown(key)
    return f"{where}.{name}" if where else name
