"""A model printed in another language: C99, or a page for a browser.

Each exporter prints a `runtime.recording.StepModel`, and what it wrote is run on that model's examples before it is kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..runtime.recording import StepModel
from .proof import prove_c, prove_script
from .weights import rounding

__all__ = ["TARGETS", "Written", "check", "rounding", "target", "write"]

TARGETS = ("c", "html")  # each the name of a module


@dataclass(frozen=True)
class Written:
    """What was exported.

    Attributes:
        files: Paths.
        difference: The largest one between what was written and the runtime; None where it could not be run.
        lacks: What is needed to run it.
    """

    files: list[Path]
    difference: float | None
    lacks: str


def target(name: str) -> Any:
    """The module of one of `TARGETS`."""
    return import_module(f".{name}", __name__)


def check(output: Path, *, folder: bool, force: bool) -> None:
    """Make sure that it can be written, before work is done. OptionError if not."""
    if not output.resolve().parent.is_dir():
        raise OptionError(f"there is no folder '{output.parent}' for '{output.name}'. Create it first")
    if output.exists() and folder != output.is_dir():
        raise OptionError(f"'{output}' is a {'file' if folder else 'folder'}, where a {_kind(folder)} is to be written")
    if output.exists() and not force and (not folder or any(output.iterdir())):
        raise OptionError(f"'{output}' exists. Pass --force to replace it, or name another {_kind(folder)}")


def write(model: StepModel, to: str, kind: str, output: Path) -> Written:
    """Print a model, run it, and keep it if it does what the model does.

    Args:
        to: One of `TARGETS`.
        kind: Of its weights.
        output: A folder for C; a page.

    Raises:
        OptionError: The model cannot be said so, or what was written differs from it. Nothing is left behind then.
    """
    texts: dict[str, str] = target(to).sources(model, kind)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.resolve().parent))
    try:
        for name, text in texts.items():
            (temporary / name).write_text(text, "utf-8")
        if to == "c":
            difference, lacks = prove_c(temporary), "C compiler"
            output.mkdir(exist_ok=True)
            kept = {name: output / name for name in texts}
        else:
            script = temporary / target(to).SCRIPT
            difference, lacks = prove_script(script), "node"
            kept = {target(to).PAGE: output}
        for name, place in kept.items():
            os.replace(temporary / name, place)
        return Written(list(kept.values()), difference, lacks)
    except OSError as error:
        raise OptionError(f"cannot write '{output}': {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _kind(folder: bool) -> str:
    return "folder" if folder else "file"
