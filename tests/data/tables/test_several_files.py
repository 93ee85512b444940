"""Several files as one table: the same rows as one file with all of them, however they are named."""

import errno
import gzip
import os
from pathlib import Path

import duckdb
import numpy as np
import pytest

from gatewise.data.sources import Roles, is_data, kind_of, read
from gatewise.data.summary import summarise
from gatewise.data.tables import _several
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError, GatewiseError

ROLES = Roles(key=("pump",), time="hour", per_step=True)
ROWS = "SELECT 'p' || (i % 3) AS pump, TIMESTAMP '2024-01-01' + to_hours(i // 3) AS hour, sin(i) AS flow"


def write(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as con:
        con.execute(f"COPY ({query}) TO '{path}'")
    return path


def thirds(folder: Path, suffix: str = "parquet") -> list[Path]:
    """A table in three files, whose natural order is not that of the alphabet."""
    return [
        write(folder / f"part-{name}.{suffix}", f"{ROWS} FROM range({30 * place}, {30 * place + 30}) AS t(i)")
        for place, name in enumerate((1, 2, 10))
    ]


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    return thirds(tmp_path / "rows")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "whole.parquet", f"{ROWS} FROM range(90) AS t(i)")


def rows_of(source: object) -> list[tuple]:
    with open_table(source) as table:
        return table.session.rows(f"SELECT {', '.join(sorted(table.columns))} FROM gatewise_rows")


def test_a_folder_a_pattern_and_a_list_are_the_rows_of_one_file_in_natural_order(parts, whole, tmp_path):
    folder = tmp_path / "rows"
    named = [folder, str(folder), f"{folder}/*.parquet", f"{tmp_path}/**/part-*.parquet", parts, parts[::-1], [folder]]
    for source in [*named, tuple(map(str, parts))]:
        assert rows_of(source) == rows_of(whole)
        found, wanted = read(source, roles=ROLES), read(whole, roles=ROLES)
        assert found.fingerprint() == wanted.fingerprint()
        np.testing.assert_array_equal(found.lines, wanted.lines)
    assert kind_of(folder) == kind_of(f"{folder}/*") == "table"
    assert is_data(f"{folder}/*.parquet")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_files_of_text_are_the_rows_of_one_file(suffix, tmp_path):
    parts = thirds(tmp_path / "rows", suffix) if suffix == "csv" else []
    for place, name in enumerate((1, 2, 10)):
        if suffix == "jsonl":
            query = f"{ROWS} FROM range({30 * place}, {30 * place + 30}) AS t(i)"
            path = tmp_path / "rows" / f"part-{name}.json"
            parts.append(write(path, query).rename(path.with_suffix(".jsonl")))
    parts[2].write_bytes(parts[2].read_bytes().removesuffix(b"\n"))
    single = tmp_path / f"whole.{suffix}"
    lines = [part.read_text().splitlines() for part in parts]
    kept = [lines[0], *(some[suffix == "csv" :] for some in lines[1:])]
    single.write_text("\n".join(line for some in kept for line in some) + "\n")
    packed = tmp_path / "rows" / f"part-2.{suffix}.gz"
    packed.write_bytes(gzip.compress(parts[1].read_bytes()))
    for source in (parts, f"{tmp_path}/rows/part-*.{suffix}", [parts[2], packed, parts[0]]):
        assert rows_of(source) == rows_of(single)


def test_without_a_header_no_line_is_lost(tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text("0,1.5\n1,2.5\n")
    assert rows_of(f"{tmp_path}/*.csv") == [(0, 1.5), (1, 2.5), (0, 1.5), (1, 2.5)]


@pytest.mark.parametrize("name", ["rows.csv", "data.csv"])
def test_files_of_one_name_in_another_encoding_lose_no_row(name, tmp_path):
    for place in range(3):
        (tmp_path / str(place)).mkdir()
        (tmp_path / str(place) / name).write_text(f"\nété,n\né{place},{place}\n", encoding="latin-1")
    files = [tmp_path / str(place) / name for place in range(3)]
    with open_table(files, encoding="latin-1") as table:
        assert table.session.rows("SELECT * FROM gatewise_rows") == [(f"é{place}", place) for place in range(3)]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"", "'{}' is empty"),
        (b"\n\n", "'{}' is empty"),
        (b"a\r\n1\r\n", "lines end with CR LF in '{}', but with LF in"),
    ],
)
def test_a_csv_file_that_cannot_follow_others_is_named(written, message, tmp_path):
    files = [tmp_path / "1.csv", tmp_path / "2.csv"]
    files[0].write_bytes(b"a\n0\n")
    files[1].write_bytes(written)
    with pytest.raises(DataError) as caught:
        rows_of(files)
    assert message.format(files[1]) in str(caught.value)


