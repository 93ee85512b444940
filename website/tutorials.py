"""Runs the tutorials as they stand, and writes into them what their commands print, with their pictures.

    python website/tutorials.py [--quick] [CHAPTER ...]

A block ```output after a block of commands is filled with the end of what they printed. `--quick` only runs everything,
briefly, and writes nothing: that is what the tests do.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "tutorials"
CHAPTERS = ("equations", "classify-and-tag", "text", "sequence-to-sequence", "series")
PICTURES = {"attention.png": "attention.png", "next.png": "sales.png", "watch.png": "machine.png"}
RECORDS = {"python.gatewise.metrics.jsonl": "training.jsonl"}  # of which the site draws pages
QUICK = ["--hidden-size", "16", "--epochs", "1"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES, WIDTH = 14, 110


def commands(block: str) -> Iterator[list[str]]:
    """The `gatewise` lines of a block, without what is said behind #."""
    for line in block.splitlines():
        if line.startswith("gatewise "):
            yield shlex.split(line.partition(" #")[0])[1:]


def chapter(name: str, folder: Path, quick: bool) -> None:
    """Run a chapter's blocks in order in a folder that has the data. RuntimeError if one fails."""
    page, printed, filled = FOLDER / f"{name}.md", "", []
    for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "output":
            filled.append(_end(printed))
        elif kind == "python":
            run([sys.executable, "-c", block], folder)
        elif kind == "":
            ran = [
                run([sys.executable, "-m", "gatewise", *_briefly(given, quick)], folder) for given in commands(block)
            ]
            printed = "\n".join(filter(None, (text.strip() for text in ran)))
    if not quick:
        for path in (page, page.with_suffix(".zh.md")):
            path.write_text(_filled(path.read_text(encoding="utf-8"), filled), encoding="utf-8")


def _filled(text: str, outputs: list[str]) -> str:
    left = iter(outputs)
    return BLOCK.sub(lambda match: f"```output\n{next(left)}\n```" if match[1] == "output" else match[0], text)


def _briefly(given: list[str], quick: bool) -> list[str]:
    """The command, with a small model; the last one of an option counts."""
    if not quick or given[0] != "fit":
        return given
    left = [word for place, word in enumerate(given) if "--preset" not in given[max(0, place - 1) : place + 1]]
    return [*left, *QUICK]


def run(command: list[str], folder: Path) -> str:
    """What a command prints. RuntimeError, with the end of it, if it fails."""
    environment = os.environ | {"COLUMNS": str(WIDTH), "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _end(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines if len(lines) <= LINES else ["...", *lines[-LINES:]])


def main(arguments: list[str]) -> None:
    quick = "--quick" in arguments
    names = [name for name in arguments if name != "--quick"] or CHAPTERS
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run([sys.executable, str(FOLDER / "examples.py")], place)
        for name in names:
            chapter(name, place, quick)
        if quick:
            return
        for made, shown in PICTURES.items():
            if (place / made).exists():
                (DOCS / "pictures" / "tutorials").mkdir(exist_ok=True)
                shutil.copyfile(place / made, DOCS / "pictures" / "tutorials" / shown)
        for made, shown in RECORDS.items():
            if (place / made).exists():
                (DOCS / "pages").mkdir(exist_ok=True)
                shutil.copyfile(place / made, DOCS / "pages" / shown)


if __name__ == "__main__":
    main(sys.argv[1:])
