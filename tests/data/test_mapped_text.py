"""Texts in a mapped file are those that an array holds."""

import numpy as np
import pytest

from gatewise.data.mapped_text import MappedText
from gatewise.data.sequences import Column
from gatewise.data.sources import Roles, read
from gatewise.data.split import _hashes
from gatewise.data.tables import _spill
from gatewise.tasks import Classifier

TEXTS = ["one", None, "", "zwölf 漢字", "\ud800 alone", None, "last"]


@pytest.fixture
def in_files(monkeypatch):
    monkeypatch.setattr(_spill, "IN_MEMORY", 40)


def sunk(texts, pieces=3):
    spill = _spill.Spill(0)
    sink = spill.sink(object)
    for piece in np.array_split(np.array(texts, object), pieces):
        sink.add(piece)
    return sink.values(), spill


def test_a_part_of_it_is_an_array_of_texts(monkeypatch):
    monkeypatch.setattr(_spill, "IN_MEMORY", 3)
    found, spill = sunk(TEXTS)
    assert isinstance(found, MappedText)
    array = np.array(TEXTS, object)
    assert list(found) == TEXTS
    assert (len(found), found.shape, found.ndim) == (7, (7,), 1)
    for which in (slice(2, 5), slice(None, None, -2), [6, 0, 0], np.array([3, 1]), array == "one", slice(0, 0)):
        np.testing.assert_array_equal(found[which], array[which])
    assert [found[place] for place in (0, 3, -1)] == ["one", "zwölf 漢字", "last"]
    with pytest.raises(IndexError):
        found[7]
    np.testing.assert_array_equal(np.asarray(found), array)
    assert Column("t", "text", found).strings() == TEXTS
    spill.discard()


def test_what_is_short_stays_in_memory(in_files):
    found, _ = sunk(["short"] * 4)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == ["short"] * 4


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    words = np.array(["good", "bad", "tea", "cup", "rain", "sun"])
    texts = [" ".join(rng.choice(words, rng.integers(3, 9))) + f" {n}" for n in range(120)]
    return {"text": texts, "label": ["yes" if "good" in text else "no" for text in texts]}


@pytest.mark.parametrize("per_step", [False, True])
def test_a_table_of_texts_is_read_into_files_that_go_with_it(per_step, table, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    roles = Roles(target=("label",), per_step=per_step)
    held = read(table, roles=roles)
    monkeypatch.setattr(_spill, "IN_MEMORY", 40)
    found = read(table, roles=roles)
    values = found.column("text").values
    assert isinstance(values, MappedText)
    assert list(values) == table["text"]
    assert found.fingerprint() == held.fingerprint()
    some = found.take([5, 2] if not per_step else [0])
    assert some.column("text").strings()[:2] == (
        [table["text"][5], table["text"][2]] if not per_step else held.column("text").strings()[:2]
    )
    assert any(tmp_path.iterdir())
    del found, values, some
    assert not any(tmp_path.iterdir())


def test_equal_texts_have_equal_hashes(monkeypatch):
    monkeypatch.setattr(_spill, "IN_MEMORY", 3)
    texts = ["same text", "other", None, "same text", "", None]
    found, spill = sunk(texts)
    hashes = _hashes(Column("t", "text", found)).tolist()
    assert hashes == _hashes(Column("t", "text", np.array(texts, object))).tolist() == [0, 1, 2, 0, 3, 2]
    spill.discard()


def test_a_classifier_learns_the_same_from_texts_in_files(table, monkeypatch):
    options = {"target": "label", "hidden_size": 4, "epochs": 0.2, "seed": 1}
    held = Classifier(**options).fit(table)
    monkeypatch.setattr(_spill, "IN_MEMORY", 40)
    found = Classifier(**options).fit(table)
    assert held.metrics_ == found.metrics_
    np.testing.assert_array_equal(found.predict_proba(table), held.predict_proba(table))