def test_a_full_disk_is_not_said_to_be_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    files = [tmp_path / "1.csv", tmp_path / "2.csv"]
    for file in files:
        file.write_bytes(b"a\n0\n")

    def full(_sink: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_several, "_end_line", full)
    with pytest.raises(DataError, match=r"cannot write to .*No space left on device. Set TMPDIR"):
        rows_of(files)


def test_csv_files_with_other_columns_are_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n0,1.5\n")
    (tmp_path / "b.csv").write_text("y,x\n0,1.5\n")
    with pytest.raises(DataError, match=r"first line of '.*b\.csv' is not that of '.*a\.csv'"):
        open_table([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_folders_are_columns_as_duckdb_reads_them(tmp_path):
    folder = tmp_path / "rows"
    for year, month in ((2024, "3"), (2024, "12"), (2025, "1")):
        write(folder / f"year={year}" / f"month={month}" / "a.parquet", f"{ROWS} FROM range(6) AS t(i)")
    sources = [folder, f"{folder}/year=*", f"{folder}/*/*/*.parquet", sorted(folder.rglob("*.parquet"))]
    own = f"read_parquet('{folder}/**/*.parquet', hive_partitioning=true, union_by_name=true)"
    with duckdb.connect() as con:
        types = {row[0]: row[1] for row in con.sql(f"DESCRIBE SELECT * FROM {own}").fetchall()}
        rows = con.sql(f"SELECT hour, flow, month, pump, year FROM {own} ORDER BY year, month, pump, hour").fetchall()
    for source in sources:
        with open_table(source) as table:
            assert table.columns == types
            names = "hour, flow, month, pump, year"
            assert table.session.rows(f"SELECT {names} FROM gatewise_rows ORDER BY year, month, pump, hour") == rows
            assert [row[0] for row in table.session.rows("SELECT month FROM gatewise_rows")][::6] == [3, 12, 1]
    found = read(folder, roles=Roles(key=("year", "month", "pump"), time="hour", per_step=True))
    assert len(found) == 9


def test_a_key_in_the_names_of_folders_is_a_name(tmp_path):
    for name in ("007", "010"):
        query = "SELECT i AS hour, i * 1.5 AS sales FROM range(4) AS t(i)"
        write(tmp_path / "rows" / f"shop={name}" / "a.parquet", query)
    found = read(tmp_path / "rows", roles=Roles(key=("shop",), time="hour", per_step=True))
    assert found.static["shop"].levels == ("007", "010")
    again = read(tmp_path / "rows", roles=Roles(key=("shop",), time="hour", per_step=True), schema=found.schema)
    assert again.fingerprint() == found.fingerprint()


def test_columns_are_found_by_name_and_a_missing_one_is_not_given(tmp_path):
    write(tmp_path / "rows" / "a.parquet", "SELECT 1 AS x, 2.5::FLOAT AS y, 'u' AS word")
    write(tmp_path / "rows" / "b.parquet", "SELECT NULL AS word, 3::BIGINT AS y, 4.5 AS x")
    write(tmp_path / "rows" / "c.parquet", "SELECT 5 AS x")
    found = read(tmp_path / "rows", roles=Roles(per_step=True))
    np.testing.assert_array_equal(found.steps["x"].values, [1, 4.5, 5])
    np.testing.assert_array_equal(found.steps["y"].values, [2.5, 3, np.nan])
    assert found.steps["word"].strings() == ["u", None, None]


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("1 AS x", "'a' AS x", "column 'x' is INTEGER in '.*a.parquet', but VARCHAR in '.*b.parquet'"),
        ("TIMESTAMP '2024-01-01' AS x", "TIMESTAMPTZ '2024-01-01' AS x", "TIMESTAMP WITH TIME ZONE"),
        ("[1] AS x, 'a' AS y", "['a'] AS x, 'a' AS y", r"column 'x' is INTEGER\[\]"),
    ],
)
def test_kinds_that_do_not_go_together_are_refused_by_name(one, other, message, tmp_path):
    write(tmp_path / "rows" / "a.parquet", f"SELECT {one}")
    write(tmp_path / "rows" / "b.parquet", f"SELECT {other}")
    with pytest.raises(DataError, match=message) as error:
        open_table(tmp_path / "rows")
    assert "\n" not in str(error.value)


