"""Speed and memory of the layers beside other libraries', and the limits of the machine that they run on.

`shapes` and `works` say what is asked, `problem` makes the numbers, `peers` the contestants. `contest` checks and times
them, `limits` says what the machine allows, `memory` what it costs. `comparison` does all of that; `table` and `record`
show and keep the answer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparison import compare as compare
    from .record import document as document
    from .record import save as save
    from .table import text as text

_HOME = {  # public name -> module it lives in; torch is paid for by who compares
    "compare": "comparison",
    "document": "record",
    "save": "record",
    "text": "table",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
