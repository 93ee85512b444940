"""What a CSV file's separators, headers, numbers and times are taken for, by files that people really have."""

import datetime
import gzip
import os
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pytest

from gatewise.data.tables._numbers import spellings
from gatewise.data.tables._sniffing import looks_like_header, separator_of
from gatewise.data.tables.schema import CSVFormat, Spelling
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError, OptionError


def table_of(tmp_path, text, name="t.csv", encoding="utf-8", **options):
    path = tmp_path / name
    path.write_text(text, encoding=encoding, newline="")
    return open_table(path, **options)


def columns_of(tmp_path, text, **options):
    """Values of the columns that are learned from, by name."""
    with table_of(tmp_path, text, **options) as table:
        found = sequences(table)
    return {name: column.strings() if column.kind in ("category", "text") else column.values.tolist()
            for name, column in found.steps.items()}  # fmt: skip


@pytest.mark.parametrize(
    ("head", "separator"),
    [
        ("a,b\n1,2\n", ","),
        ("Datum;Umsatz\n01.01.2021;12,5\n02.01.2021;13,5\n", ";"),
        ("01.01.2021;12,5\n02.01.2021;13,5\n", ";"),  # as many commas, and no header to tell
        ("tag;a;b;c\n1;0,5;1,5;2,5\n2;1,5;2,5;3,5\n", ";"),
        ("text\tmood\nwell, I think\tgood\nno, never\tbad\n", "\t"),
        ('name,remark\na,"x; y; z"\nb,"p; q; r"\n', ","),
        ("a|b\n1|2,5\n3|4,5\n", "|"),
        ("one\n1\n2\n", ","),
        ("a;b,c\nx;y,1\nz,2\n", ","),  # where all lines agree
        ("a,b\n1,2\n1,2,3\n3,4\n", ","),
    ],
)
def test_separators(head, separator):
    assert separator_of(head) == separator


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (["", "date", "sold"], True),
        (["date", "sold", ""], True),
        (["country", "2019", "2020"], True),
        (["", "0", "1"], True),
        (["date", "NA", "K"], True),
        (["date", "12", "17"], True),
        (["2021-01-01", "NA", "3"], False),
        (["2021-01-01", "7", "8"], False),
    ],
)
def test_headers_over_days_and_numbers(lines, header):
    first = {"": "0", "date": "2021-01-02", "country": "fr"}.get(lines[0], "2021-01-02")
    below = [[first, *(f"{row}.{index}" for index in range(1, len(lines)))] for row in range(5)]
    if lines[1] == "date":
        below = [[str(row), f"2021-01-0{row + 1}", "5.5"] for row in range(5)]
    if lines[2] == "":
        below = [[f"2021-01-0{row + 1}", "5.5", ""] for row in range(5)]
    assert looks_like_header([lines, *below]) == header


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([["text", "label"], ["so good", "pos"], ["so bad", "neg"]], True),
        (
            [["I love it", "pos"], ["so bad", "neg"], ["so good", "pos"], ["fine", "pos"]],
            False,
        ),  # a value that comes again
        ([["1", "2"], ["3", "4"]], False),
        ([["1", "x"], ["2", "y"]], False),
        ([["text"]], True),
        (
            [["a", "500", "501"], ["b", "1", "2"], ["c", "3", "4"]],
            False,
        ),  # numbers that count, but neither years nor 0, 1
        ([["name", "kind"], ["name", "first"], ["value", "second"]], True),  # a value that is called like its column
        ([["2021", "mood"], ["2020-08-18", "good"], ["2020-08-19", "bad"]], True),  # no time over times
    ],
)
def test_headers_over_words(rows, header):
    assert looks_like_header(rows) == header


