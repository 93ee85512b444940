"""Speed and memory of the layers, compared with other libraries and with the limits of the machine.

`shapes` and `works` define what is measured. `problem` draws the data, and `peers` has the other implementations.
`contest` checks and times them, `limits` estimates what the machine allows, and `memory` measures peak memory.
`comparison` puts this together; `table` prints the results and `record` stores them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .comparison import compare as compare
    from .record import document as document
    from .record import save as save
    from .table import text as text

_HOME = {  # public name -> its module, imported on use, so that torch is only loaded for a comparison
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
