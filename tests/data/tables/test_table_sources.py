"""The same table from everywhere gives the same sequences."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from gatewise.data.tables.schema import CSVFormat
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError, GatewiseError, OptionTypeError

duckdb = pytest.importorskip("duckdb")

ROWS = [
    ("b", "2020-01-02 00:00:00", 1.5, "wet"),
    ("a", "2020-01-02 00:00:00", 2.5, None),
    ("b", "2020-01-01 00:00:00", None, "dry"),
    ("a", "2020-01-01 00:00:00", 4.0, "wet"),
    ("a", "2020-01-03 00:00:00", -5.25, "dry"),
]
NAMES = ("shop", "time", "sales", "sky")
COLUMNS = {name: [row[index] for row in ROWS] for index, name in enumerate(NAMES)}
CSV = "\n".join([",".join(NAMES), *(",".join("" if v is None else str(v) for v in row) for row in ROWS)]) + "\n"


def typed():
    return COLUMNS | {"time": [np.datetime64(text) for text in COLUMNS["time"]]}


def csv_file(folder):
    (folder / "t.csv").write_text(CSV)
    return folder / "t.csv"


def packed(folder):
    (folder / "t.csv.gz").write_bytes(gzip.compress(CSV.replace("\n", "\r\n").encode()))
    return folder / "t.csv.gz"


def tabs(folder):
    (folder / "t.tsv").write_text(CSV.replace(",", "\t"))
    return str(folder / "t.tsv")


def semicolons(folder):
    (folder / "t.txt").write_text(CSV.replace(",", ";"))
    return str(folder / "t.txt")


def lines(folder):
    (folder / "t.jsonl").write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS))
    return folder / "t.jsonl"


def array_of_json(folder):
    (folder / "t.json").write_text(json.dumps([dict(zip(NAMES, row, strict=True)) for row in ROWS], indent=1))
    return folder / "t.json"


def written(folder, statement):
    with duckdb.connect(str(folder / "t.duckdb")) as con:
        values = ", ".join("(" + ", ".join("NULL" if v is None else repr(v) for v in row) + ")" for row in ROWS)
        con.execute("CREATE TABLE t (shop VARCHAR, time TIMESTAMP, sales DOUBLE, sky VARCHAR)")
        con.execute(f"INSERT INTO t VALUES {values}")
        con.execute(statement)


def parquet(folder):
    written(folder, f"COPY t TO '{folder / 't.parquet'}'")
    return folder / "t.parquet"


def database(folder):
    written(folder, "CHECKPOINT")
    return folder / "t.duckdb"


def pandas_frame(folder):
    return pytest.importorskip("pandas").DataFrame(typed())


def polars_frame(folder):
    return pytest.importorskip("polars").DataFrame(COLUMNS)


def arrow_table(folder):
    return pytest.importorskip("pyarrow").table(COLUMNS)


def arrow_reader(folder):
    return pytest.importorskip("pyarrow").table(COLUMNS).to_reader()


def relation(folder):
    return duckdb.sql(f"SELECT * FROM read_csv('{csv_file(folder)}')")


SOURCES = [
    csv_file, packed, tabs, semicolons, lines, array_of_json, parquet, database, pandas_frame, polars_frame,
    arrow_table, arrow_reader, relation, lambda folder: COLUMNS, lambda folder: typed(),
    lambda folder: [dict(zip(NAMES, row, strict=True)) for row in ROWS],
]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=lambda make: make.__name__)
def test_every_source_gives_the_same(tmp_path, source):
    with open_table(source(tmp_path)) as table:
        assert table.rows == 5
        assert table.kinds == {"shop": "category", "time": "time", "sales": "number", "sky": "category"}
        found = sequences(table, key="shop", time="time")
    assert found.offsets.tolist() == [0, 3, 5]
    assert found.static["shop"].strings() == ["a", "b"]
    days = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-01", "2020-01-02"]
    assert found.steps["time"].values.tolist() == np.array(days, "M8[us]").tolist()
    np.testing.assert_array_equal(found.steps["sales"].values, np.float32([4, 2.5, -5.25, np.nan, 1.5]))
    assert found.steps["sky"].strings() == ["wet", None, "dry", "dry", "wet"]
    assert found.steps["sky"].levels == ("dry", "wet")
    assert found.lines.tolist() == [4, 2, 5, 3, 1]


@pytest.mark.parametrize("source", [csv_file, lines, parquet, database, pandas_frame], ids=lambda make: make.__name__)
def test_queries_see_the_table(tmp_path, source):
    from_table = "t" if source is database else "data"
    query = f"SELECT shop, sum(sales) AS total FROM {from_table} GROUP BY shop ORDER BY shop;"
    with open_table(source(tmp_path), query) as table:
        found = sequences(table)
    assert found.steps["shop"].strings() == ["a", "b"]
    assert found.steps["total"].values.tolist() == [1.25, 1.5]


def test_a_file_is_also_a_view_of_its_own_name(tmp_path):
    with open_table(csv_file(tmp_path), "SELECT count(*) AS n FROM t") as table:
        assert table.session.rows("FROM gatewise_rows") == [(5,)]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT price FROM data", 'Referenced column "price" not found'),
        ("SELECT * FROM dta", "Table with name dta does not exist"),
        ("SELEC 1", "is not SQL"),
        ("DROP TABLE data", "must be one SELECT, not 'DROP TABLE data'"),
        ("SELECT 1; SELECT 2", "must be one SELECT"),
        ("", "query is one SQL SELECT"),
        ("SELECT * FROM CSV", "CSV"),
        ("SELECT sales FROM data WHERE shop > 1", "Cannot compare values of type VARCHAR"),
    ],
)
def test_wrong_queries(tmp_path, query, told):
    CSV = COLUMNS  # noqa: F841 - Python's variables are none of a query's business
    with pytest.raises(GatewiseError, match=told) as caught:
        open_table(csv_file(tmp_path), query)
    assert "\n" not in str(caught.value)


def test_a_query_cannot_write_to_a_database(tmp_path):
    with pytest.raises(DataError, match="must be one SELECT"):
        open_table(database(tmp_path), "DELETE FROM t")
    with open_table(tmp_path / "t.duckdb") as table:
        assert table.rows == 5


def test_a_database_of_several_tables_wants_a_query(tmp_path):
    written(tmp_path, "CREATE TABLE more AS SELECT 1 AS one")
    with pytest.raises(DataError, match=r"several tables: more, t\. .* --query \"SELECT \* FROM more\""):
        open_table(tmp_path / "t.duckdb")


def test_headers_and_names(tmp_path):
    (tmp_path / "a.csv").write_text("1,x\n2,y\n")
    (tmp_path / "b.csv").write_text("x,y\nz,w\n")
    with open_table(tmp_path / "a.csv") as table:
        assert (list(table.columns), table.rows) == (["column1", "column2"], 2)
    with open_table(tmp_path / "a.csv", names=["n", "what"]) as table:
        assert (table.columns, table.rows) == ({"n": "BIGINT", "what": "VARCHAR"}, 2)
    with open_table(tmp_path / "a.csv", csv=CSVFormat(header=True)) as table:
        assert (list(table.columns), table.rows) == (["1", "x"], 1)
    with open_table(tmp_path / "b.csv") as table:
        assert (list(table.columns), table.rows) == (["x", "y"], 1)
    with open_table(tmp_path / "b.csv", csv=CSVFormat(header=False)) as table:
        assert table.rows == 2
    with pytest.raises(DataError, match="2 columns, but 1 names"):
        open_table(tmp_path / "a.csv", names=["n"])


@pytest.mark.parametrize("spelling", ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", '""', '"NA"'])
def test_spellings_of_missing(tmp_path, spelling):
    (tmp_path / "a.csv").write_text(f"a,b\n1,x\n{spelling},y\n3,{spelling}\n")
    with open_table(tmp_path / "a.csv") as table:
        found = sequences(table)
    np.testing.assert_array_equal(found.steps["a"].values, np.float32([1, np.nan, 3]))
    word = spelling.strip('"')
    assert found.steps["b"].strings() == ["x", "y", word or None]  # among words, a word like any other


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "gb18030", "utf-8-sig"])
def test_encodings(tmp_path, encoding):
    word = "é" if encoding == "latin-1" else "花"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"a,b\n1,{word}\n2,x\n".encode(encoding)))
    with open_table(tmp_path / "a.csv.gz", encoding=encoding) as table:
        assert table.session.rows("FROM gatewise_rows") == [(1, word), (2, "x")]


def test_kinds_follow_the_stated_rule():
    count = 60
    columns = {
        "few": [f"w{i % 3}" for i in range(count)],
        "different": [f"w{i}" for i in range(count)],
        "long": ["a sentence that goes on for more than forty characters"] * count,
        "whole": [i % 2 for i in range(count)],
        "truth": [i % 2 == 0 for i in range(count)],
        "moment": [f"2020-01-{i % 28 + 1:02}" for i in range(count)],
        "range": ["1-3", "4-6", "7-9"] * 20,
    }
    with open_table(columns) as table:
        assert table.kinds == {
            "few": "category", "different": "text", "long": "text", "whole": "number", "truth": "category",
            "moment": "time", "range": "category",
        }  # fmt: skip


def test_what_is_no_table():
    with pytest.raises(OptionTypeError, match="not int"):
        open_table(3)
    with pytest.raises(DataError, match=r"columns of one table are of one length, not \{'a': 1, 'b': 2\}"):
        open_table({"a": [1], "b": [1, 2]})
    with pytest.raises(DataError, match="column 'a', row 2: 'x' is str"):
        open_table({"a": [1, "x"]})
    with pytest.raises(DataError, match="no columns"):
        open_table({})


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyarrow", "pandas", "torch"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
from gatewise.data.tables.schema import CSVFormat
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
for source in sys.argv[1:]:
    with open_table(source) as table:
        print(sequences(table, key="shop", time="time").fingerprint())
"""


