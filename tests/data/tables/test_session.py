"""What SQL may reach: the file that was named, and no other, by its name or by what it says."""

import gzip
import os
import subprocess
import sys
import time

import pytest

from gatewise.data.tables.table import open_table
from gatewise.data.tables.writing import write_table
from gatewise.errors import DataError

duckdb = pytest.importorskip("duckdb")

# Each matches others of the list, if it is taken for a pattern, a home, another system's path or a URL.
NAMES = [
    "s[1]",
    "s1",
    "a*b",
    "axb",
    "q?",
    "qq",
    "{a,b}",
    "a",
    "[!a]",
    "[[]1",
    "a]b[",
    "**",
    "it's",
    '"q"',
    "h#1",
    "p%20",
]
NAMES += [
    "~",
    "~/x",
    "s3:x",
    "s3://bucket/x",
    "file:x",
    "sqlite:x",
    "k=5/x",
    "d[1]/x*",
    "tab\tx",
    "line\nx",
    "b\\s",
    "ü",
    "-",
]
ENDINGS = [".csv", ".csv.gz", ".parquet", ".jsonl", ".duckdb"]


def written(name, ending, value):
    """A file of one row, whose column `v` holds the value."""
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    path = os.path.abspath(name + ending)
    if ending == ".duckdb":
        with duckdb.connect("made.duckdb") as connection:
            connection.execute(f"CREATE TABLE t AS SELECT {value} AS v")
        os.rename("made.duckdb", path)
    elif ending == ".parquet":
        write_table(path, [{"v": [value]}])
    else:
        text = f'{{"v": {value}}}\n' if ending == ".jsonl" else f"v\n{value}\n"
        with open(path, "wb") as file:
            file.write(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    return name + ending


@pytest.mark.parametrize("every", [pytest.param(True, marks=pytest.mark.slow), False], ids=["both ways", "one way"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_is_that_file_and_no_pattern(tmp_path, monkeypatch, ending, every):
    """As a relative and as an absolute path; quickly, each name is the one for some endings, the other for others."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("real")
    os.symlink("real", "link")
    paths = [written(name, ending, value) for value, name in enumerate([*NAMES, "link/x[1]", "link/x1"])]
    for value, path in enumerate(paths):
        if ending == ".duckdb" and ("?" in path or "\\" in path):
            with pytest.raises(DataError, match=r"no database with \? or \\ in its path. Rename it."):
                open_table(path)
            continue
        ways = [path, os.path.abspath(path)]
        for given in ways if every else [ways[(value + ENDINGS.index(ending)) % 2]]:
            with open_table(given) as table:
                assert list(table.columns) == ["v"]  # no column made of a folder's name
                assert table.session.rows("FROM gatewise_rows") == [(value,)], path


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_packed_file_may_be_named_as_if_it_were_not(tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    path = written("a", ending, 7)
    (tmp_path / path).write_bytes(gzip.compress((tmp_path / path).read_bytes()))
    with open_table(path) as table:
        assert table.session.rows("FROM gatewise_rows") == [(7,)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_temporary_folder_may_be_named_like_a_pattern(tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    os.mkdir("t[1]*")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t[1]*"))
    path = written("a", ending, 1)
    with open_table(path, encoding="cp1252") as table:  # CSV is copied there
        assert table.session.rows("FROM gatewise_rows") == [(1,)]


def test_rows_that_are_only_in_the_log_of_a_database_are_read(tmp_path):
    """A writer that was killed leaves x.duckdb.wal."""
    path, link = tmp_path / "x.duckdb", tmp_path / "link.duckdb"
    code = f"""import duckdb, os
c = duckdb.connect({str(path)!r})
c.execute("SET wal_autocheckpoint = '1GB'; CREATE TABLE t (v INTEGER); CHECKPOINT; INSERT INTO t VALUES (7)")
os._exit(0)"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "x.duckdb.wal").exists()
    link.symlink_to(path)
    for given in (path, link):
        with open_table(given) as table:
            assert table.session.rows("FROM gatewise_rows") == [(7,)]


REFUSED = [
    ("FROM read_csv('{}/other.csv')", "reads the file '.*other.csv', but may read nothing beside the table"),
    ("FROM '{}/other.csv'", "reads the file '.*other.csv', but may read nothing beside the table"),
    ("FROM read_csv('{}/*.csv')", "reads the file"),
    ("FROM read_text('/etc/passwd')", "reads the file '/etc/passwd', but may read nothing beside"),
    ("FROM glob('/etc/*')", r"reads the file '/etc/\*', but"),
    ("FROM read_parquet('https://localhost/x.parquet')", "reads the file 'https://localhost"),
    ("FROM sniff_csv('/etc/passwd')", "reads the file '/etc/passwd'"),
    ("FROM duckdb_secrets()", "reads the directory"),
    ("FROM enable_logging(storage='file', storage_path='{}/log')", "configuration has been locked"),
    ("SELECT getenv('HOME') AS home", "getenv"),
]


@pytest.mark.parametrize(("sql", "told"), REFUSED, ids=[sql.split("(")[0] for sql, _ in REFUSED])
def test_neither_a_view_nor_a_query_reaches_other_files(tmp_path, sql, told):
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "other.csv").write_text("v\n1\n")
    sql = sql.format(folder)
    (tmp_path / "a.csv").write_text("v\n1\n")
    with pytest.raises(DataError, match=told) as caught:
        open_table(tmp_path / "a.csv", sql)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=told):
        open_table({"v": [1]}, sql)
    with duckdb.connect(tmp_path / "made.duckdb") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS v")
        try:
            connection.execute(f"CREATE VIEW stranger AS {sql}")
        except duckdb.Error:  # a view that DuckDB would not even make
            return
        connection.execute("DROP TABLE t")
    for entry in folder.iterdir():  # making the view may have done what it says
        if entry.name != "other.csv":
            entry.unlink()
    with pytest.raises(DataError, match=told), open_table(tmp_path / "made.duckdb") as table:
        assert table.rows
    assert [entry.name for entry in folder.iterdir()] == ["other.csv"]


def test_a_query_may_read_its_own_file_again(tmp_path):
    (tmp_path / "a.csv").write_text("v\n1\n2\n")
    with open_table(
        tmp_path / "a.csv", f"SELECT v FROM data WHERE v > (SELECT avg(v) FROM '{tmp_path}/a.csv')"
    ) as table:
        assert table.session.rows("FROM gatewise_rows") == [(2,)]


ENDLESS = [
    "SELECT count(*) AS n FROM range(10000000) a(i), range(10000000) b(j) WHERE (i + j) % 7 = 9",  # one task
    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) AS n FROM r",  # many
]


@pytest.mark.parametrize("sql", ENDLESS, ids=["one task", "many tasks"])
def test_an_endless_query_ends_on_ctrl_c(tmp_path, sql):
    code = f"""import os, signal, threading
from gatewise.data.tables.table import open_table
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
open_table({{"v": [1]}}, {sql!r})"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    start = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert ended.stderr.endswith("KeyboardInterrupt\n")
    assert time.monotonic() - start < 20
    assert not list(tmp_path.iterdir())
