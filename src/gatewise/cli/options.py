"""Command-line options made from a function's signature and docstring, so that they are written down once.

`hidden_size: int | None = None` with the docstring's line "hidden_size: Units per layer." is `--hidden-size`, a whole
number, with that help.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from ..algebra import Cell
from ..errors import OptionError

Parameters = Mapping[str, inspect.Parameter]


def options(function: Callable[..., Any], panel: Callable[[str], str], without: Collection[str] = ()) -> Parameters:
    """The keyword-only parameters of a function or class as parameters for typer, by name.

    Args:
        panel: Of the help, by the parameter's name.
        without: Parameters to leave out.
    """
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    said = described(function.__doc__ or "")
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY or name in without:
            continue
        kind, default = plain(hints[name]), parameter.default
        flag = f"--{name.replace('_', '-')}"
        only_on = (flag,) if kind is bool and default is False else ()
        if isinstance(default, Sequence) and not isinstance(default, str):
            default = ",".join(map(str, default)) or None
        option = typer.Option(*only_on, help=said[name], rich_help_panel=panel(name))
        annotation: Any = Annotated[kind if default is not None else kind | None, option]
        found[name] = parameter.replace(annotation=annotation, default=default)
    return found


def described(docstring: str) -> dict[str, str]:
    """What a docstring's "Args:" say of each parameter."""
    part = re.search(r"^( *)Args:\n((?:\1 +.*\n|\n)+)", inspect.cleandoc(docstring) + "\n", re.MULTILINE)
    if part is None:
        return {}
    entries = re.split(r"^ {4}(?=\w[\w, ]*:)", part[2], flags=re.MULTILINE)[1:]
    pairs = (entry.partition(":")[::2] for entry in entries)
    return {name.strip(): " ".join(text.split()) for names, text in pairs for name in names.split(",")}


def plain(hint: Any) -> Any:
    """The one type in which a command line gives it: text for what is a list or a name."""
    kinds = [kind for kind in (get_args(hint) if _union(hint) else (hint,)) if kind is not type(None)]
    for kind in (bool, int, float):
        if kinds == [kind]:
            return kind
    return str


def read(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values for the function's parameters that the command line's values stand for.

    Raises:
        OptionError: A list of numbers holds something else.
    """
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    usual = inspect.signature(function).parameters
    return {name: _value(name, value, hints[name], usual[name].default) for name, value in given.items()}


def _value(name: str, value: Any, hint: Any, usual: Any) -> Any:
    kinds = get_args(hint) if _union(hint) else (hint,)
    if not isinstance(value, str):
        return value if value is not None or usual is None else usual
    if Cell in kinds:
        from ..cells import NAMES, load

        return value if value in NAMES else load(value)
    listed = next((kind for kind in kinds if get_origin(kind) in (Sequence, list, tuple)), None)
    if listed is None:
        return value
    words = [word.strip() for word in value.split(",") if word.strip()]
    wanted = get_args(listed)
    if wanted[0] is str:
        return words[0] if len(words) == 1 and str in kinds else tuple(words)
    count = len(wanted) if get_origin(listed) is tuple and Ellipsis not in wanted else len(words)
    try:
        numbers = tuple(wanted[0](word) for word in words)
        if len(numbers) != count:
            raise ValueError
        return numbers
    except ValueError:
        example = ",".join(map(str, usual)) if isinstance(usual, Iterable) else "1,2"
        many = f"{count} numbers" if count != len(words) else "numbers"
        raise OptionError(f"{name} takes {many} such as {example}, not '{value}'") from None


def _union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)
