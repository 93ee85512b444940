from collections import Counter

import numpy as np
import pytest

from gatewise.data.readers.labelled_text import read_labelled_text


@pytest.fixture
def read(tmp_path):
    def write_and_read(text, **options):
        (tmp_path / "a.txt").write_text(text)
        return read_labelled_text(tmp_path / "a.txt", **options)

    return write_and_read


def pairs(sequences):
    return list(zip(sequences.static["label"].strings(), sequences.static["text"].strings(), strict=True))


def test_label_space_text(read):
    sequences = read("10 a  b\n\n9 c\td\n")
    assert pairs(sequences) == [("10", "a  b"), ("9", "c\td")]
    assert sequences.static["label"].levels == ("9", "10")
    assert (len(sequences), sequences.lengths.tolist()) == (2, [0, 0])


def test_label_tab_text(read):
    assert pairs(read("New York\ta b\nParis\tc\n")) == [("New York", "a b"), ("Paris", "c")]
    assert pairs(read("a|b c\nd|e\n", separator="|")) == [("a", "b c"), ("d", "e")]


def test_one_label_of_fasttext(read):
    assert pairs(read("__label__up go up\n__label__down\tno\n".replace("\t", " "))) == [("up", "go up"), ("down", "no")]


def test_several_labels_of_fasttext(read):
    sequences = read("__label__b  __label__a x y\n__label__c __label\n__label__b z\n")
    label = sequences.static["label"]
    assert (label.kind, label.levels) == ("number", ("a", "b", "c"))
    np.testing.assert_array_equal(label.values, [[1, 1, 0], [0, 0, 1], [0, 1, 0]])
    assert sequences.static["text"].strings() == ["x y", "__label", "z"]


@pytest.mark.parametrize(
    ("file", "encoding", "counts"),
    [
        ("sst2/stsa.binary.train.gz", "utf-8", {"0": 3310, "1": 3610}),
        ("sst2/stsa.binary.dev.gz", "utf-8", {"0": 428, "1": 444}),
        ("sst2/stsa.binary.test.gz", "utf-8", {"0": 912, "1": 909}),
        ("mr/rt-polarity.all.gz", "latin-1", {"0": 5331, "1": 5331}),
        # Li & Roth (2002): description, entity, abbreviation, human, location, number
        ("trec/TREC.train.all.gz", "latin-1", {"0": 1162, "1": 1250, "2": 86, "3": 1223, "4": 835, "5": 896}),
        ("trec/TREC.test.all.gz", "latin-1", {"0": 138, "1": 94, "2": 9, "3": 65, "4": 81, "5": 113}),
    ],
)
def test_published_counts(shared, file, encoding, counts):
    found = Counter(read_labelled_text(shared / file, encoding=encoding).static["label"].strings())
    assert found == counts
