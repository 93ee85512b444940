"""The text that every Python carries."""

import subprocess
import sys
from collections import Counter

import pytest

from gatewise.data.builtin import python_documentation
from gatewise.errors import DataError


def test_it_is_enough_to_learn_from():
    text = python_documentation()
    assert len(text) > 200_000
    assert "iterator" in text
    assert "\r" not in text


def test_no_long_paragraph_stands_twice():
    paragraphs = Counter(" ".join(paragraph.split()) for paragraph in python_documentation().split("\n\n"))
    assert [p for p, n in paragraphs.items() if n > 1 and len(p) > 60] == []


def test_what_is_held_out_was_not_learned_by_heart():
    """Of the last twentieth, hardly any longer passage stands in the text before."""
    text = python_documentation()
    border = round(0.95 * len(text))
    pieces = [text[at : at + 120] for at in range(border, len(text) - 120, 120)]
    assert sum(piece in text[:border] for piece in pieces) / len(pieces) < 0.02


def test_it_is_the_same_each_time():
    code = "import sys, gatewise.data.builtin as b; sys.stdout.buffer.write(b.python_documentation().encode())"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert elsewhere.decode() == python_documentation() == python_documentation()


def test_a_python_without_documentation(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="this Python carries no documentation"):
        python_documentation()
