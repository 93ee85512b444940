"""Names in pictures: any text that a user's data may hold."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font

from gatewise.errors import Notice
from gatewise.plots import attention
from gatewise.plots.figure import figure

NAMES = [
    "$",
    "$$",
    "a$b$c",
    "price $/kg in $x_{",
    r"\$ and \frac",
    "\x1b[2Jname",
    "a\x00b\x9b",
    "\u202eturned",
    "<&>\"'",
]


@pytest.fixture
def as_text():
    """Vector pictures with their text as text."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        yield


def texts(path):
    return ["".join(found.itertext()) for found in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_neither_a_formula_nor_a_command(tmp_path, as_text, name):
    with figure(tmp_path / "a.svg") as drawn:
        axes = drawn.subplots()
        axes.plot([1, 1000], label=name)
        axes.set_title(name)
        axes.set_ylabel(name)
        axes.set_yscale("log")
        axes.legend()
    attention.draw([name, "b"], ["c", name], np.eye(2), tmp_path / "b.svg")
    shown = re.sub("[\x00-\x1f\x7f-\x9f\u202e]", lambda found: repr(found[0])[1:-1], name)
    assert texts(tmp_path / "a.svg").count(shown) == 3
    assert texts(tmp_path / "b.svg").count(shown.replace(" ", "\u2423")) == 2
    assert "".join(texts(tmp_path / "a.svg")[6:10]).split() == list("100101102103")  # powers at the axis are formulas


def letters_of(font):
    return set(get_font(font.fname).get_charmap())


def test_letters_that_the_usual_font_lacks_come_from_another(tmp_path):
    """Of the fonts that matplotlib brings: no machine of a test needs Chinese ones."""
    usual = letters_of(FontEntry(fname=findfont("DejaVu Sans")))
    others = [font for font in fontManager.ttflist if font.name == "STIXNonUnicode"]
    letter = chr(sorted(set.union(*map(letters_of, others)) - usual)[0])
    with figure(tmp_path / "a.png") as drawn:
        label = drawn.text(0, 0, letter)
        plain = drawn.text(0, 1, "abc")
    assert len(label.get_fontfamily()) > 1
    assert not any(name.startswith("Last Resort") for name in label.get_fontfamily())
    assert plain.get_fontfamily() == FontProperties().get_family()


def test_letters_that_no_font_has_are_said_with_the_package_that_brings_them(tmp_path, monkeypatch):
    usual = [font for font in fontManager.ttflist if font.name.startswith(("DejaVu", "Last Resort"))]
    monkeypatch.setattr(fontManager, "ttflist", usual)
    with pytest.warns(Notice, match="no installed font has 售销.*fonts-noto-cjk") as said:
        attention.draw(["销"], ["售", "销"], np.eye(2)[:, :1], tmp_path / "a.svg")
    assert len(said) == 1
