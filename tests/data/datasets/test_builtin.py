"""The text that every Python carries."""

import functools
import subprocess
import sys
from collections import Counter

import pytest

from gatewise.data.datasets import builtin
from gatewise.data.datasets.builtin import docstring_summaries, python_documentation, written_dates
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
    code = "import sys, gatewise.data.datasets.builtin as b; sys.stdout.buffer.write(b.python_documentation().encode())"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert elsewhere.decode() == python_documentation() == python_documentation()


def test_a_python_without_documentation(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="this Python carries no documentation"):
        python_documentation()


@pytest.fixture(scope="module")
def usual():
    """Docstrings as pairs; from here on each file of the library is parsed once."""
    with pytest.MonkeyPatch.context() as patch:
        parse = builtin._docstrings
        patch.setattr(builtin, "_docstrings", functools.cache(lambda path: [*parse(path)]))
        yield docstring_summaries()


def test_docstrings_are_pairs_that_stand_once(usual):
    pairs = usual
    assert len(pairs) > 1000
    assert len(set(pairs.sources)) == len(set(pairs.targets)) == len(pairs)
    [summary] = [
        t
        for s, t in zip(pairs.sources, pairs.targets, strict=True)
        if s.startswith("namedtuple(typename, field_names): ")
    ]
    assert summary == "Returns a new subclass of tuple with named fields."
    assert all(len(source) < 600 for source in pairs.sources)
    assert any(source.startswith("walk packages(path, prefix, onerror): ") for source in pairs.sources)  # walk_packages
    assert any(source.startswith("Mutable Set: ") for source in pairs.sources)  # MutableSet


def test_docstrings_without_more_than_a_summary_are_there_when_asked_for(usual):
    every = docstring_summaries(least=0)
    assert len(every) > 1.5 * len(usual)
    assert any(source.endswith(":") for source in every.sources)
    assert set(usual.targets) <= set(every.targets)


def test_dates_are_those_that_were_written():
    pairs = written_dates(3000, seed=1)
    assert pairs == written_dates(3000, seed=1)
    known = dict(zip(written_dates(20000).sources, written_dates(20000).targets, strict=True))
    for text, iso in known.items():
        if text.isdigit():
            assert text == iso.replace("-", "")
        day = iso[8:].lstrip("0")
        assert iso[:4] in text or iso[2:4] in text
        assert day in text or any(word in text.lower() for word in ("th", "st", "nd", "rd"))
    forms = {"the twenty-first of": "21", "the thirtieth of": "30", "the twelfth of": "12", "the first of": "01"}
    for start, day in forms.items():
        assert {iso[8:] for text, iso in known.items() if text.lower().startswith(start)} == {day}
