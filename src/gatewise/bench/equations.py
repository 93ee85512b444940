"""Cells that are measured but not in the family, and those that users bring."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .. import cells
from ..algebra import Cell, cell, sigmoid, tanh
from ..errors import CellError, OptionError, suggest


@cell(carry="h c", pack="i f g o", source="Gers, Schraudolph & Schmidhuber (2002), JMLR 3")
def peephole(x, h_prev, c_prev, W, U, b, p):  # type: ignore[no-untyped-def]  # equations, run once on symbols
    """LSTM whose gates see the cell state."""
    i = sigmoid(W.i @ x + U.i @ h_prev + p.i * c_prev + b.i)
    f = sigmoid(W.f @ x + U.f @ h_prev + p.f * c_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    c = f * c_prev + i * g
    o = sigmoid(W.o @ x + U.o @ h_prev + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


def find(name: str) -> Cell:
    """A cell of the family, or the one above."""
    return peephole if name == peephole.name else cells.find(name)


def load(text: str) -> Cell:
    """The cell that the user means by `FILE.py:NAME`, or by the name of one of the family. Runs the file.

    Raises:
        OptionError: There is no such file or cell.
        CellError: The file or its equations are wrong.
    """
    place, colon, name = text.rpartition(":")
    if not colon:
        return find(name)
    path = Path(place)
    if not path.is_file():
        raise OptionError(f"there is no file '{place}'. --cell takes FILE.py:NAME, or one of: {', '.join(cells.NAMES)}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise OptionError(f"'{place}' is no Python file. --cell takes FILE.py:NAME")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except CellError:
        raise
    except Exception as error:  # the user's own code may fail in any way
        raise CellError(f"'{place}' cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not isinstance(found, Cell):
        known = [key for key, value in vars(module).items() if isinstance(value, Cell)]
        if not known:
            raise OptionError(f"'{place}' holds no cell. Write one: a function of equations under @gatewise.cell(...)")
        raise OptionError(suggest(f"cell in '{place}'", name, known))
    return found
