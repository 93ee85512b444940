"""Tables that cannot be read: one line each, with file, row and column where they can be known."""

import gzip

import pytest

from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.data.tables.wide import read_wide
from gatewise.errors import DataError, OptionError

duckdb = pytest.importorskip("duckdb")

GOOD = "time,shop,sales\n" + "".join(f"2020-01-{day:02},a,{day}.5\n" for day in range(1, 21))
LINES = "".join(f'{{"time": "2020-01-{day:02}", "sales": {day}}}\n' for day in range(1, 6))


def parquet(folder):
    duckdb.sql("SELECT range AS a FROM range(9999)").write_parquet(str(folder / "good.parquet"))
    return (folder / "good.parquet").read_bytes()


# name, contents, what the message must say
FILES = [
    ("short.csv", GOOD.replace("a,7.5", "a"), r"'.*short.csv', line 8 has 2 cells, but the first line has 3"),
    ("long.csv", GOOD.replace("a,7.5", "a,7.5,1"), r"line 8 has 4 cells, but the first line has 3"),
    ("quote.csv", GOOD.replace("a,7.5", '"a,7.5'), r"line 8 has a quote that is not closed"),
    ("after_quote.csv", GOOD.replace("a,7.5", '"a"b,7.5'), r"line 8 has a quote .* text after a closing one"),
    ("latin.csv", GOOD.replace("a,7.5", "é,7.5").encode("latin-1"), r"line 8 is not utf-8. Pass --encoding"),
    ("nul.csv", GOOD.replace("a,7.5", "a\0,7.5"), r"row 7, column 'shop' holds a NUL byte"),
    ("twice.csv", GOOD.replace("time,shop", "time,sales"), r"columns 2 and 3 are both named 'sales'"),
    ("case.csv", GOOD.replace("time,shop", "time,SALES"), r"columns 2 and 3 are both named 'sales'"),
    ("empty.csv", "", r"'.*empty.csv' is empty"),
    ("blank.csv", "\n \n\n", r"is empty"),
    ("header.csv", "time,shop,sales\n", r"has no rows"),
    (
        "word.csv",
        GOOD.replace("a,7.5", "a,many"),
        r"row 7, column 'sales': 'many' is not a number, though 19 of the 20",
    ),
    ("date.csv", GOOD.replace("01-07", "13-07"), r"row 7, column 'time': '2020-13-07' is not a time like 2020-12-31"),
    ("notime.csv", GOOD.replace("2020-01-07", "NA"), r"row 7 has no time. Every row needs its time"),
    ("stamps.csv", GOOD.replace("01-07", "01-06"), r"rows 6 and 7 have the same time 2020-01-06T00:00:00"),
    ("infinite.csv", GOOD.replace("a,7.5", "a,inf"), r"row 7, column 'sales' is inf"),
    ("ends.csv", GOOD.replace("7.5\n", "7.5\r\n"), r"mixes two kinds of line ends"),
    ("cut.csv.gz", gzip.compress(GOOD.encode() * 500)[:-40], r"not a complete gzip file"),
    ("not.csv.gz", GOOD, r"not a complete gzip file"),
    ("not.parquet", "hello, I am no Parquet file", r"not.parquet.*No magic bytes"),
    ("cut.parquet", lambda folder: parquet(folder)[:-100], r"cut.parquet.*No magic bytes"),
    ("holed.parquet", lambda folder: parquet(folder)[:500] + b"x" * 99 + parquet(folder)[599:], r"holed.parquet"),
    (
        "broken.jsonl",
        LINES.replace('"sales": 3}', '"sales": 3'),
        r"line 3, column 34 is not whole JSON: Expecting ',' delimiter",
    ),
    ("array.jsonl", LINES.replace('{"time": "2020-01-03", "sales": 3}', "[3]"), r"row 3: '\[3\]' is not an object"),
    ("mixed.jsonl", LINES.replace('"sales": 3}', '"sales": "x"}'), r"row 3, column 'sales': \"x\" is VARCHAR, but the"),
    ("not.duckdb", GOOD, r"is not a DuckDB file"),
    ("empty.jsonl", "", r"holds no objects"),
    ("good.xls", GOOD, r"does not end in one of .csv"),
]