def test_files_need_neither_pyarrow_nor_pandas(tmp_path):
    files = [str(make(tmp_path)) for make in (csv_file, lines, parquet)]
    answer = subprocess.run([sys.executable, "-c", WITHOUT, *files], capture_output=True, text=True, check=True)
    assert len(set(answer.stdout.split())) == 1
    assert len(answer.stdout.split()) == 3


def test_temporary_files_go_with_the_table(tmp_path):
    import os

    table = open_table(csv_file(tmp_path))
    folder = table.session.folder
    assert os.path.isdir(folder)
    del table
    assert not os.path.exists(folder)


@pytest.mark.slow
def test_real_tables(shared):
    with open_table(shared / "etth1" / "ETTh1.csv.gz") as table:
        assert (table.rows, len(table.columns), table.kind("date")) == (17_420, 8, "time")
    with open_table(shared / "exchange_rate" / "exchange_rate.txt.gz") as table:
        assert (table.rows, list(table.columns)[-1]) == (7_588, "column8")
    with open_table(shared / "nsl_kdd" / "KDDTest+.txt.gz") as table:
        assert (table.rows, len(table.columns), table.kind("column42")) == (22_544, 43, "category")
    with open_table(shared / "chnsenticorp_htl" / "ChnSentiCorp_htl_all.csv.gz") as table:
        found = sequences(table, rows="sequences", static=["label"])
    assert (len(found), int(np.sum(found.static["label"].values == 1))) == (7_766, 5_322)
    assert "房间" in found.static["review"].values[0]