def test_nested_columns_are_told_from_others_of_their_names(tmp_path):
    write(tmp_path / "rows" / "a.parquet", "SELECT {'x': 1, 'l': ['a']} AS s, 1 AS x")
    write(tmp_path / "rows" / "b.parquet", "SELECT 2 AS x, {'x': 1, 'l': ['a']} AS s")
    with open_table(tmp_path / "rows") as table:
        assert table.session.rows("SELECT x FROM gatewise_rows") == [(1,), (2,)]


def test_what_writers_leave_beside_their_files_is_passed_over(parts, whole, tmp_path):
    (tmp_path / "rows" / "_SUCCESS").touch()
    (tmp_path / "rows" / ".part-1.parquet.crc").touch()
    write(tmp_path / "rows" / "_temporary" / "part-3.parquet", f"{ROWS} FROM range(9) AS t(i)")
    assert rows_of(tmp_path / "rows") == rows_of(whole)
    assert rows_of(f"{tmp_path}/rows/*") == rows_of(whole)


def damaged(folder: Path) -> Path:
    (folder / "part-3.parquet").write_bytes(b"PAR1 and no more")
    return folder


def stray(folder: Path) -> Path:
    (folder / "notes.txt").write_text("hello")
    return folder


def empty(folder: Path) -> Path:
    for file in folder.iterdir():
        file.unlink()
    return folder


def delta(folder: Path) -> Path:
    (folder / "_delta_log").mkdir()
    return folder


def elsewhere(folder: Path) -> Path:
    write(folder / "year=2024" / "a.parquet", f"{ROWS} FROM range(6) AS t(i)")
    return folder


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, r"part-3\.parquet"),
        (stray, r"notes\.txt' is no Parquet file. Move it away, or name the others: .*\*\.parquet"),
        (empty, "empty"),
        (delta, "is a Delta table"),
        (elsewhere, "lies in folders of the columns none, but .* of year"),
        (lambda folder: [folder, folder / "part-1.parquet"], "named twice"),
        (lambda folder: [folder / "part-1.parquet", folder / "no.parquet"], r"no file named 'no.parquet'|no\.parquet"),
        (lambda folder: f"{folder}/*.csv", "no file matches"),
        (lambda folder: [folder, write(folder.parent / "b.csv", "SELECT 1 AS x")], "of different kinds"),
    ],
)
def test_what_cannot_be_one_table_is_refused_in_one_line(spoil, message, parts, tmp_path):
    source = spoil(tmp_path / "rows")
    for reading in (lambda: read(source, roles=ROLES), lambda: open_table(source)):
        with pytest.raises(DataError, match=message) as error:
            reading()
        assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(parts):
    parts[1].chmod(0)
    with pytest.raises(DataError, match=r"part-2\.parquet"):
        open_table(parts)


def test_other_folders_and_lists_mean_what_they_meant(tmp_path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.txt").write_text("fine words")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "b.txt").write_text("poor words")
    write(tmp_path / "extra.parquet", "SELECT 1 AS x")
    found = read(tmp_path, roles=Roles(lines="labels"))
    assert found.static["label"].strings() == ["bad", "good"]
    texts = read(["report.csv", "table.parquet"], ["a", "b"])
    assert texts.static["text"].strings() == ["report.csv", "table.parquet"]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("x\n1\n")
    with pytest.raises(GatewiseError, match="It holds 1 file of "):
        read(tmp_path / "rows", roles=ROLES)


def test_a_query_sees_all_rows_and_no_other_file(parts, tmp_path):
    with open_table(tmp_path / "rows", "SELECT count(*) AS n FROM rows") as table:
        assert table.session.rows("SELECT n FROM gatewise_rows") == [(90,)]
    other = write(tmp_path / "other.parquet", "SELECT 1 AS x")
    with pytest.raises(DataError, match="may read nothing beside"):
        open_table(parts, f"SELECT * FROM '{other}'")


def test_a_summary_is_that_of_one_file(parts, whole, tmp_path):
    for source in (tmp_path / "rows", [str(part) for part in parts]):
        found, wanted = summarise(source).document(), summarise(whole).document()
        assert {**found, "name": ""} == {**wanted, "name": ""}
