import functools
import json

import pytest

from gatewise.data.tables.inference import summarise_table

pytest.importorskip("duckdb")

SALES = {
    "day": ["2020-01-01", "2020-01-01", "2020-01-02", "2020-01-04", "2020-01-04"],
    "shop": ["a", "b", "a", "a", "a"],
    "staff": [2, 2, 3, None, None],
    "sales": [1.5, 2, 3, None, 9],
}


def test_what_a_table_seems_to_be():
    found = summarise_table(SALES, "SELECT * FROM data LIMIT 4")
    assert (found.rows, found.time, found.key, found.target) == (4, ("day",), ("shop",), "sales")
    assert (found.series, found.shortest, found.longest) == (2, 1, 3)
    assert (found.frequency, found.gaps, found.duplicates, found.note) == ("daily", 1, 0, None)
    day, shop, staff, _ = found.columns
    assert (day.kind, day.missing, day.distinct, day.least) == ("time", 0, 3, "2020-01-01")
    assert (shop.kind, shop.distinct, shop.examples) == ("category", 2, ("a", "b"))
    assert (staff.kind, staff.missing, staff.least, staff.most) == ("number", 1, 2, 3)


def test_duplicates_are_counted():
    found = summarise_table(SALES)
    assert found.key == ()  # shop a has two rows on the 4th
    assert found.duplicates == 2
    assert "duplicates: 2 rows" in found.describe()


def test_the_description():
    assert (
        summarise_table(SALES, "SELECT * FROM data LIMIT 4").describe()
        == """\
the dict: 4 rows, 4 columns

  column  kind      missing  distinct  values
  day     time            0         3  2020-01-01 to 2020-01-04
  shop    category        0         2  a, b
  staff   number          1         2  2 to 3
  sales   number          1         3  1.5 to 3

time: day, daily
key: shop (2 series, 1 to 3 steps)
gaps: 1 step missing between others
target: perhaps sales"""
    )


def test_a_spoiled_column_is_shown(tmp_path):
    (tmp_path / "a.csv").write_text("n,v\n" + "1,2\n" * 10 + "x,3\n")
    found = summarise_table(tmp_path / "a.csv")
    assert "row 11, column 'n': 'x' is not a number" in " ".join(found.describe().split())
    assert "row 11" in found.document()["columns"][0]["problem"]


def test_stamps_of_no_one_frequency_are_noted():
    found = summarise_table({"t": ["2020-01-01T00:00", "2020-01-01T00:05", "2020-01-01T00:10", "2020-01-01T00:12"]})
    assert found.frequency is None
    assert "lies between two steps" in found.note


@pytest.fixture(scope="module")
def summarised(shared):
    """The summary of a real table, made once."""
    return functools.cache(lambda file: summarise_table(shared / file))


def test_documents_are_json_and_lines_are_short(summarised):
    for file in (
        "etth1/ETTh1.csv.gz",
        "chnsenticorp_htl/ChnSentiCorp_htl_all.csv.gz",
        "beijing_pm25/pollution.csv.gz",
        "nsl_kdd/KDDTest+.txt.gz",
        "univariate_small/shampoo.csv",
        "ucr_anomaly_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv",
    ):
        found = summarised(file)
        assert json.loads(json.dumps(found.document()))["rows"] == found.rows
        assert max(map(len, found.describe().splitlines())) <= 80, file


def test_real_tables(summarised):
    found = summarised("beijing_pm25/pollution.csv.gz")
    assert (found.time, found.frequency, found.gaps) == (("year", "month", "day", "hour"), "hourly", 0)
    assert {column.name: column.missing for column in found.columns}["pm2.5"] == 2_067
    found = summarised("nab/data/realKnownCause/nyc_taxi.csv.gz")
    assert (found.time, found.frequency, found.target) == (("timestamp",), "every 30 minutes", "value")
    found = summarised("ucr_anomaly_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv")
    assert (found.time, found.target) == (("timestamp",), "is_anomaly")