@pytest.mark.parametrize(("name", "contents", "told"), FILES, ids=[row[0] for row in FILES])
def test_malformed_files(tmp_path, name, contents, told):
    raw = contents(tmp_path) if callable(contents) else contents
    (tmp_path / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    with pytest.raises(DataError, match=told) as caught, open_table(tmp_path / name) as table:
        sequences(table, time="time" if "time" in table.columns else None)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_the_good_ones_are_read(tmp_path):
    for name, contents in (("a.csv", GOOD), ("a.jsonl", LINES)):
        (tmp_path / name).write_text(contents)
        with open_table(tmp_path / name) as table:
            assert len(sequences(table, time="time").steps["sales"]) == table.rows


def test_missing_files_name_what_is_close(tmp_path):
    (tmp_path / "sales.csv").write_text(GOOD)
    with pytest.raises(DataError, match=r"no file named 'sale.csv'. Did you mean 'sales.csv'\?"):
        open_table(tmp_path / "sale.csv")
    with pytest.raises(DataError, match="there is no folder"):
        open_table(tmp_path / "nowhere" / "sales.csv")
    with pytest.raises(DataError, match="is a folder"):
        open_table(tmp_path)


def test_an_encoding_that_is_not_the_files(tmp_path):
    (tmp_path / "a.csv").write_bytes("a,b\n1,é\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not gb18030: .* Pass --encoding"):
        open_table(tmp_path / "a.csv", encoding="gb18030")
    with pytest.raises(DataError, match=r"no text encoding named 'utf-9'. Did you mean 'utf-8'"):
        open_table(tmp_path / "a.csv", encoding="utf-9")


def test_columns_spoiled_by_a_few_cells_can_be_left_out_or_taken_as_text(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD.replace("a,7.5", "a,many"))
    with open_table(tmp_path / "a.csv") as table:
        assert list(sequences(table, time="time", columns=["shop"]).steps) == ["time", "shop"]
        assert "'many'" in table.spoiled("sales")
        advice = table.spoiled("sales").partition('--query "')[2].removesuffix('"')
    with open_table(tmp_path / "a.csv", advice) as table:
        assert sequences(table, time="time").steps["sales"].strings()[6] == "many"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"key": "shp"}, "no column named 'shp'. Did you mean 'shop'"),
        ({"time": "shop"}, "column 'shop' holds 'a', which is not a time"),
        ({"time": "sales", "columns": ["sales"]}, "named twice"),
        ({"static": ["sales"], "key": "shop"}, "column 'sales' changes within series 'a' at row 2"),
        ({"duplicates": "any"}, "no rule for duplicates named 'any'"),
        ({"rows": "rows", "time": None}, "no reading of rows as named 'rows'"),
        ({"rows": "sequences", "time": "time"}, "neither key nor time"),
        (
            {"time": "time", "zone": "Europe/Berlinn"},
            "no time zone named 'Europe/Berlinn'. Did you mean 'Europe/Berlin'",
        ),
    ],
)
def test_wrong_options(tmp_path, options, told):
    (tmp_path / "a.csv").write_text(GOOD)
    with open_table(tmp_path / "a.csv") as table, pytest.raises((DataError, OptionError), match=told) as caught:
        sequences(table, **options)
    assert "\n" not in str(caught.value)


WIDE = "id,v1,v2,v3\na,1,2,3\nb,4\nc,5,NA,7\n"


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        (WIDE.replace("5,NA", "5,x"), "line 4, column 3: 'x' is not a number"),
        (WIDE.replace("5,NA", "5,inf"), "line 4, column 3 is infinite"),
        (WIDE.replace("b,4", "a,4"), "line 3: a series 'a' is on line 2 already"),
        (WIDE.replace("b,4", "b,NA,"), "line 3: the series 'b' has no values"),
        (WIDE.replace("b,4", 'b,"4'), "line 4: unexpected end of data"),
        ("id,v\n", "holds no series"),
        ("", "holds no series"),
        (WIDE.replace("b,4", "é,4").encode("latin-1"), "is not utf-8"),
    ],
)
def test_malformed_wide_tables(tmp_path, contents, told):
    (tmp_path / "w.csv").write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    with pytest.raises(DataError, match=told) as caught:
        read_wide(tmp_path / "w.csv")
    assert "\n" not in str(caught.value)


def test_wide_tables(tmp_path, shared):
    (tmp_path / "w.csv").write_text(WIDE)
    found = read_wide(tmp_path / "w.csv")
    assert found.lengths.tolist() == [3, 1, 3]
    assert found.static["id"].strings() == ["a", "b", "c"]
    assert str(found.steps["value"].values.tolist()) == "[1.0, 2.0, 3.0, 4.0, 5.0, nan, 7.0]"
    assert found.lines.tolist() == [2, 2, 2, 3, 4, 4, 4]
    train, test = (read_wide(shared / "m4_hourly" / f"Hourly-{part}.csv.gz") for part in ("train", "test"))
    assert (len(train), train.lengths.min(), train.lengths.max(), set(test.lengths)) == (414, 700, 960, {48})
    assert train.static["id"].strings() == test.static["id"].strings() == [f"H{i}" for i in range(1, 415)]
    assert train.steps["value"].values[:4].tolist() == [605, 586, 586, 559]
