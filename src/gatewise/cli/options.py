"""Command-line options derived from Python: from the options of a task, or from a function's parameters.

`hidden_size: int | None = option(default=None, help="Units per layer.")` becomes `--hidden-size`, an integer with that
help. So does `hidden_size: int | None = None` with the line "hidden_size: Units per layer." in the docstring.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from ..algebra import Cell
from ..errors import OptionError
from ..tasks.fields import in_order

Parameters = Mapping[str, inspect.Parameter]


def of_task(estimator: type[Any]) -> Parameters:
    """The options of a task's estimator as parameters for typer, by name, in the order of the help."""
    found = {}
    for f in in_order(estimator):
        off = f.metadata["off"]  # the meaning of None, which is written as 0 on the command line
        text = f"{f.metadata['help'].rstrip('.')}; 0: {off}." if off else f.metadata["help"]
        found[f.name] = _parameter(f.name, f.type, f.default, text, f.metadata["panel"], f.metadata["also"])
    return found


def of_function(function: Callable[..., Any], panel: str, without: Collection[str] = ()) -> Parameters:
    """The keyword-only parameters of a function or class as parameters for typer, by name.

    Args:
        panel: Panel of the help in which they appear.
        without: Parameters to leave out.
    """
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    texts = described(function.__doc__ or "")
    return {
        name: _parameter(name, hints[name], parameter.default, texts[name], panel)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in without
    }


def with_parameters(verb: Any, parameters: Iterable[inspect.Parameter]) -> Any:
    """The verb, as a function that typer takes to have these parameters."""
    listed = list(parameters)
    vars(verb)["__signature__"] = inspect.Signature(listed)
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in listed}
    return verb


def _parameter(name: str, hint: Any, default: Any, text: str, panel: str, also: str = "") -> inspect.Parameter:
    kind = plain(hint)
    own = f"--{name.replace('_', '-')}"
    names = (own, f"--{also}") if also else (own,) if kind is bool and default is False else ()
    if isinstance(default, Sequence) and not isinstance(default, str):
        default = ",".join(map(str, default)) or None
    option = typer.Option(*names, help=text, rich_help_panel=panel)
    annotation: Any = Annotated[kind if default is not None else kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def described(docstring: str) -> dict[str, str]:
    """The description of each parameter in a docstring's "Args:" section."""
    part = re.search(r"^( *)Args:\n((?:\1 +.*\n|\n)+)", inspect.cleandoc(docstring) + "\n", re.MULTILINE)
    if part is None:
        return {}
    entries = re.split(r"^ {4}(?=\w[\w, ]*:)", part[2], flags=re.MULTILINE)[1:]
    pairs = (entry.partition(":")[::2] for entry in entries)
    return {name.strip(): " ".join(text.split()) for names, text in pairs for name in names.split(",")}


def plain(hint: Any) -> Any:
    """The type of the option on the command line: a string if the parameter is a list or a name."""
    kinds = [kind for kind in (get_args(hint) if _union(hint) else (hint,)) if kind is not type(None)]
    for kind in (bool, int, float):
        if kinds == [kind]:
            return kind
    return str


def read_task(estimator: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The task's options for the values of the command line. Raises OptionError as `read` does."""
    off = {f.name for f in fields(estimator) if f.metadata["off"]}
    return {name: value or None if name in off else value for name, value in read(estimator, given).items()}


def read(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the function's parameters for the values of the command line.

    Raises:
        OptionError: A list of numbers contains something else.
    """
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    parameters = inspect.signature(function).parameters
    return {name: _value(name, value, hints[name], parameters[name].default) for name, value in given.items()}


def _value(name: str, value: Any, hint: Any, default: Any) -> Any:
    kinds = get_args(hint) if _union(hint) else (hint,)
    if not isinstance(value, str):
        return value if value is not None or default is None else default
    if Cell in kinds:
        from ..cells import NAMES, load

        return value if value in NAMES else load(value)
    if float in kinds:  # a number, or a word
        try:
            return float(value)
        except ValueError:
            return value
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
        example = ",".join(map(str, default)) if isinstance(default, Iterable) else "1,2"
        many = f"{count} numbers" if count != len(words) else "numbers"
        raise OptionError(f"{name} takes {many} such as {example}, not '{value}'") from None


def _union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)
