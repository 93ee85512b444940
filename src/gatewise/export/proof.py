"""Runs what was exported, where this machine can."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import OptionError

_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2")
_LONGEST = 600  # seconds
_FOUND = re.compile(r"largest difference (\S+)")


def prove_c(folder: Path) -> float | None:
    """The largest difference that the test program finds; None where there is no compiler.

    Raises:
        OptionError: It does not compile, needs a library, or differs by more than it may.
    """
    compiler = _program("CC", _COMPILERS)
    if compiler is None:
        return None
    model, test = folder / "model.o", folder / "model_test"
    try:
        _run([compiler, *_FLAGS, "-c", "-o", str(model), str(folder / "model.c")], "compile")
        _run([compiler, *_FLAGS, "-o", str(test), str(folder / "model_test.c"), str(model)], "compile")
        return _difference(_run([str(test)], "run"))
    finally:
        for file in (model, test):
            file.unlink(missing_ok=True)


def prove_script(script: Path) -> float | None:
    """The same of a script for node; None where there is none.

    Raises:
        OptionError: It fails, or differs by more than it may.
    """
    node = _program("NODE", ("node", "nodejs"))
    return None if node is None else _difference(_run([node, str(script)], "run"))


def _program(variable: str, names: Sequence[str]) -> str | None:
    given = os.environ.get(variable)
    return next(filter(None, map(shutil.which, [given] if given else names)), None)


def _run(command: Sequence[str], what: str) -> str:
    """What it prints. OptionError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, errors="replace")
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise OptionError(f"what was exported does not {what} as it should, and was not kept: {said:.300}")
    return done.stdout


def _difference(printed: str) -> float:
    found = _FOUND.search(printed)
    if found is None:
        raise OptionError(f"what was exported does not say how far off it is, and was not kept: {printed:.200}")
    return float(found[1])
