"""Against a real PostgreSQL server, which lives as long as these tests."""

import numpy as np
import pytest
from postgres_server import running

from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError

pytest.importorskip("duckdb")
pytest.importorskip("adbc_driver_postgresql")

TABLES = """
CREATE TABLE sales AS SELECT
    CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END AS shop,
    timestamptz '2020-01-01 00:00+01' + (9 - i / 2) * interval '1 hour' AS time,
    (i * 1.25)::numeric(10, 2) AS price,
    CASE WHEN i % 5 <> 0 THEN i::numeric / 8 END AS share,
    CASE WHEN i % 3 <> 0 THEN i END AS pieces,
    i % 4 = 0 AS promotion
FROM generate_series(0, 19) AS i;
CREATE SCHEMA other;
CREATE TABLE other."two words" AS SELECT 1 AS one;
"""


@pytest.fixture(scope="module")
def server():
    """The URL of a server with the tables above."""
    with running(TABLES) as url:
        yield url


def test_a_table_becomes_sequences(server):
    with open_table(server, "SELECT * FROM sales") as table:
        assert table.rows == 20
        assert table.kinds == {
            "shop": "category", "time": "time", "price": "number", "share": "number", "pieces": "number",
            "promotion": "category",
        }  # fmt: skip
        found = sequences(table, key="shop", time="time")
    assert found.lengths.tolist() == [10, 10]
    assert found.steps["time"].zone == "UTC"
    hours = np.arange("2019-12-31T23", "2020-01-01T09", dtype="M8[h]").astype("M8[us]")
    np.testing.assert_array_equal(found.steps["time"].values, np.tile(hours, 2))
    i = np.concatenate([np.arange(18, -1, -2), np.arange(19, 0, -2)])
    np.testing.assert_array_equal(found.steps["price"].values, np.float32(i * 1.25))
    np.testing.assert_array_equal(found.steps["share"].values, np.float32(np.where(i % 5, i / 8, np.nan)))
    np.testing.assert_array_equal(found.steps["pieces"].values, np.float32(np.where(i % 3, i, np.nan)))
    assert found.steps["promotion"].strings() == ["true" if n % 4 == 0 else "false" for n in i]


def test_more_rows_than_one_batch_holds(server):
    query = (
        "SELECT i AS t, (i % 7)::numeric AS v, 'x' || i % 3 AS c FROM generate_series(1, 400000) AS i ORDER BY i DESC"
    )
    with open_table(server, query) as table:
        found = sequences(table, time="t")
    assert len(found.steps["v"]) == 400_000
    np.testing.assert_array_equal(found.steps["v"].values, np.arange(1, 400_001, dtype=np.float32) % 7)
    assert found.steps["c"].strings()[:4] == ["x1", "x2", "x0", "x1"]


def test_without_a_query_there_must_be_one_table(server):
    with pytest.raises(DataError, match=r'several tables: other\."two words", sales\. Choose with a query'):
        open_table(server)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT price, nope FROM sales", 'column "nope" does not exist'),
        ("SELEC", "syntax error"),
        ("SELECT 1 / (i - 2) AS v FROM generate_series(1, 3) AS i", "division by zero"),
        ("DELETE FROM sales", "cannot execute DELETE in a read-only transaction"),
        ("CREATE TABLE z (a int)", "cannot execute CREATE TABLE in a read-only transaction"),
        ("SELECT * FROM nothing", 'relation "nothing" does not exist'),
        ("SELECT 'NaN'::numeric AS v", None),
    ],
)
def test_wrong_queries(server, query, told):
    if told is None:
        with open_table(server, query) as table:
            assert np.isnan(sequences(table).steps["v"].values).all()
        return
    with pytest.raises(DataError, match=told) as caught:
        open_table(server, query)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_connection(server):
    with pytest.raises(DataError, match='database "nowhere" does not exist'):
        open_table(server.replace("/postgres", "/nowhere"))
    with pytest.raises(DataError, match=r"^postgresql://gatewise@127.0.0.1:1/x: .*refused") as caught:
        open_table("postgresql://gatewise:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
