"""Groups of sequences: numbered, never divided by a split, and noticed where nobody named them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.data.groups import groups_of, likely_groups, refuse_shared
from gatewise.data.sequences import Column, Sequences, category_column, offsets_of, text_column
from gatewise.data.split import shuffled_split
from gatewise.errors import DataError, OptionError

SHARES, HALVES = (0.6, 0.2, 0.2), (0.5, 0.5, 0)


def spoken(speakers, **more):
    count = len(speakers)
    steps = {"x": Column("x", "number", np.zeros(2 * count, np.float32))}
    static = {"speaker": category_column("speaker", speakers), **more}
    return Sequences(offsets_of([2] * count), steps, static, "words")


@given(st.lists(st.integers(0, 11), min_size=30, max_size=200), st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_no_group_is_in_two_parts_and_none_is_lost(drawn, seed):
    _, groups = np.unique([*drawn, *range(3)], return_inverse=True)
    parts = shuffled_split(len(groups), (0.6, 0.2, 0.2), seed, groups=groups)
    assert sorted(np.concatenate([*parts.values()])) == list(range(len(groups)))
    assert all(len(part) for part in parts.values())
    held = [set(groups[part]) for part in parts.values()]
    assert sum(map(len, held)) == len(set().union(*held))


def test_parts_of_groups_have_about_the_sizes_and_classes_of_their_shares():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), random.integers(5, 60, 40))
    strata = random.integers(0, 4, len(groups))
    parts = shuffled_split(len(groups), (0.8, 0.1, 0.1), 1, strata, groups)
    shares = [len(part) / len(groups) for part in parts.values()]
    assert np.abs(np.array(shares) - (0.8, 0.1, 0.1)).max() < 0.03
    for part in parts.values():
        assert np.abs(np.bincount(strata[part], minlength=4) / len(part) - 0.25).max() < 0.12


def test_a_part_without_a_share_gets_no_group():
    parts = shuffled_split(6, (0.5, 0.5, 0.0), 0, groups=np.array([0, 0, 1, 1, 2, 2]))
    assert len(parts["test"]) == 0
    assert len(parts["train"]) + len(parts["validation"]) == 6


def test_groups_are_numbers_of_combinations():
    data = spoken(["a", "b", "a", "b"], room=category_column("room", ["1", "1", "2", "1"]))
    assert groups_of(data, ["speaker"], HALVES).tolist() == [0, 1, 0, 1]
    assert groups_of(data, ["speaker", "room"], HALVES).tolist() == [0, 2, 1, 2]
    assert groups_of(data, [], SHARES) is None


@pytest.mark.parametrize(
    ("speakers", "shares", "message"),
    [
        (["a", "a", "a"], HALVES, "group 'speaker' of words has 1 value ('a'), too few for 2 parts"),
        (["a", "b", "b"], SHARES, "group 'speaker' of words has 2 values ('a', 'b'), too few for 3 parts"),
    ],
)
def test_groups_that_divide_nothing_are_refused(speakers, shares, message):
    with pytest.raises(OptionError) as error:
        groups_of(spoken(speakers), ["speaker"], shares)
    assert message in str(error.value)


def test_a_group_for_each_row_is_refused_and_one_for_each_long_sequence_is_not():
    assert groups_of(spoken(["a", "b", "c"]), ["speaker"], SHARES).tolist() == [0, 1, 2]
    rows = Sequences(offsets_of([0] * 3), {}, {"id": category_column("id", ["a", "b", "c"])}, "rows")
    with pytest.raises(OptionError, match="group 'id' of rows is different in all 3 rows"):
        groups_of(rows, ["id"], SHARES)


def test_a_sequence_without_a_group_and_an_unknown_column_are_refused():
    with pytest.raises(DataError, match="sequence 1 has no 'speaker'"):
        groups_of(spoken(["a", None, "a"]), ["speaker"], (1,))
    with pytest.raises(DataError, match="no column named 'spaeker'"):
        groups_of(spoken(["a", "a"]), ["spaeker"], (1,))


def test_a_column_of_steps_is_a_group_only_if_it_stays_the_same():
    steps = {"rider": category_column("rider", ["a", "a", "b", "b", "b", "b"])}
    data = Sequences(offsets_of([2, 2, 2]), steps, {}, "rides")
    assert groups_of(data, ["rider"], HALVES).tolist() == [0, 1, 1]
    with pytest.raises(DataError, match=r"group 'rider' changes within sequence 0\. Name it as the key too"):
        groups_of(Sequences(offsets_of([3, 3]), steps, {}, "rides"), ["rider"], HALVES)


def test_a_group_in_training_and_validation_data_is_refused():
    refuse_shared(spoken(["a", "b"]), spoken(["c"]), ["speaker"])
    with pytest.raises(OptionError, match="'b' is in the training data and in the validation data"):
        refuse_shared(spoken(["a", "b"]), spoken(["b", "c"]), ["speaker"])


def test_what_looks_like_a_group_is_named_unless_it_is_used():
    data = spoken(["a", "b"] * 4)
    assert likely_groups(data, []).startswith("'speaker' looks like a group")
    assert likely_groups(data, ["speaker"]) == ""
    assert likely_groups(spoken([f"s{n}" for n in range(8)]), []) == ""  # different in each


def test_a_part_of_file_names_that_looks_like_a_group_is_named():
    files = [f"{digit}_{speaker}_{take}.wav" for digit in range(3) for speaker in ("ann", "bob") for take in range(3)]
    static = {"file": text_column("file", files), "label": category_column("label", [f[0] for f in files])}
    data = Sequences(offsets_of([1] * 18), {}, static, "digits")
    found = likely_groups(data, ["label"])
    assert "(ann, bob) looks like a group" in found
    assert "--label-from '{label}_{group}_{field2}' --group group" in found
    plain = {"file": text_column("file", [f"{n}_{n}.wav" for n in range(18)])}
    assert likely_groups(Sequences(offsets_of([1] * 18), {}, plain, "digits"), []) == ""
