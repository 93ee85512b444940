"""Tables written and read back by others."""

import csv
import io
import json

import duckdb
import numpy as np
import pytest

from gatewise.data.tables.writing import write_csv, write_lines, write_table
from gatewise.errors import DataError, OptionError

CHUNKS = [
    {
        "when": np.array(["2026-11-21T10:00:00", "NaT"], "M8[us]"),
        "what": np.array(['naïve, "quoted"', None], object),
        "share": np.array([0.1, np.nan], np.float32),
        "exact": np.array([0.1 + 0.2, -1e300]),
        "count": np.array([3, -4]),
    },
    {
        "when": np.array(["1969-12-31T23:59:59"], "M8[us]"),
        "what": np.array(["漢字\nnext"], object),
        "share": np.array([16777216], np.float32),
        "exact": np.array([5e-324]),
        "count": np.array([2**60]),
    },
]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_duckdb_reads_back_what_was_written(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    assert write_table(path, iter(CHUNKS)) == 3
    options = ", new_line='\\n', parallel=false" if suffix == ".csv" else ""
    reader = {".csv": "read_csv", ".jsonl": "read_json", ".parquet": "read_parquet"}[suffix]
    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM {reader}('{path}'{options})").fetchall()
    assert [row[1] for row in rows] == ['naïve, "quoted"', None, "漢字\nnext"]
    assert [str(row[0]) for row in rows] == ["2026-11-21 10:00:00", "None", "1969-12-31 23:59:59"]
    shares = [row[2] for row in rows]
    assert np.float32(shares[0]) == np.float32(0.1)
    assert shares[1] is None or np.isnan(shares[1])
    assert shares[2] == 16777216
    assert [row[3] for row in rows] == [0.1 + 0.2, -1e300, 5e-324]
    assert [row[4] for row in rows] == [3, -4, 2**60]


def test_numbers_in_text_are_the_shortest_that_give_them_back():
    table, lines = io.StringIO(), io.StringIO()
    write_csv(table, CHUNKS)
    write_lines(lines, CHUNKS)
    rows = list(csv.reader(io.StringIO(table.getvalue())))
    assert rows[0] == ["when", "what", "share", "exact", "count"]
    assert rows[1] == ["2026-11-21T10:00:00", 'naïve, "quoted"', "0.1", "0.30000000000000004", "3"]
    assert rows[2] == ["", "", "", "-1e+300", "-4"]
    assert json.loads(lines.getvalue().splitlines()[1]) == {
        "when": None, "what": None, "share": None, "exact": -1e300, "count": -4
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_chunk_may_have_no_rows(suffix, tmp_path):
    """Nor need a text be there."""

    def words(*found):
        columns = {"word": np.array(found, object), "note": np.array([None] * len(found), object)}
        return columns | {"start": np.arange(len(found)) * 0.5}

    path = tmp_path / f"out{suffix}"
    assert write_table(path, iter([words(), words("a"), words(), words("b", "c")])) == 3
    if suffix == ".csv":
        assert path.read_text() == "word,note,start\na,,0.0\nb,,0.0\nc,,0.5\n"
    reader = {".csv": "read_csv", ".jsonl": "read_json", ".parquet": "read_parquet"}[suffix]
    with duckdb.connect() as connection:
        assert connection.execute(f"FROM {reader}('{path}')").fetchall() == [
            ("a", None, 0.0), ("b", None, 0.0), ("c", None, 0.5)
        ]  # fmt: skip
    write_table(tmp_path / "none.parquet", iter([words()]))
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE FROM '{tmp_path}/none.parquet'").fetchall()
    assert [row[:2] for row in described] == [("word", "VARCHAR"), ("note", "VARCHAR"), ("start", "DOUBLE")]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    def breaks():
        yield CHUNKS[0]
        raise DataError("the data ends in the middle")

    for suffix in (".csv", ".jsonl", ".parquet"):
        with pytest.raises(DataError, match="in the middle"):
            write_table(tmp_path / f"out{suffix}", breaks())
    with pytest.raises(OptionError, match=r"cannot write a table as '\.xlsx' .*\.csv, \.jsonl, \.parquet"):
        write_table(tmp_path / "out.xlsx", CHUNKS)
    with pytest.raises(DataError, match="nothing to write"):
        write_table(tmp_path / "out.parquet", [])
    assert list(tmp_path.iterdir()) == []
