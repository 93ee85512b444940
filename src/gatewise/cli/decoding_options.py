"""Options of how to search, for the verbs that ask a model for texts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

from ..decoding.options import CTCDecoding, Decoding
from ..errors import OptionError
from . import options as derived

Kinds = Mapping[str, type[Any]]  # of search, by task; "" is any other that writes texts

BEAM_OPTIONS: Kinds = {"": Decoding}
CTC_OPTIONS: Kinds = {"transcribe": CTCDecoding}


def with_search(verb: Any, kinds: Kinds) -> Any:
    """A verb with the options of these kinds of search in place of its `**search`; None stands for the default."""
    own, hints = inspect.signature(verb), get_type_hints(verb, include_extras=True)
    found = {n: p.replace(annotation=hints[n]) for n, p in own.parameters.items() if p.kind is not p.VAR_KEYWORD}
    for task, kind in kinds.items():
        for name, parameter in derived.of_function(kind, "Search (of a model that writes texts)").items():
            option = parameter.annotation.__metadata__[0]
            default = "" if parameter.default in (None, False) else f"{parameter.default:g} if omitted"
            if name in found:
                known = found[name].annotation.__metadata__[0]
                known.help = f"{known.help}, of {task} {parameter.default:g}"
                continue
            text = f"{option.help.rstrip('.')}{f' ({task})' if task else ''}"
            option.help = f"{text}; {default}" if default else text
            annotation: Any = Annotated[parameter.annotation.__origin__ | None, option]
            found[name] = parameter.replace(annotation=annotation, default=None, kind=parameter.POSITIONAL_OR_KEYWORD)
    vars(verb)["__signature__"] = own.replace(parameters=list(found.values()))
    verb.__annotations__ = {name: parameter.annotation for name, parameter in found.items()}
    return verb


def decoding(task: str, asked: Callable[..., Any], search: Mapping[str, Any]) -> dict[str, Any]:
    """What a method that may take a `decoding` is to be given, from the options of `with_search`.

    Raises:
        OptionError: The method takes none, or not with such an option.
    """
    given = {name: value for name, value in search.items() if value is not None}
    kind = CTC_OPTIONS.get(task, Decoding) if "decoding" in inspect.signature(asked).parameters else None
    wrong = set(given) - set(inspect.signature(kind).parameters if kind else ())
    if wrong:
        flag = next(name for name in given if name in wrong).replace("_", "-")
        raise OptionError(f"--{flag} does not go with a model of the task '{task}'. Leave it out")
    return {"decoding": kind(**given)} if kind and given else {}
