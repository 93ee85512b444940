"""Errors that tell the user what was wrong, which value it was, and what to do.

Each is a `GatewiseError` and also the matching built-in exception, so that code written for torch or plain Python can
catch it without knowing Gatewise. The command line prints the message on one line and exits with 2.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class GatewiseError(Exception):
    """A mistake that the user can fix; the message says how.

    Attributes:
        known_to_all: Whether all ranks of a training raise one already, so that none need be told.
    """

    known_to_all = False


class CellError(GatewiseError, ValueError):
    """A cell whose equations cannot be run as written."""


class ShapeError(GatewiseError, ValueError, RuntimeError):
    """Tensors whose sizes do not match. torch raises ValueError for some such mistakes, RuntimeError for others."""


class OptionError(GatewiseError, ValueError):
    """An option, size or name that is invalid or unknown."""


class OptionTypeError(OptionError, TypeError):
    """An option or argument of the wrong type."""


class NotFittedError(OptionError, AttributeError):
    """An estimator that has learned nothing yet. An AttributeError too: `hasattr` is False for what it lacks."""


class DataError(GatewiseError, ValueError):
    """Data that cannot be read, or is not what the task needs."""


class ModelFileError(GatewiseError, ValueError):
    """A model file or checkpoint that is damaged, of another kind, too new, or does not match."""


class TrainingError(GatewiseError, RuntimeError):
    """Training that cannot continue, because the loss is NaN or the disk is full."""


class RankError(GatewiseError, RuntimeError):
    """Processes that train one model together cannot: one failed or is gone, or they were not given the same."""


class Notice(UserWarning):
    """What the user should know, although it worked. The command line prints it on one line."""


class MissingExtra(GatewiseError, ImportError):  # noqa: N818 - the name says what is wrong
    """A package that is needed is not installed.

    Args:
        package: The name of the package, as the user knows it.
        extra: The extra of Gatewise that installs it.
    """

    def __init__(self, package: str, extra: str):
        super().__init__(f"this needs {package}, which is not installed. Install it: pip install 'gatewise[{extra}]'")


EXTRA_OF = {  # package -> the extra that installs it; a test compares this with pyproject.toml
    "torch": "train",
    "lightning": "train",
    "tokenizers": "text",
    "sacrebleu": "text",
    "matplotlib": "plot",
    "soundfile": "audio",
    "adbc_driver_postgresql": "postgres",
    "fastapi": "serve",
    "h5py": "exchange",
    "onnx": "exchange",
    "optuna": "tune",
    "prometheus_client": "serve",
    "psycopg": "tune-postgres",
    "uvicorn": "serve",
    "websockets": "serve",
}


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """What to raise instead of an import that failed, if an extra of Gatewise installs the package."""
    package = (error.name or "").partition(".")[0]
    return MissingExtra(package, EXTRA_OF[package]) if package in EXTRA_OF else None


@contextmanager
def extras_named() -> Iterator[None]:
    """Inside the block an import that fails is a `MissingExtra`, if an extra of Gatewise installs the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from None


_LISTED = 100  # known names at most: of a vocabulary, the line would fill the screen


def quoted(name: str) -> str:
    """A name as it can stand in a sentence: in quotes, if it could be taken for a part of that, as marks are."""
    return name if re.search(r"\w", name) and name.isprintable() and name == name.strip() else repr(name)


def no_column(name: str, known: Iterable[str], kind: str = "column") -> str:
    """`suggest` of columns; if there is but one, whose name looks like several, also how to separate them."""
    names = [*known]
    only = names[0] if len(names) == 1 else ""
    mark = max(";\t|,", key=only.count)
    if mark not in only:
        if name not in only.split():
            return suggest(kind, name, names)
        mark = "\t"  # in names it is read as a space
    said, written = ("tabs separate", "tab") if mark == "\t" else (f"'{mark}' separates", f"'{mark}'")
    return f"no {kind} named '{name}', only {only!r:.80}. If {said} its columns, add --separator {written}"


def suggest(kind: str, name: str, known: Iterable[str], listing: str = "") -> str:
    """The message for an unknown name: the closest known one, or those that are known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = [repr(one) if "," in one else quoted(one) for one in names[:_LISTED]]
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(listed)}{more}."
    return f"no {kind} named '{name}'. {hint}" + (f" {listing}" if listing else "")
