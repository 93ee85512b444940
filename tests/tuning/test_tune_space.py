"""What is searched, and what a setting means for `fit`."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewise.errors import OptionError
from gatewise.tasks import TASKS, find
from gatewise.tuning.space import Knob, Space, space_of

SIZES = {"hidden_size": 64, "num_layers": 1, "dropout": 0.3, "learning_rate": 0.003, "batch_size": 16}


def space(ranges=(), task="classify", sizes=SIZES, **options):
    return space_of(find(task)(**options), sizes, dict(ranges), options)


def knob(name, text, **options):
    return next(own for own in space({name: text}, **options).knobs if own.name == name)


def test_the_default_space():
    found = {own.name: own for own in space().knobs}
    assert {name: (own.low, own.high) for name, own in found.items()} == {
        "hidden_size": (16, 256),
        "num_layers": (1, 2),
        "dropout": (0.0, 0.6),
        "learning_rate": (0.0003, 0.03),
        "weight_decay": (0.001, 0.3),
        "batch_size": (4, 64),
    }
    assert [own.name for own in found.values() if own.log] == [
        "hidden_size",
        "learning_rate",
        "weight_decay",
        "batch_size",
    ]


def test_what_is_given_is_not_searched():
    assert [own.name for own in space(dropout=0.1, learning_rate="auto", hidden_size=32, num_layers=2).knobs] == [
        "weight_decay",
        "batch_size",
    ]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_rate_to_search(task):
    names = [own.name for own in space(task=task, sizes={**SIZES, "embedding_size": 32, "batch_tokens": 250}).knobs]
    assert {"learning_rate", "hidden_size", "dropout"} <= {*names}
    assert ("embedding_size" in names) == (task in ("translate", "caption"))


def test_ranges():
    assert knob("hidden_size", "32..512") == Knob("hidden_size", 64, 32, 512, log=True, whole=True)
    assert knob("dropout", "0..0.5") == Knob("dropout", 0.3, 0.0, 0.5)
    assert knob("learning_rate", "0.001..0.03") == Knob("learning_rate", 0.003, 0.001, 0.03, log=True)
    assert knob("cell", "lstm,gru", sizes={**SIZES, "cell": "lstm"}).choices == ("lstm", "gru")
    assert knob("bidirectional", "true,false").choices == (True, False)
    assert knob("num_layers", "1,3").choices == (1, 3)
    assert knob("schedule", "cosine,schedule-free").choices == ("cosine", "schedule-free")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("hiden_size", "32..64", "Did you mean 'hidden_size'?"),
        ("hidden_size", "64..32", "must rise"),
        ("hidden_size", "0..32", "hidden_size"),
        ("hidden_size", "a..b", "'a' is no value of hidden_size"),
        ("hidden_size", "1.5..8", "'1.5' is no value of hidden_size"),
        ("hidden_size", "64", "nothing to search"),
        ("hidden_size", "64,64", "nothing to search"),
        ("dropout", "0..1", "dropout"),
        ("learning_rate", "0.1..nan", "learning_rate"),
        ("cell", "lstm..gru", "list its values"),
        ("cell", "lstm,grru", "Did you mean 'gru'?"),
        ("bidirectional", "yes,no", "true or false"),
        ("target", "a,b", "how data are read"),
        ("tokens", "words,characters", "how data are read"),
        ("seed", "1..9", "the same for all trials"),
        ("epochs", "1..9", "how long a trial takes"),
        ("class_weight", "balanced,x", "what validation measures"),
        ("share", "0..1", "changes no training"),
        ("clip", "1..", "'' is no value of clip"),
        ("stride", "1..4", "no value in this fit"),
    ],
)
def test_ranges_that_are_refused(name, text, told):
    with pytest.raises(OptionError) as caught:
        space({name: text})
    assert told in str(caught.value)


def test_an_option_is_either_given_or_searched():
    with pytest.raises(OptionError, match="both given, 32, and searched"):
        space({"hidden_size": "8..64"}, hidden_size=32)
    with pytest.raises(OptionError, match="every option"):
        space(hidden_size=8, num_layers=1, dropout=0.1, learning_rate=0.1, weight_decay=0.1, batch_size=4)


def test_the_default_setting_is_what_fit_would_do():
    found = space()
    assert found.options(found.default) == {}


def test_the_rate_follows_the_root_of_the_batch():
    found = space()
    options = found.options({**found.default, "batch_size": 64, "learning_rate": 0.004})
    assert options == {**found.default, "batch_size": 64, "learning_rate": 0.008}
    with_given_rate = space(learning_rate=0.1)
    assert "learning_rate" not in with_given_rate.options({**with_given_rate.default, "batch_size": 64})


knobs = st.one_of(
    st.tuples(st.floats(1e-6, 1.0), st.floats(1.5, 1e4)).map(
        lambda v: Knob("learning_rate", v[0], v[0], v[0] * v[1], log=True)
    ),
    st.tuples(st.integers(1, 300), st.integers(1, 3000)).map(
        lambda v: Knob("hidden_size", v[0], v[0], v[0] + v[1], log=True, whole=True)
    ),
    st.tuples(st.integers(1, 300), st.integers(1, 3000)).map(
        lambda v: Knob("num_layers", v[0], v[0], v[0] + v[1], whole=True)
    ),
    st.floats(0.05, 0.9).map(lambda v: Knob("dropout", 0.0, 0.0, v)),
    st.lists(st.sampled_from("abcdef"), min_size=2, unique=True).map(lambda v: Knob("cell", "a", choices=tuple(v))),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(knobs, st.floats(0, 1, exclude_max=True))
def test_a_place_is_a_rounded_value_of_the_range(own, place):
    value = own.at(place)
    assert value in own.choices if own.choices else own.low <= value <= own.high
    assert own.rounded(value) == value
    assert isinstance(value, int) == own.whole


@settings(deadline=None)  # Optuna is imported in one of them
@given(knobs)
def test_the_distribution_of_optuna_holds_the_range_and_the_default(own):
    distribution = own.distribution()
    for value in (own.at(0.0), own.at(0.999), own.default):
        assert distribution._contains(distribution.to_internal_repr(value))


def test_widths_are_told_apart_by_eight_and_rates_by_two_digits():
    assert [knob("hidden_size", "4..512").rounded(v) for v in (5, 8, 61, 68.1)] == [5, 8, 64, 72]
    assert knob("learning_rate", "0.0001..1").rounded(0.0031415) == 0.0031
    assert math.isclose(knob("dropout", "0..0.5").rounded(0.12345), 0.12)


def test_a_space_survives_json():
    found = space({"cell": "lstm,gru"})
    assert Space.from_json(found.to_json()) == found
