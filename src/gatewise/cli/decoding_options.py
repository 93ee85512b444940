"""Decoding options, for the verbs whose models can generate text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from ..decoding.options import CTCDecoding, Decoding
from ..errors import OptionError
from . import options as derived

Kinds = Mapping[str, type[Any]]  # class of decoding options by task; "" stands for any other task that writes text

BEAM_OPTIONS: Kinds = {"": Decoding}
CTC_OPTIONS: Kinds = {"transcribe": CTCDecoding}


def with_search(verb: Any, kinds: Kinds) -> Any:
    """Replace the `**search` of a verb by the options of these kinds of decoding; None stands for the default."""
    own, hints = inspect.signature(verb), get_type_hints(verb, include_extras=True)
    found = {n: p.replace(annotation=hints[n]) for n, p in own.parameters.items() if p.kind is not p.VAR_KEYWORD}
    for task, kind in kinds.items():
        for name, parameter in derived.of_function(kind, "Decoding (models that generate text)").items():
            option = parameter.annotation.__metadata__[0]
            default = "" if parameter.default in (None, False) else f"{parameter.default:g} if omitted"
            if name in found:
                known = found[name].annotation.__metadata__[0]
                known.help = f"{known.help} ({task}: {parameter.default:g})"
                continue
            text = f"{option.help.rstrip('.')}{f' ({task})' if task else ''}"
            option.help = f"{text}; {default}" if default else text
            annotation: Any = Annotated[parameter.annotation.__origin__ | None, option]
            found[name] = parameter.replace(annotation=annotation, default=None, kind=parameter.POSITIONAL_OR_KEYWORD)
    return derived.with_parameters(verb, found.values())


def decoding(task: str, asked: Callable[..., Any], search: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments for a method that may take a `decoding`, from the options of `with_search`.

    Raises:
        OptionError: The method takes no `decoding`, or one without such an option.
    """
    given = {name: value for name, value in search.items() if value is not None}
    kind = CTC_OPTIONS.get(task, Decoding) if "decoding" in inspect.signature(asked).parameters else None
    wrong = set(given) - set(inspect.signature(kind).parameters if kind else ())
    if wrong:
        flag = next(name for name in given if name in wrong).replace("_", "-")
        raise OptionError(f"--{flag} is not an option for models of the task '{task}'. Leave it out")
    return {"decoding": kind(**given)} if kind and given else {}
