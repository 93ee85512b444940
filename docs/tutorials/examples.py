"""Writes the data of the tutorials into the folder in which it is called. All of it comes from Python's own library, or
is made here, so that nothing has to be downloaded.

    python examples.py
"""

from __future__ import annotations

import ast
import csv
import inspect
import random
import sysconfig
import warnings
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from gatewise.data.datasets.builtin import docstring_summaries, python_documentation, written_dates

AREAS = {
    "asyncio": "asyncio",
    "email": "mail",
    "tkinter": "windows",
    "unittest": "testing",
    "xml": "xml",
    "http": "web",
    "urllib": "web",
}
NOISE = ("rain", "wind", "dog", "car", "steps", "bell")


def docstrings() -> None:
    """docstrings.csv: the first sentences of docstrings, and the area of the library that they come from."""
    library, rows = Path(sysconfig.get_path("stdlib")), {}
    for package, area in AREAS.items():
        for path in sorted((library / package).rglob("*.py")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the library's own escapes
                tree = ast.parse(path.read_bytes())
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    text = " ".join(inspect.cleandoc(ast.get_docstring(node) or "").split())[:300]
                    if len(text.split()) >= 4:
                        rows.setdefault(text, area)
    _table("docstrings.csv", ("text", "area"), rows.items())


def doors() -> None:
    """doors.csv: what was heard at a door, and whether it is open in the end. doors.conll: the same at each sound.

    A door that is unlocked opens only if a badge was shown since it was last locked. So what "unlock" means depends on
    what came before, however long ago.
    """
    draw, rows, lines = random.Random(1), [], []
    for _ in range(3000):
        badge, state, words, states = False, "locked", [], []
        for _ in range(draw.randint(1, 40)):
            word = draw.choice(NOISE) if draw.random() < 0.6 else draw.choice(("badge", "unlock", "lock"))
            if word == "badge":
                badge = True
            elif word == "lock":
                badge, state = False, "locked"
            elif word == "unlock" and badge:
                state = "open"
            words.append(word)
            states.append(state)
        rows.append((" ".join(words), state))
        lines += [f"{word}\t{state}" for word, state in zip(words, states, strict=True)] + [""]
    _table("doors.csv", ("heard", "door"), rows)
    Path("doors.conll").write_text("\n".join(lines), encoding="utf-8")


def pairs() -> None:
    """dates.txt, dates.iso: dates as people write them, and as ISO 8601 does. long.txt, short.txt: docstrings and their
    summaries."""
    for found, source, target in (
        (written_dates(4000, seed=1), "dates.txt", "dates.iso"),
        (docstring_summaries(), "long.txt", "short.txt"),
    ):
        Path(source).write_text("\n".join(found.sources) + "\n", encoding="utf-8")
        Path(target).write_text("\n".join(found.targets) + "\n", encoding="utf-8")


def sales() -> None:
    """sales.csv: three shops, two years of days, with weeks, seasons, promotions and chance. coming.csv: the same, and
    the promotions of the next two weeks."""
    draw, known, coming = np.random.default_rng(2), [], []
    for shop, level in (("Harbour", 180), ("Market", 90), ("Station", 240)):
        for step in range(744):
            day = datetime(2024, 1, 1) + timedelta(step)
            promotion = int(draw.random() < 0.08)
            season = (1.5 if day.weekday() > 4 else 1) * (1 + 0.2 * np.sin(2 * np.pi * step / 365))
            sold = int(draw.poisson(level * season * (1 + 0.4 * promotion)))
            if step < 730:
                known.append((shop, day.date(), promotion, sold))
            coming.append((shop, day.date(), promotion, sold if step < 730 else ""))
    _table("sales.csv", ("shop", "day", "promotion", "sold"), known)
    _table("coming.csv", ("shop", "day", "promotion", "sold"), coming)


def machine() -> None:
    """machine.csv: heat and vibration of a machine by the minute; its bearing fails late. normal.csv: until then."""
    draw, T = np.random.default_rng(3), 6000
    minute = np.arange(T)
    load = np.sin(2 * np.pi * minute / 240) + 0.5 * np.sin(2 * np.pi * minute / 37)
    heat = 60 + 6 * load + draw.normal(0, 0.4, T)
    shake = 2 + 0.3 * load + draw.gamma(2, 0.05, T)
    shake[5200:5260] += np.linspace(0, 2.5, 60)
    heat[5230:5260] += 4
    rows = [
        (datetime(2026, 3, 1) + timedelta(minutes=int(m)), round(h, 2), round(s, 3))
        for m, h, s in zip(minute, heat, shake, strict=True)
    ]
    _table("machine.csv", ("minute", "heat", "vibration"), rows)
    _table("normal.csv", ("minute", "heat", "vibration"), rows[:4800])


def _table(name: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with open(name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    docstrings()
    doors()
    pairs()
    sales()
    machine()
    Path("poem.txt").write_text((Path(__file__).parent / "poem.txt").read_text(encoding="utf-8"), encoding="utf-8")
    Path("python.txt").write_text(python_documentation(), encoding="utf-8")
