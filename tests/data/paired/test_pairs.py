"""Pairs of texts from wherever they live, and what is said of those that do not fit."""

import gzip
import json

import pytest

from gatewise.data.paired.pairs import Pairs, read_pairs
from gatewise.errors import DataError, OptionError

EN, DE = "a dog\na cat \n\n", "ein Hund\r\neine Katze\r\n"
WANTED = Pairs(["a dog", "a cat"], ["ein Hund", "eine Katze"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.en").write_text(EN)
    with gzip.open("t.de.gz", "wt") as file:
        file.write(DE)
    (tmp_path / "pairs.txt").write_text("a dog\tein Hund\na cat\teine Katze\n")
    (tmp_path / "pairs.tsv").write_text("a dog\tein Hund\na cat\teine Katze\n")
    (tmp_path / "named.tsv").write_text("de\ten\nein Hund\ta dog\neine Katze\ta cat\n")
    (tmp_path / "table.csv").write_text("id,en,de\n1,a dog,ein Hund\n2,a cat,eine Katze\n")
    (tmp_path / "untranslated.csv").write_text("en,de\na dog,\na cat,\n")
    (tmp_path / "t.txt").write_text(EN)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (("t.en", "t.de.gz"), {}),
        ("t.en,t.de.gz", {}),
        ("t.en, t.de.gz", {}),
        ((WANTED.sources, WANTED.targets), {}),
        ("table.csv", {"query": "SELECT de, en FROM data", "target": "de"}),
        ("pairs.txt", {}),
        ("pairs.tsv", {}),
        ("named.tsv", {"source": "en", "target": "de"}),
        ("table.csv", {"source": "en", "target": "de"}),
        ("table.csv", {"query": "SELECT en, de FROM data"}),
        ({"en": WANTED.sources, "de": WANTED.targets}, {}),
        (WANTED, {}),
        (WANTED.sources, {"y": WANTED.targets}),
    ],
    ids=str,
)
def test_all_ways_give_the_same_pairs(folder, data, options):
    found = read_pairs(data, **options)
    assert (found.sources, found.targets) == (WANTED.sources, WANTED.targets)
    assert found.fingerprint() == WANTED.fingerprint()


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("t.en", {}),
        ("pairs.txt", {}),
        ("table.csv", {"source": "en", "target": "de"}),
        ({"en": WANTED.sources}, {"source": "en", "target": "de"}),
        (WANTED.sources, {}),
        ("untranslated.csv", {"source": "en", "target": "de"}),
        ("untranslated.csv", {}),
        ("untranslated.csv", {"target": "de"}),
        ("t.en", {"source": "en", "target": "de"}),
        ("t.txt", {"source": "en", "target": "de"}),
        ("named.tsv", {"source": "en", "target": "de"}),
        ("named.tsv", {"target": "de"}),
    ],
    ids=str,
)
def test_sources_alone_are_enough_to_translate(folder, data, options):
    assert read_pairs(data, **options, with_targets=False).sources == WANTED.sources


CREDIT = "CC-BY 2.0 (France) Attribution: tatoeba.org #2877272 (CM) & #4320455 (arh)"
FURTHER = {
    "credits": ("{0}\t{1}\t" + CREDIT, {}),
    "numbers": ("1276\t{0}\t77\t{1}", {}),
    "ends": ("{0}\t{1}\t", {}),
    "named": ("eng\t{1}\t{0}\tnote", {"source": "3", "target": "2"}),
    "one-named": ("{1}\t{0}\t17", {"source": "2"}),
    "turned": ("{1}\t{0}", {"source": "2", "target": "1"}),
}


@pytest.mark.parametrize("form", FURTHER)
@pytest.mark.parametrize("name", ["t.txt", "t.tsv", "t"])
def test_lines_with_further_columns(folder, form, name):
    line, options = FURTHER[form]
    pairs = [("a dog", "un perro"), ("a cat", "un gato"), ("a dog", "el perro")]
    (folder / name).write_text("".join(line.format(*pair) + "\n" for pair in pairs))
    found = read_pairs(name, **options)
    assert [*zip(found.sources, found.targets, strict=True)] == pairs
    assert read_pairs(name, **options, with_targets=False).sources == [source for source, _ in pairs]


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("a dog\n\na cat\n \u3000\nno\n", ["a dog", "", "a cat", "", "no"]),
        ("\na dog\n", ["", "a dog"]),
        ("a\tdog\n\na cat\n", ["a dog", "", "a cat"]),
        ("a dog\na\tbig\tcat\n", ["a dog", "a big cat"]),
        ("a dog\tun perro\n\t\na cat\tun gato\n", ["a dog", "", "a cat"]),
    ],
)
def test_what_is_to_be_translated_may_be_blank_and_hold_tabs(folder, text, sources):
    (folder / "t.txt").write_text(text)
    assert read_pairs("t.txt", with_targets=False).sources == sources
    assert read_pairs(sources, with_targets=False).sources == sources
    assert read_pairs({"text": sources}, with_targets=False).sources == sources
    with pytest.raises(DataError):
        read_pairs("t.txt")


