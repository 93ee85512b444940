import inspect

import pytest

from gatewise import errors
from gatewise.errors import GatewiseError, MissingExtra, ShapeError, no_column, suggest

OURS = [
    c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, GatewiseError) and c is not GatewiseError
]


@pytest.mark.parametrize("error", OURS, ids=lambda c: c.__name__)
def test_each_is_also_a_built_in_error_and_says_what_for(error):
    assert any(
        parent.__module__ == "builtins"
        for parent in error.__mro__[1:]
        if parent not in (Exception, BaseException, object)
    )
    assert error.__doc__


def test_shape_errors_are_caught_by_code_written_for_torch():
    assert issubclass(ShapeError, RuntimeError)
    assert issubclass(ShapeError, ValueError)


def test_a_missing_extra_prints_the_command():
    assert str(MissingExtra("torch", "train")) == (
        "this needs torch, which is not installed. Install it: pip install 'gatewise[train]'"
    )
    assert issubclass(MissingExtra, ImportError)


def test_a_near_miss_is_suggested():
    assert suggest("cell", "peephol", ["lstm", "peephole"], "`gatewise cells` lists all of them.") == (
        "no cell named 'peephol'. Did you mean 'peephole'? `gatewise cells` lists all of them."
    )


def test_names_that_are_no_words_are_quoted():
    assert suggest("token", "é", [" ", ",", "a b", "'", "\n", "--step"]) == (
        r"""no token named 'é'. Known: '\n', ' ', "'", ',', --step, a b."""
    )


def test_of_many_names_a_hundred_are_listed():
    message = suggest("word", "zzz", [f"w{number:04}" for number in range(1200)])
    assert message.endswith("w0098, w0099 and 1,100 more.")


def test_without_a_near_miss_all_are_listed_in_order():
    assert suggest("cell", "zzz", ["lstm", "gru"]) == "no cell named 'zzz'. Known: gru, lstm."


@pytest.mark.parametrize(
    ("only", "separator"), [("a;b;c", "';'"), ("a,b;c,d,e", "','"), ("a\tb", "tab"), ("a b c", "tab"), ("a|b", "'|'")]
)
def test_one_column_that_looks_like_several_is_to_be_separated(only, separator):
    assert no_column("b", [only]).endswith(f"its columns, add --separator {separator}")


def test_other_columns_are_suggested_as_any_name():
    for known in ([], ["bc"], ["a b"], ["a;b", "c;d"]):
        assert no_column("x", known) == suggest("column", "x", known)
