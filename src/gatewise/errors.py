"""Errors that tell a user what was wrong, which value it was, and what to do.

Each is a `GatewiseError` and also the built-in exception that fits, so that code written for torch or for plain
Python catches it without knowing us. The command line prints the message on one line and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GatewiseError(Exception):
    """A mistake that the user can mend; the message says how."""


class CellError(GatewiseError, ValueError):
    """A cell whose equations cannot be run as written."""


class ShapeError(GatewiseError, ValueError, RuntimeError):
    """Tensors whose sizes do not fit: torch raises ValueError for some of these mistakes, RuntimeError for others."""


class OptionError(GatewiseError, ValueError):
    """An option, size or name that is impossible or unknown."""


class OptionTypeError(OptionError, TypeError):
    """An option or argument of the wrong type."""


class DataError(GatewiseError, ValueError):
    """Data that cannot be read, or is not what the job needs."""


class ModelFileError(GatewiseError, ValueError):
    """A model file or checkpoint that is damaged, foreign, too new, or does not fit."""


class TrainingError(GatewiseError, RuntimeError):
    """Training that cannot go on: a loss that is no number, a full disk."""


class MissingExtra(GatewiseError, ImportError):  # noqa: N818 - it reads as what is wrong
    """A package that this verb needs is not installed.

    Args:
        package: What failed to import, as the user knows it.
        extra: The extra of Gatewise that brings it.
    """

    def __init__(self, package: str, extra: str):
        super().__init__(f"this needs {package}, which is not installed. Install it: pip install 'gatewise[{extra}]'")


def suggest(kind: str, name: str, known: Iterable[str], listing: str = "") -> str:
    """The text of an error about an unknown name: what is close to it, or all there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names)}."
    return f"no {kind} named '{name}'. {hint}" + (f" {listing}" if listing else "")