def test_what_data_frames_write(tmp_path):
    """An index without a name counts the rows, and is not learned from; one of dates is."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"sold": [1.5, 2.5, 3.5], "2020": [1, 2, 3]})
    with table_of(tmp_path, frame.to_csv()) as table:
        assert (table.usable, table.row_numbers, table.rows) == (["sold", "2020"], "column1", 3)
    frame.index = pd.to_datetime(["2021-01-01", "2021-01-02", "2021-01-03"])
    with table_of(tmp_path, frame.to_csv()) as table:
        assert table.kinds == {"column1": "time", "sold": "number", "2020": "number"}


def test_separators_behind_rows_and_numbers_before_them(tmp_path):
    assert columns_of(tmp_path, "a,b,\n1,x,\n2,y,\n3,x,\n") == {"a": [1, 2, 3], "b": ["x", "y", "x"]}
    assert columns_of(tmp_path, "a,b\n1,x,\n2,y,\n3,x,\n") == {"a": [1, 2, 3], "b": ["x", "y", "x"]}
    assert columns_of(tmp_path, '"a","b"\n"1",5,"x"\n"2",6,"y"\n"3",7,"x"\n') == {"a": [5, 6, 7], "b": ["x", "y", "x"]}


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (["1,5", "12,25", "-3"], [1.5, 12.25, -3]),
        (["1.234,50", "7,00", "12.000"], [1234.5, 7, 12000]),
        (['"1,234.50"', "7.25", '"12,000"'], [1234.5, 7.25, 12000]),
        (["1 234,5", "2 000,0", "7,5"], [1234.5, 2000, 7.5]),
        (["1\u202f234,5", "12\u00a0000,5", "7,5"], [1234.5, 12000.5, 7.5]),
        (["1'234.5", "12'000.5", "7.5"], [1234.5, 12000.5, 7.5]),
        (["$1.50", "$20.00", "-$3.25"], [1.5, 20, -3.25]),
        (["12 €", "1,5 €", "1.000 €"], [12, 1.5, 1000]),
        (["5%", "12.5%", "100 %"], [5, 12.5, 100]),
        (["\u22125", "7.5", "\u22120.5"], [-5, 7.5, -0.5]),
        (["(1,5)", "2,5", "(3)"], [-1.5, 2.5, -3]),
        (["1e-3", "2.5E+2", ".5"], [0.001, 250, 0.5]),
    ],
)
def test_spellings_of_numbers(tmp_path, values, read):
    rows = "".join(f"{value};x\n" for value in values)
    found = columns_of(tmp_path, f"n;w\n{rows}", csv=CSVFormat(separator=";"))
    np.testing.assert_allclose(found["n"], read, rtol=1e-6)


def test_dots_between_thousands_are_seen_by_smaller_numbers(tmp_path):
    """1.234 has decimals where every number has, and the file proves nothing else."""
    assert columns_of(tmp_path, "n;w\n1.234;a\n900;b\n12.250;a\n")["n"] == [1234, 900, 12250]
    np.testing.assert_allclose(columns_of(tmp_path, "n;w\n1.234;a\n0.900;b\n12.250;a\n")["n"], [1.234, 0.9, 12.25])
    np.testing.assert_allclose(columns_of(tmp_path, "n;w\n1.234;a\n7.900;b\n12.250;a\n")["n"], [1.234, 7.9, 12.25])
    assert columns_of(tmp_path, "n;w\n1.234;a\n900;b\n7.5;a\n")["n"] == pytest.approx([1.234, 900, 7.5])
    assert columns_of(tmp_path, "n;w\n1.234;a\n0.900;b\n900;a\n")["n"] == pytest.approx([1.234, 0.9, 900])
    proven = columns_of(tmp_path, "n;m\n1.234;0,5\n7.900;1,5\n12.250;2,5\n")
    assert proven == {"n": [1234, 7900, 12250], "m": [0.5, 1.5, 2.5]}


def test_a_comma_that_may_be_either_is_asked_for(tmp_path):
    assert columns_of(tmp_path, 'n,w\n"1,234",x\n"5,678",y\n')["n"] == [1234, 5678]  # between commas, it cannot be
    text = "n\tw\n1,234\tx\n5,678\ty\n"
    with table_of(tmp_path, text) as table, pytest.raises(DataError, match=r"'1,234' is a number .* --decimal"):
        sequences(table)
    assert columns_of(tmp_path, text, csv=CSVFormat(decimal=","))["n"] == pytest.approx([1.234, 5.678])
    assert columns_of(tmp_path, text, csv=CSVFormat(decimal="."))["n"] == [1234, 5678]


def test_most_columns_decide_what_a_comma_is(tmp_path):
    found = columns_of(tmp_path, "a\tb\tc\td\n1,5\t2,5\t1,234.50\t1,234\n2,5\t3,25\t2,345.50\t5,678\n")
    assert found["d"] == pytest.approx([1.234, 5.678])
    assert found["c"] == [1234.5, 2345.5]  # which can be read in one way only
    assert spellings(["a", "b", "c", "1,5"]) == []


def test_numbers_in_two_spellings_are_not_words(tmp_path):
    rows = "".join(f'"{index},5"\n' if index % 2 else f"{index}.5\n" for index in range(20))
    with table_of(tmp_path, "n\n" + rows) as table, pytest.raises(DataError, match=r"not written as the others"):
        sequences(table)


@pytest.mark.parametrize("values", [["1_000", "2_000", "1000"], ["12 kg", "3 kg", "5 kg"], ["10.0.0.1", "10.0.0.2"]])
def test_what_is_no_number_stays_as_it_is(tmp_path, values):
    assert columns_of(tmp_path, "n;m\n" + "".join(f"{value};1\n" for value in values))["n"] == values


@pytest.mark.parametrize(
    "spelling", [Spelling(",", ""), Spelling(".", ","), Spelling(",", "."), Spelling(",", " "), Spelling(".", "'", "$")]
)
def test_a_spelling_is_among_those_found(spelling):
    text = f"1{spelling.thousands or ''}234{spelling.decimal}5"
    values = [f"{text}{spelling.symbol}", f"{text}0{spelling.symbol}"]
    assert spelling in spellings(values)


@pytest.mark.parametrize("name", ["None", "NA", "?", "null", "nan"])
def test_words_that_elsewhere_mean_missing(tmp_path, name):
    """Among words they are words; among numbers and times they are missing."""
    found = columns_of(tmp_path, f"w,n,t\nyes,1,2021-01-01\n{name},{name},{name}\nno,3,2021-01-03\n")
    assert found["w"] == ["yes", name, "no"]
    assert np.isnan(found["n"]).tolist() == [False, True, False]
    assert found["n"][0] == 1
    assert found["t"][1] is None


def test_labels_with_decimals_are_numbers(tmp_path):
    with table_of(tmp_path, "a,label\n1,007.5\n2,008.5\n", labels=["label"]) as table:
        assert table.kinds["label"] == "number"


def test_labels_may_be_nothing_but_such_words(tmp_path):
    with table_of(tmp_path, "n,label\n1,None\n2,NA\n3,None\n", labels=["label"]) as table:
        assert sequences(table, static=["label"], rows="sequences").static["label"].strings() == ["None", "NA", "None"]


def test_missing_words_of_ones_own(tmp_path):
    text = "w,n\nyes,1\n-999,-999\nno,NA\n"
    found = columns_of(tmp_path, text, csv=CSVFormat(missing=("-999", "NA")))
    assert found["w"] == ["yes", None, "no"]
    assert np.isnan(found["n"]).tolist() == [False, True, True]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_byte_order_marks(tmp_path, encoding, name):
    body = {
        "t.csv": "a,b\n1,é\n2,x\n",
        "t.jsonl": '{"a": 1, "b": "é"}\n{"a": 2, "b": "x"}\n',
        "t.json": '[{"a": 1, "b": "é"}, {"a": 2, "b": "x"}]',
    }[name]
    assert columns_of(tmp_path, body, name=name, encoding=encoding) == {"a": [1, 2], "b": ["é", "x"]}


DAYS = [datetime.datetime(1999, 10, 1) + datetime.timedelta(days=day, hours=day % 24) for day in range(200)]


@pytest.mark.parametrize(
    "written",
    [
        "%d-%b-%y", "%d-%m-%y %H:%M", "%y-%m-%d", "%y/%m/%d", "%d.%m.%y", "%m/%d/%y", "%d %B %Y", "%b %d, %Y",
        "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y, %I:%M %p", " %Y-%m-%d %H:%M:%S ", '"%Y-%m-%d %H:%M:%S,000"',
        "%Y-%m-%d %I:%M %p", "%Y.%m.%d %H:%M", "%Y%m%d %H:%M", "%d%b%Y", "%d/%m/%Y %H.%M", "%a %b %d %H:%M:%S %Y",
        "%a, %d %b %Y %H:%M:%S +0000", "%a %b %d %H:%M:%S +0000 %Y", "%G-W%V-%u",
    ],
)  # fmt: skip
def test_times_as_they_are_written(tmp_path, written):
    """Years of two digits are 1969 to 2068 in every form."""
    text = "t;x\n" + "".join(f"{moment:{written}};1\n" for moment in DAYS)
    with table_of(tmp_path, text) as table:
        assert table.kinds["t"] == "time"
        found = sequences(table).steps["t"].values
    unit = "M8[m]" if "%M" in written else "M8[D]"
    np.testing.assert_array_equal(found.astype(unit), np.array(DAYS, unit))


def test_weeks(tmp_path):
    mondays = [datetime.date(2020, 12, 28) + datetime.timedelta(weeks=week) for week in range(3)]
    with table_of(tmp_path, "t;x\n" + "".join(f"{day:%G-W%V};1\n" for day in mondays)) as table:
        np.testing.assert_array_equal(sequences(table).steps["t"].values, np.array(mondays, "M8[us]"))


def test_an_hour_24_is_the_next_day(tmp_path):
    with table_of(tmp_path, "t;x\n31.12.2020 23:00;1\n31.12.2020 24:00;2\n01.01.2021 01:00;3\n") as table:
        found = sequences(table).steps["t"].values
    np.testing.assert_array_equal(found, np.array(["2020-12-31T23", "2021-01-01T00", "2021-01-01T01"], "M8[us]"))


def test_days_and_years_that_cannot_be_told_apart_are_no_times(tmp_path):
    with table_of(tmp_path, "t\n01-02-03\n02-03-04\n03-04-05\n") as table:
        assert table.kinds["t"] != "time"
        with pytest.raises(DataError, match="no value tells whether it is written like"):
            sequences(table, time="t")


def test_keys_and_labels_come_back_as_they_were_written(tmp_path):
    text = "plz,code,n\n01067,0101,007\n04109,0202,008\n80331,0101,009\n"
    with table_of(tmp_path, text, labels=["plz", "code"]) as table:
        found = sequences(table, key="plz", static=["code"])
    assert found.static["plz"].levels == ("01067", "04109", "80331")
    assert found.static["code"].strings() == ["0101", "0202", "0101"]
    assert found.steps["n"].values.tolist() == [7, 8, 9]  # among numbers, zeros before say nothing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,sold,sold\n2021-01-01,1,2\n", r"columns 2 and 3 are both named 'sold'\. .* --no-header"),
        ("date,Sold,sold\n2021-01-01,1,2\n", "are both named"),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        table_of(tmp_path, text)
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([[1, 2]], columns=text.partition("\n")[0].split(",")[1:])
    with pytest.raises(DataError, match="are both named"):
        open_table(frame)


def test_frames_that_are_no_tables_yet():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pd.DataFrame({"t": pd.date_range("2021-01-01", periods=3, tz="Asia/Tokyo"), "y": [1.0, 2.0, 3.0]})
    with open_table(frame[::-1]) as table:
        assert sequences(table, time="t").steps["y"].values.tolist() == [1, 2, 3]
    days = pd.period_range("2021-01-01", periods=3, freq="D")
    with open_table(pd.DataFrame({"t": days, "y": [1.0, 2.0, 3.0]})) as table:
        assert table.kinds == {"t": "time", "y": "number"}
    with open_table(pl.DataFrame({"y": [1.0, 2.0]}).lazy()) as table:
        assert table.rows == 2


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ({"separator": ";;"}, "separator is one sign"),
        ({"decimal": "x"}, "decimal is"),
        ({"thousands": "_"}, "thousands is one of"),
        ({"decimal": ",", "thousands": ","}, "at once"),
    ],
)
def test_impossible_formats(format, message):
    with pytest.raises(OptionError, match=message):
        CSVFormat(**format)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_tables_from_pipes(tmp_path, kind):
    """What comes is told by its first bytes."""
    duckdb.sql("SELECT range AS a, 'w' || range % 2 AS b FROM range(3)").write_parquet(str(tmp_path / "t.parquet"))
    text = {"csv": "a;b\n0;w0\n1;w1\n2;w0\n", "jsonl": "".join(f'{{"a": {n}, "b": "w{n % 2}"}}\n' for n in range(3))}
    raw = {
        "csv": text["csv"].encode(),
        "csv.gz": gzip.compress(text["csv"].encode()),
        "jsonl": text["jsonl"].encode(),
        "parquet": (tmp_path / "t.parquet").read_bytes(),
    }[kind]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as writer:
        done = writer.submit(pipe.write_bytes, raw)
        with open_table(pipe) as table:
            assert (table.rows, list(table.columns)) == (3, ["a", "b"])
        done.result()
