"""What a document may hold: every kind, what is refused, and the line that says so."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.document import Count, Names, Positive, Share, differences, distinct, read
from gatewise.errors import ModelFileError, OptionError


@dataclass(frozen=True)
class Wheel:
    spokes: Count
    radius: Positive
    maker: str | None = None


@dataclass(frozen=True)
class Bicycle:
    name: str
    wheels: tuple[Wheel, Wheel]
    gears: list[int]
    colours: Names
    weights: Mapping[str, float]
    sold: bool = False

    def __post_init__(self):
        if len(self.gears) != len(self.colours):
            raise ValueError(f"it has {len(self.gears)} gears and {len(self.colours)} colours")


class Bought(TypedDict):
    shop: str
    prices: tuple[float, ...]


WHEEL = {"spokes": 36, "radius": 0.35}
BICYCLE = {
    "name": "red one",
    "wheels": [WHEEL, {**WHEEL, "maker": "M"}],
    "gears": [3, -7],
    "colours": ["red", "black"],
    "weights": {"frame": 2},
    "sold": True,
}


def test_a_dataclass_is_made_of_an_object():
    found = read(Bicycle, BICYCLE)
    assert found == Bicycle(
        "red one", (Wheel(36, 0.35), Wheel(36, 0.35, "M")), [3, -7], ["red", "black"], {"frame": 2}, True
    )
    assert read(Bicycle, json.loads(json.dumps(asdict(found)))) == found


def test_a_typed_dict_may_hold_more():
    given = {"shop": "corner", "prices": [3, 4.5], "till": 2}
    assert read(Bought, given, "sale") == {"shop": "corner", "prices": (3, 4.5), "till": 2}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": None}, "name is null, not text"),
        ({"name": 3}, "name is 3, not text"),
        ({"sold": 1}, "sold is 1, not true or false"),
        ({"wheels": [WHEEL]}, "wheels is a list of 1, not a list of 2"),
        ({"wheels": {}}, "wheels is an object, not a list of 2"),
        ({"wheels": [WHEEL, 7]}, "wheels[1] is 7, not an object"),
        ({"wheels": [WHEEL, {"spokes": 1}]}, "wheels[1] has no 'radius'"),
        ({"wheels": [{**WHEEL, "spokes": 0}, WHEEL]}, "wheels[0].spokes must be a whole number, 1 or more, not 0"),
        ({"wheels": [{**WHEEL, "spokes": 10**12}, WHEEL]}, "from 1 to 2147483647, not 1000000000000"),
        ({"wheels": [{**WHEEL, "spokes": True}, WHEEL]}, "wheels[0].spokes is true, not a whole number"),
        ({"wheels": [{**WHEEL, "radius": -1}, WHEEL]}, "wheels[0].radius must be a number above 0, not -1"),
        ({"wheels": [{**WHEEL, "maker": []}, WHEEL]}, "wheels[0].maker is a list of 0, not text or null"),
        ({"gears": [1, 2.0]}, "gears[1] is 2.0, not a whole number"),
        ({"gears": [1, 2**70]}, f"gears[1] is {2**70}, not a whole number"),
        ({"gears": "12"}, 'gears is "12", not a list'),
        ({"gears": [1]}, "the document: it has 1 gears and 2 colours"),
        ({"colours": ["red", "red"]}, 'colours holds "red" twice'),
        ({"colours": ["red", None]}, "colours[1] is null, not text"),
        ({"weights": {"frame": float("nan")}}, "weights.frame is NaN, not a number"),
        ({"weights": {"frame": 10**400}}, "weights.frame is 1000"),
        ({"weights": {"a\nb": "x"}}, 'weights."a\\nb" is "x", not a number'),
        ({"weights": [1]}, "weights is a list of 1, not an object"),
        ({"bell": 1}, 'the document has a key "bell", which it should not have'),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_something_else_is_named(changed, said):
    with pytest.raises(ModelFileError) as caught:
        read(Bicycle, {**BICYCLE, **changed})
    message = str(caught.value)
    assert said in message
    assert len(message) < 200
    assert "\n" not in message


def test_only_what_has_a_default_may_be_left_out():
    for name in BICYCLE.keys() - {"sold"}:
        with pytest.raises(ModelFileError, match=f"the document has no '{name}'"):
            read(Bicycle, {key: value for key, value in BICYCLE.items() if key != name})
    assert read(Wheel, WHEEL).maker is None
    assert read(Bicycle, {key: value for key, value in BICYCLE.items() if key != "sold"}).sold is False


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (str | Sequence[str] | None, "a", "a"),
        (str | Sequence[str] | None, ["a", "b"], ("a", "b")),
        (str | Sequence[str] | None, None, None),
        (tuple[float, Positive] | Names, [1, 2.5], (1, 2.5)),
        (tuple[float, Positive] | Names, ["x", "y"], ["x", "y"]),
        (tuple[float, Positive] | Names, [], []),
        (str | int | float, 3, 3),
        (str | int | float, 3.5, 3.5),
        (Literal["day", 3], 3, 3),
        (Share, 1, 1),
        (dict[str, Any], {"a": [None]}, {"a": [None]}),
        (Annotated[tuple[str | int, ...], distinct], ["1", 1], ("1", 1)),
    ],
)
def test_kinds(kind, value, found):
    got = read(kind, value, "it")
    assert got == found
    assert type(got) is type(found)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (str | Sequence[str] | None, 7, "it is 7, not text or a list or null"),
        (str | Sequence[str] | None, [7], "it\\[0\\] is 7, not text"),
        (tuple[float, Positive] | Names, [1, 0], "it\\[0\\] is 1, not text"),
        (Literal["day", 1], True, 'it is true, not "day" or 1'),
        (Share, 1.5, "it must be a number from 0 to 1, not 1.5"),
        (Annotated[tuple[str | int, ...], distinct], [1, 2, 1], "it holds 1 twice"),
    ],
)
def test_kinds_that_do_not_fit(kind, value, said):
    with pytest.raises(ModelFileError, match=said):
        read(kind, value, "it")


def test_a_check_says_where():
    def even(name, value):
        if value % 2:
            raise OptionError(f"{value} is odd")

    assert read(list[Annotated[int, even]], [2, 4]) == [2, 4]
    with pytest.raises(ModelFileError, match=r"^list\[1\]: 3 is odd$"):
        read(list[Annotated[int, even]], [2, 3], "list")
    with pytest.raises(ModelFileError, match=r"^odd: 3 is odd$"):
        read(Annotated[int, even], 3, "odd")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*BICYCLE, *WHEEL]), inner, max_size=4),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from(sorted(BICYCLE)), values)
def test_any_value_is_read_or_refused(name, value):
    """What is read can be written, and is read again as the same."""
    try:
        found = read(Bicycle, {**BICYCLE, name: value})
    except ModelFileError as error:
        assert "\n" not in str(error)  # noqa: PT017 - an answer is as good
    else:
        assert read(Bicycle, json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({}, {}, []),
        ({"a": 1, "b": [1, {"c": 2}]}, {"b": [1, {"c": 2}], "a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c was 2 and is 3"]),
        ({"z": None}, {"b": "é"}, ['b was absent and is "é"', "z was null and is absent"]),
        ({"a": 1}, {"a": {"b": 1}}, ["a was 1 and is absent", "a.b was absent and is 1"]),
        ({"a": "absent"}, {}, ['a was "absent" and is absent']),
        ({"a": 1}, {"a": True}, ["a was 1 and is true"]),
        ({"a": {}}, {}, ["a was {} and is absent"]),
    ],
)  # fmt: skip
def test_differences_are_named_where_they_are(old, new, told):
    assert differences(old, new) == told
