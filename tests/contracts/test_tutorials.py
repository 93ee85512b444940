"""The tutorials: both languages show the same, and all that they show runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatewise.tasks import TASKS
from website import gather

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md") if not path.stem.endswith(".zh"))
PAGES = sorted((ROOT / "docs" / "pages").iterdir())
SHOWN = {path.stem for path in PAGES} | {"hello"}
BLOCK = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)


def text(name):
    return (ROOT / "docs" / "tutorials" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_both_languages_show_the_same_blocks_and_sections(chapter):
    english, chinese = text(f"{chapter}.md"), text(f"{chapter}.zh.md")
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    assert english.count("\n## ") == chinese.count("\n## ")
    frames = [re.findall(r'<iframe src="[./]*/pages/(\w+)\.html#(\w+)"', page) for page in (english, chinese)]
    names = [name for name, _ in frames[0]]
    assert frames == [[(name, language) for name in names] for language in ("en", "zh")]
    assert english.count("<iframe") == chinese.count("<iframe") == len(names)


def test_a_report_of_each_task_is_shown_and_so_is_a_training():
    shown = set(re.findall(r"pages/(\w+)\.html", "".join(text(f"{name}.md") for name in CHAPTERS)))
    assert shown == SHOWN - {"study"} == {*TASKS, "training", "hello"}
    assert "pages/study.json" in (ROOT / "docs" / "tune.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_site_draws_what_it_shows(path):
    """`python website/reports.py` makes the reports anew, after a change of their format."""
    page = gather.drawn(path)
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if chapter != "index"])
def test_a_chapter_runs(chapter):
    program = [sys.executable, str(ROOT / "website" / "tutorials.py"), "--quick", chapter]
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
