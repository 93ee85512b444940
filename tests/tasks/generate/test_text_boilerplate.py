"""Headers and licences of Project Gutenberg are told, not dropped."""

import io

import pytest

from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text.corpus import boilerplate

BODY = "It was a dark night.\n" * 50
LICENCE = "You may copy it, give it away or re-use it.\n" * 20


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (
            "The Project Gutenberg EBook of Faust\n\n*** START OF THIS PROJECT GUTENBERG EBOOK FAUST ***\n",
            f"*** END OF THIS PROJECT GUTENBERG EBOOK FAUST ***\n{LICENCE}",
            "lines 4 to 53",
        ),
        (
            "***START OF THE PROJECT GUTENBERG EBOOK***\n",
            f"End of the Project Gutenberg EBook\n{LICENCE}",
            "lines 2 to 51",
        ),
        ("*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*END*\n", "Ende dieses Projekt Gutenberg Etextes\n", "2 to 51"),
        ("", f"Fin du Project Gutenberg EBook de Candide\n{LICENCE}", "lines 1 to 50"),
    ],
    ids=["English", "older", "German", "French"],
)
def test_they_are_told_with_the_lines_between_them(before, after, lines):
    told = boilerplate(before + BODY + after, "no file")
    assert "Project Gutenberg" in told
    assert lines in told
    first, last = (int(number) for number in lines.removeprefix("lines ").split(" to "))
    kept = (before + BODY + after).split("\n")[first - 1 : last]
    assert "\n".join(kept) == BODY.removesuffix("\n")


def test_a_name_alone_is_told_and_nothing_is_of_other_texts(rhyme):
    assert "line 1 names" in boilerplate("Produced for Project Gutenberg\n" + BODY, "x")
    assert boilerplate(BODY + "The end of the project was near.\n", "x") is None
    assert boilerplate(rhyme, "x") is None
    both = (
        "*** START OF THE PROJECT GUTENBERG EBOOK A ***\n" + BODY + "*** END OF THE PROJECT GUTENBERG EBOOK A ***\n"
    ) * 2
    assert "2 books have one" in boilerplate(both, "x")


def test_a_file_gets_the_command_and_fit_says_it(tmp_path, capsys):
    path = tmp_path / "a book.txt"
    path.write_text("*** START OF THE PROJECT GUTENBERG EBOOK A ***\n" + BODY)
    assert f"sed -n 2,52p '{path}'" in boilerplate(path.read_text(), str(path))
    book = io.StringIO(path.read_text())
    Generator(hidden_size=4, epochs=0.1, batch_size=1, chunk_length=32).fit(book, verbose=1)
    told = capsys.readouterr().err
    assert "the header of Project Gutenberg" in " ".join(told.split())
    assert "to beat" in told
