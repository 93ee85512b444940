from collections import Counter

import numpy as np
import pytest

from gatewise.data import sources
from gatewise.data.readers.labelled_text import read_labelled_text, read_text_folder
from gatewise.data.sources import Roles
from gatewise.errors import DataError
from gatewise.tasks import Classifier


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


def test_lines_of_new_data_need_no_labels(read):
    """Of a model that knows its labels. Now and then a text begins with the name of one."""
    known = ["good", "bad"]
    for text in ("very good\ngood grief\nwell\n", "a\tb\nc d\ngood\te\n"):
        sequences = read(text, known=known)
        assert sequences.static["text"].strings() == text.splitlines()
        assert sequences.static.keys() == {"text"}
    assert pairs(read("good a b\nbad c\nodd d\n", known=known)) == [("good", "a b"), ("bad", "c"), ("odd", "d")]


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


def test_a_folder_of_texts_has_its_labels_in_folders_or_names(tmp_path):
    for name, text in (("pos/1_9.txt", "so warm\n"), ("pos/2_8.TXT", "fine"), ("neg/1_2.txt", "cold\nand dull")):
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / name).write_text(text)
    (tmp_path / "a" / "README.md").write_text("not a review")
    found = sources.read(str(tmp_path / "a"), roles=Roles(lines="labels"))
    assert found.static["text"].strings() == ["cold\nand dull", "so warm", "fine"]
    assert found.static["label"].strings() == ["neg", "pos", "pos"]
    stars = sources.read(str(tmp_path / "a"), roles=Roles(lines="labels", label_from="{n}_{label}"))
    assert stars.static["label"].strings() == ["2", "9", "8"]
    for name in ("ham_1.txt", "spam_1.txt", "spam_2.txt"):
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / name).write_text(name)
    found = read_text_folder(tmp_path / "b")
    assert found.static["label"].strings() == ["ham", "spam", "spam"]


def test_a_folder_of_texts_is_learned_and_read_again(tmp_path):
    for number in range(20):
        for label, word in (("pos", "lovely"), ("neg", "dreadful")):
            path = tmp_path / "reviews" / label / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"a {word} film of {number} hours")
    tiny = {"hidden_size": 8, "num_layers": 1, "ensemble": 1, "epochs": 15, "learning_rate": 0.03, "seed": 1}
    classifier = Classifier(**tiny).fit(str(tmp_path / "reviews"))
    assert classifier.classes_.tolist() == ["neg", "pos"]
    assert classifier.predict(str(tmp_path / "reviews")).tolist() == ["neg"] * 20 + ["pos"] * 20
    again = classifier.evaluate(str(tmp_path / "reviews"))  # split as it was then
    assert again["test"]["log_loss"] == pytest.approx(classifier.metrics_["test"]["log_loss"], abs=1e-6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a_1.txt": "x", "b.txt": "y"}, "no _ to end its label"),
        ({"a/1.txt": "x", "b/1.txt": ""}, "is empty"),
        ({"a/1.txt": "x", "b/1.txt": b"\xff\xfea"}, "is not utf-8"),
    ],
)
def test_what_is_wrong_in_a_folder_of_texts_is_named(files, message, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_text_folder(tmp_path)


SERIES = [(1, [0.5, -1.25, 3.0]), (2, [1.0, 2.0]), (1, [-0.125])]
WRITTEN = {
    "columns": lambda label, values: f"  {label:.7e}  " + "  ".join(f"{v:.7e}" for v in values),
    "spaces": lambda label, values: f"{label} " + " ".join(map(str, values)),
    "tabs": lambda label, values: f"{label}\t" + "\t".join(map(str, values)),
    "commas": lambda label, values: f"{label}," + ",".join(map(str, values)),
    "commas-spaces": lambda label, values: f"{label}, " + ", ".join(map(str, values)),
    "semicolons": lambda label, values: f"{label};" + ";".join(str(v).replace(".", ",") for v in values),
    "decimal-commas": lambda label, values: f"{label} " + " ".join(str(v).replace(".", ",") for v in values),
    "padded": lambda label, values: f"{label}\t" + "\t".join(map(str, [*values, *["NaN"] * (3 - len(values))])),
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("name", ["ucr_TRAIN.txt", "ucr_TRAIN", "ucr.tsv"])
def test_lines_of_numbers_are_series(tmp_path, form, name):
    path = tmp_path / name
    path.write_text("\n".join(WRITTEN[form](*row) for row in SERIES) + "\n")
    found = sources.read(path, roles=Roles(lines="labels"))
    assert found.lengths.tolist() == [3, 2, 1]
    assert found.steps["channels"].values.tolist() == [[v] for _, values in SERIES for v in values]
    assert found.static["label"].strings() == ["1", "2", "1"]


def test_series_with_gaps_and_with_numbers_for_targets(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("1.5 1 NaN 3\n-2 4 5 6\n")
    found = read_labelled_text(path)
    assert np.array_equal(found.steps["channels"].values[:, 0], [1, np.nan, 3, 4, 5, 6], equal_nan=True)
    assert found.static["label"].values.tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n1 2 ?\n2 3 4\n", "line 2: '1 2 \\?' is not a label and numbers, as most lines are"),
        ("1 2 3\n1 NaN NaN\n", "line 2: no value after the label"),
        ("1 2 3\nNaN 2 4\n", "line 2: no label"),
    ],
)
def test_series_that_are_broken(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labelled_text(tmp_path / "a.txt")


@pytest.mark.parametrize("text", ["1 to 3\n2 or 4\n", "good 1 2\nbad 3 4\n", "1 2 3\n0 so\n2 what\n"])
def test_texts_may_hold_numbers(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert read_labelled_text(tmp_path / "a.txt").static["text"].strings() == [
        line.partition(" ")[2] for line in text.splitlines()
    ]


def test_lines_of_a_token_and_its_label_are_no_labelled_texts(read):
    tokens = [f"{word} O" for word in ["the", "a", "of", "to", "and", "in", "he", "she", "it", "was"]] * 30
    rare = [f"word{n} B-PER" for n in range(40)]  # few of the lines, but most of the words
    with pytest.raises(DataError, match=r"40 of 340 lines open with a label that no other line has.*the task tag"):
        read("\n".join(tokens + rare))
