"""typer's usage errors in our own words: one line that names the value and says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import typer

from ..errors import suggest
from ..tasks.fields import NO_SHARE, new_name

# The base class of all of click's errors. Newer versions of typer bundle click instead of depending on it. The exported
# BadParameter works in both; for the same reason, errors are told apart below by the names of their classes.
UsageMistake: type[Exception] = typer.BadParameter.__mro__[2]


def in_our_words(error: Any) -> str:
    """The message for one of click's errors."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gatewise"
    hint = f"`{path} --help` lists them all."
    param = getattr(error, "param", None)
    message = error.format_message()
    match type(error).__name__:
        case "NoSuchOption":
            known = [name for param in context.command.get_params(context) for name in param.opts] if context else []
            names = [name.removeprefix("--").replace("-", "_") for name in known]
            if error.option_name == "--share" and "fit" in path:
                return with_flags(NO_SHARE, {"share": "--share"})
            if now := new_name(error.option_name.removeprefix("--").replace("-", "_"), names):
                return f"`{error.option_name}` is called `--{now.replace('_', '-')}` now"
            return suggest("option", error.option_name, [name for name in known if name.startswith("--")], hint)
        case "MissingParameter" if param is not None:
            return f"`{path}` needs {_label(param)}. `{path} --help` says what that is."
        case "BadParameter" if param is not None:
            if choice := re.search(r"'(.*)' is not one of (.*)", error.message):
                kind = "value for " + _label(param)
                return suggest(kind, choice[1], re.findall(r"'([^']*)'", choice[2]), f"`{path} --help` explains it.")
            return f"{_label(param)} cannot be {_value(error)}: {_reason(error)}. `{path} --help` explains it."
    return f"{message[:1].lower()}{message[1:].rstrip('.')}. `{path} --help` shows how it is used."


def with_flags(message: str, options: Mapping[str, str]) -> str:
    """A message of the library with options as written on the command line: `hidden_size=64` is `--hidden-size 64`.

    Args:
        options: Parameter name -> flag.
    """

    def flag(found: re.Match[str]) -> str:
        name, value, quoted, bare = found.groups()
        option = options.get(name, "")
        # A name such as `split` may be an ordinary word; at the start, or with _ or =, it is an option.
        if not option.startswith("--") or not (value or "_" in name or found.start() == 0):
            return found[0]
        return f"{option} {quoted or bare}" if value else option

    return re.sub(r"(?<![\w'/.-])([a-z]\w*)(=(?:'([^']+)'|([\w.-]*\w)))?(?![\w'/]|\.\w)", flag, message)


def _label(param: Any) -> str:
    """The longest name of an option, or the placeholder of an argument."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name).upper()


def _value(error: Any) -> str:
    """The refused value, if typer's validator (pydantic) kept it."""
    details = getattr(error.__cause__, "errors", None)
    return f"'{details()[0]['input']}'" if details else "that"


def _reason(error: Any) -> str:
    reason = str(error.message).removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return f"{reason[:1].lower()}{reason[1:]}"
