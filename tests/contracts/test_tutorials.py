"""The tutorials: both languages show the same, and all that they show runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md") if not path.stem.endswith(".zh"))
BLOCK = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)


def text(name):
    return (ROOT / "docs" / "tutorials" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_both_languages_show_the_same_blocks_and_sections(chapter):
    english, chinese = text(f"{chapter}.md"), text(f"{chapter}.zh.md")
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    assert english.count("\n## ") == chinese.count("\n## ")
    assert english.count("<iframe") == chinese.count("<iframe")


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [chapter for chapter in CHAPTERS if chapter != "index"])
def test_a_chapter_runs(chapter):
    program = [sys.executable, str(ROOT / "website" / "tutorials.py"), "--quick", chapter]
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
