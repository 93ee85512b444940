"""The command line. One file per verb; `frame.py` has what all of them share."""

from __future__ import annotations

from collections.abc import Sequence

VERBS = {  # verb -> where its function (or its frame.Group) is; imported only when it is needed
    "demo": "gatewise.cli.demo:demo",
    "fit": "gatewise.cli.fit:fit",
    "tune": "gatewise.cli.tune:tune",
    "evaluate": "gatewise.cli.evaluate:evaluate",
    "predict": "gatewise.cli.predict:predict",
    "sample": "gatewise.cli.sample:sample",
    "explain": "gatewise.cli.explain:explain",
    "serve": "gatewise.cli.serve:serve",
    "compress": "gatewise.cli.compress:compress",
    "import": "gatewise.cli.import_:import_",
    "export": "gatewise.cli.export:export",
    "watch": "gatewise.cli.watch:watch",
    "info": "gatewise.cli.info:info",
    "cells": "gatewise.cli.cells:cells",
    "bench": "gatewise.cli.bench:bench",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `gatewise` with these arguments (those of the process, if None) and return its exit code."""
    from .frame import run

    return run(VERBS, arguments)
