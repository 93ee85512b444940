"""Options from a signature and a docstring."""

import re
from collections.abc import Sequence

import pytest

from gatewise import cli
from gatewise.algebra import Cell
from gatewise.cli import frame
from gatewise.cli import options as derived
from gatewise.errors import OptionError


def job(
    data,
    *,
    size: int | None = None,
    rate: float = 0.5,
    deep: bool = False,
    tied: bool | None = None,
    names: str | Sequence[str] | None = None,
    levels: Sequence[float] = (0.1, 0.9),
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    cell: str | Cell = "lstm",
):
    """Do something.

    Args:
        data: Not an option.
        size: Units, if
            given.
        rate, deep: Said of both.
        tied: Whether: or not.
        names: Of columns.
        levels: Of quantiles.
        split: Shares.
        cell: One of ours.

    Returns:
        nothing: at all
    """


def test_help_is_that_of_the_docstring():
    found = derived.of_function(job, "Sizes", without={"tied"})
    assert list(found) == ["size", "rate", "deep", "names", "levels", "split", "cell"]
    said = {name: parameter.annotation.__metadata__[0] for name, parameter in found.items()}
    assert said["size"].help == "Units, if given."
    assert said["rate"].help == said["deep"].help == "Said of both."
    assert said["size"].rich_help_panel == "Sizes"
    assert [found[name].default for name in ("rate", "levels", "split")] == [0.5, "0.1,0.9", "0.8,0.1,0.1"]
    assert derived.described(job.__doc__)["tied"] == "Whether: or not."


def test_values_are_those_that_python_would_be_given():
    given = {"size": 3, "names": "a, b", "levels": "0.5", "split": "0.5,0.25,0.25", "cell": "gru"}
    assert derived.read(job, given) == {
        **given, "names": ("a", "b"), "levels": (0.5,), "split": (0.5, 0.25, 0.25)
    }  # fmt: skip
    assert derived.read(job, {"names": "a", "levels": "0.1,0.9"}) == {"names": "a", "levels": (0.1, 0.9)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"levels": "0.1;0.9"}, "levels takes numbers such as 0.1,0.9, not '0.1;0.9'"),
        ({"split": "0.5,0.5"}, "split takes 3 numbers such as 0.8,0.1,0.1, not '0.5,0.5'"),
        ({"cell": "nocell"}, "nocell"),
    ],
)
def test_what_cannot_be_read(given, said):
    with pytest.raises(OptionError, match=said):
        derived.read(job, given)


def every_help(command, path="gatewise"):
    """Where in the command line each text of help is, and the text."""
    yield path, command.help or ""
    yield from ((f"{path} {parameter.name}", getattr(parameter, "help", None) or "") for parameter in command.params)
    if hasattr(command, "list_commands"):
        context = command.make_context(path, [], resilient_parsing=True)
        for name in command.list_commands(context):
            yield from every_help(command.get_command(context, name), f"{path} {name}")


HELP = dict(every_help(frame._root(cli.VERBS)))
PYTHON = re.compile(
    r"\b(None|True|False|dicts?|tuples?|arrays? of|ndarrays?|kwargs|callables?|numpy|str|Sequence|DataFrame)\b"
    r"|\b(np|pd|self)\.|==|=True|=False|\w\(\)"
)


def test_every_verb_and_option_has_a_help():
    assert [place for place, text in HELP.items() if not text.strip()] == []


def test_help_needs_no_python():
    assert len(HELP) > 300
    assert {place: found[0] for place, text in HELP.items() if (found := PYTHON.search(text))} == {}


def test_help_shows_what_is_in_angle_brackets(capsys, monkeypatch):
    """The panels would take it for a tag, unless it is code."""
    bare = [place for place, text in HELP.items() if "<" in re.sub("`[^`]*`", "", text)]
    assert bare == []
    for columns in ("60", "100"):
        monkeypatch.setenv("COLUMNS", columns)
        assert cli.main(["fit", "caption", "--help"]) == 0
        assert "image.jpg#0<tab>caption" in "".join(capsys.readouterr().out.replace("│", "").split())
