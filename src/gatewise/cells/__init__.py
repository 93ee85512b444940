"""The family: one file of equations per cell; and cells that users bring in files of their own."""

from __future__ import annotations

import runpy
import sys
import traceback
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ..algebra import Cell
from ..errors import CellError, OptionError, suggest

# Those whose file begins with _ are no choice, but how a layer is computed.
NAMES = tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def find(name: str) -> Cell:
    """The cell of that name.

    Raises:
        OptionError: There is none; the message suggests what was meant.
    """
    if name not in NAMES:
        raise OptionError(suggest("cell", name, NAMES, "`gatewise cells` lists all of them."))
    found: Cell = getattr(import_module(f".{name}", __name__), name)
    return found


@lru_cache(maxsize=256)
def is_one(cell: Cell, name: str) -> bool:
    """Whether a cell has the equations of the one of this name, with any number of heads."""
    return replace(find(name), heads=cell.heads).equations == cell.equations


def load(text: str) -> Cell:
    """The cell that is meant by `FILE.py:NAME`, or by the name of one of the family. Runs the file.

    Raises:
        OptionError: There is no such file or cell.
        CellError: The file or its equations are wrong; the message says in which line.
    """
    file, colon, name = text.rpartition(":")
    if not colon and text.endswith(".py"):
        raise OptionError(f"'{text}' is a file. Name the cell in it, too: {text}:NAME")
    if not colon:
        return find(text)
    if not file.endswith(".py"):
        raise OptionError(f"'{file}' is no Python file, whose name would end in .py. A cell is FILE.py:NAME")
    if not Path(file).is_file():
        raise OptionError(f"there is no file '{file}'. A cell is FILE.py:NAME, or one of: {', '.join(NAMES)}")
    values = _run(file)
    found = values.get(name)
    if isinstance(found, Cell):
        return found
    if name in values:
        kind = type(found).__name__
        raise OptionError(
            f"'{name}' in '{file}' is no cell, but of type {kind}. Put @gatewise.cell(...) over its function"
        )
    known = [key for key, value in values.items() if isinstance(value, Cell)]
    if not known:
        raise OptionError(f"'{file}' holds no cell. Write one: a function of equations under @gatewise.cell(...)")
    raise OptionError(suggest(f"cell in '{file}'", name, known))


def _run(file: str) -> dict[str, object]:
    """The names that a file binds. It may import what stands beside it, as if it had been started itself."""
    path = sys.path[:]
    sys.path.insert(0, str(Path(file).resolve().parent))
    try:
        return runpy.run_path(file)
    except CellError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code may fail in any way
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        line = error.lineno if isinstance(error, SyntaxError) and error.filename == file else lines[-1:] and lines[-1]
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise CellError(f"{file}:{line or 1}: it cannot be run: {type(error).__name__}: {reason}") from error
    finally:
        sys.path[:] = path
