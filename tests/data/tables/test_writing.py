"""Tables written and read back by others."""

import csv
import io
import json

import duckdb
import numpy as np
import pytest

from gatewise.data.sequences import Column
from gatewise.data.tables.timezones import as_written
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


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_moments_are_read_back_wherever_the_reader_is(suffix, tmp_path):
    """The hour that clocks in Berlin showed twice, and one that is missing."""
    utc = np.array(["2021-10-31T00:30", "2021-10-31T01:30", "NaT"], "M8[us]")
    moments = as_written(Column("t", "time", utc, zone="Europe/Berlin", offset=True))
    assert [None if m is None else str(m) for m in moments] == [
        "2021-10-31 02:30:00+02:00", "2021-10-31 02:30:00+01:00", None
    ]  # fmt: skip
    write_table(tmp_path / f"out{suffix}", [{"t": moments, "v": np.arange(3)}])
    if suffix == ".csv":
        assert "2021-10-31T02:30:00+02:00,0" in (tmp_path / "out.csv").read_text()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        rows = connection.execute(f"SELECT epoch(t::TIMESTAMPTZ) FROM '{tmp_path}/out{suffix}'").fetchall()
    assert [row[0] for row in rows] == [1635640200, 1635643800, None]


@pytest.mark.parametrize(
    ("zone", "offset", "written"),
    [
        (None, False, "2021-07-01T00:00:00.000000"),  # nobody said where: as it came
        ("Asia/Kolkata", False, "2021-07-01T05:30:00.000000"),  # local without an offset, and so again
        ("America/New_York", True, "2021-06-30 20:00:00-04:00"),
        ("UTC", True, "2021-07-01 00:00:00+00:00"),
    ],
)
def test_times_are_written_in_the_clock_that_they_came_in(zone, offset, written):
    column = Column("t", "time", np.array(["2021-07-01"], "M8[us]"), zone=zone, offset=offset)
    assert str(as_written(column)[0]) == written
