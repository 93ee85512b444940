"""Sequences that are equal are in one part."""

import numpy as np
import pytest

from gatewise.data.readers.arrays import from_arrays
from gatewise.data.sequences import Column, Sequences
from gatewise.data.split import equal_sequences, equal_together, shuffled_split
from gatewise.tasks.tag.split import split_sequences


def test_equal_sequences_are_recognised_by_every_column_that_counts():
    number = Column("x", "number", np.array([1, 2, 1, 2, 2, 1, 1, 2, np.nan], np.float32))
    token = Column("token", "text", np.array(["a", "b", "a", "b", "a", "b", "a", "c", "a"], object))
    data = Sequences(np.array([0, 2, 4, 6, 8, 9, 9]), {"x": number, "token": token})
    a, same, order, word, short, empty = equal_sequences(data)
    assert a == same
    assert len({a, order, word, short, empty}) == 5
    a, same, order, word, *_ = equal_sequences(data, {"token"})
    assert a == same == word != order


def test_a_part_takes_all_that_is_equal():
    same = np.array([0, 1, 0, 2, 0, 1])
    parts = {"train": np.array([0, 2, 3]), "validation": np.array([1, 4]), "test": np.array([5])}
    found = equal_together(parts, same)
    assert {name: own.tolist() for name, own in found.items()} == {
        "train": [0, 2, 3, 4],
        "validation": [1, 5],
        "test": [],
    }
    alone = shuffled_split(50, (0.8, 0.1, 0.1), 3)  # nothing changes where nothing is equal
    for name, own in equal_together(alone, np.arange(50)).items():
        assert (own == alone[name]).all()


@pytest.mark.parametrize("seed", range(3))
def test_no_sentence_is_in_two_parts_of_a_tagger(seed):
    """Even with other labels; a model of before looks for none."""
    tokens = [[f"w{i % 40}", "is", "here"] * 30 for i in range(200)]
    labels = [["a", "b", "a" if i % 2 else "b"] * 30 for i in range(200)]
    data = from_arrays(tokens, labels, per_step=True)
    parts = split_sequences(data, (0.8, 0.1, 0.1), seed, (), {"label"})
    words = [{*part.steps["token"].strings()} - {"is", "here"} for part in parts.values()]
    assert sum(map(len, words)) == len(set.union(*words)) == 40
    before = split_sequences(data, (0.8, 0.1, 0.1), seed)
    assert sum(len({*part.steps["token"].strings()}) for part in before.values()) > 46
