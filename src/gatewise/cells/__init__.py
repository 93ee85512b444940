"""The family: one file of equations per cell."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..algebra import Cell
from ..errors import OptionError, suggest

NAMES = tuple(sorted(module.name for module in iter_modules(__path__)))


def find(name: str) -> Cell:
    """The cell of that name.

    Raises:
        OptionError: There is none; the message suggests what was meant.
    """
    if name not in NAMES:
        raise OptionError(suggest("cell", name, NAMES, "`gatewise cells` lists all of them."))
    found: Cell = getattr(import_module(f".{name}", __name__), name)
    return found