def test_columns_are_text_whatever_they_hold(folder):
    (folder / "dates.csv").write_text("said,date,number\nthe 1st of May,2024-05-01,7\nJune the 2nd,2024-06-02,8\n")
    assert read_pairs("dates.csv").targets == ["2024-05-01", "2024-06-02"]
    assert read_pairs("dates.csv", source="said", target="number").targets == ["7", "8"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_texts_are_those_in_the_file(folder, suffix):
    """A reader of numbers and times would make 2020-04-05, 7.0, 1.1 and nothing of these."""
    texts = {
        "date": ["05-04-2020", "13-12-2021"],
        "code": ["007", "1e3"],
        "version": ["1.10", "1.20"],
        "place": ["NA", "null"],
    }
    if suffix == "jsonl":
        rows = [json.dumps(dict(zip(texts, row, strict=True))) for row in zip(*texts.values(), strict=True)]
    else:
        between = "," if suffix == "csv" else "\t"
        rows = [between.join(row) for row in [texts.keys(), *zip(*texts.values(), strict=True)]]
    (folder / f"odd.{suffix}").write_text("\n".join(rows))
    for name, wanted in texts.items():
        assert read_pairs(f"odd.{suffix}", source=name, with_targets=False).sources == wanted
    assert read_pairs(f"odd.{suffix}", query="SELECT code, version FROM data").sources == texts["code"]


def test_other_pairs_have_another_fingerprint():
    assert Pairs(["a", "b"], ["c"] * 2).fingerprint() != Pairs(["a"], ["b", "c", "c"]).fingerprint()
    assert WANTED.take([1]) == Pairs(["a cat"], ["eine Katze"])


@pytest.mark.parametrize(
    ("files", "data", "options", "message"),
    [
        ({"x": "a\nb\n", "y": "c\n"}, ("x", "y"), {}, "'x' has 2 lines, but 'y' has 1"),
        ({"x": "a\n\nb\n", "y": "c\nd\ne\n"}, ("x", "y"), {}, "'x', line 2: empty, where 'y' has 'd'"),
        ({"x": "a\nb\nb\n", "y": "c\n \ne\n"}, ("x", "y"), {}, "'y', line 2: empty, where 'x' has 'b'"),
        ({"x": "a\n\nb\n", "y": "c\n\ne\n"}, ("x", "y"), {}, "'x', line 2: empty, and so is 'y'"),
        ({"x": "a\n\u3000\nb\n", "y": "c\nd\ne\n"}, ("x", "y"), {}, "'x', line 2: empty, where 'y' has 'd'"),
        ({"x.csv": "a,b\n1,2\n"}, "x.csv", {"source": "a", "target": "a"}, "source and target are both 'a'"),
        ({}, (["a"], "b.txt"), {}, "targets are a list of str, not 'b.txt'"),
        ({"x": "\n\n"}, ("x", "x"), {}, "'x' has only blank lines"),
        ({"x": "a\tb\nc\n"}, "x", {}, "'x', line 2: 'c' is not text, a tab and a text"),
        ({"x": "a\tb\nc\td\te\n"}, "x", {}, "'x', line 2: 2 tabs, where 1 was expected"),
        ({"x": "a\tb\tc\n"}, "x", {}, "'x' has 3 columns between tabs. Name the two that are texts: --source 1"),
        ({"x": "a\tb\t7\n"}, "x", {"target": "4"}, "'x' has 3 columns between tabs, so there is no column 4"),
        ({"x": "a\tb\tCC-BY\nc\t\tCC-BY\n"}, "x", {}, "'x', line 2: 'c\t\tCC-BY' is not text, a tab and a text"),
        ({"x": "a\n"}, ("x", "none"), {}, "no file or folder named 'none'"),
        ({"x": "a\n"}, ("x", "x"), {"source": "a"}, "source='a' is for tables, not for two files"),
        ({"x": "a\n"}, ("x", "x", "x"), {}, "from one file or from two, not from 3"),
        ({"x.csv": "a,b\n1,2\n"}, "x.csv", {"source": "c"}, "no column named 'c'"),
        ({"x.csv": "a\n1\n"}, "x.csv", {}, "has one column, 'a', but pairs are in two"),
        ({"x.csv": "a,b\nu,v\nw,\n"}, "x.csv", {}, "row 2: column 'b' has no text"),
        ({}, ["a", ""], {"y": ["b", "c"]}, r"texts\[1\] is ''"),
        ({}, ["a", "b"], {"y": ["b", 3]}, r"targets\[1\] is 3"),
        ({}, ["a", "b"], {"y": "bc"}, "targets are a list of str"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said(folder, files, data, options, message):
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises((DataError, OptionError), match=message):
        read_pairs(data, **options)
