import gc
import os
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gatewise.data.tables import _spill
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.data.tables.timezones import changes, to_local, to_utc
from gatewise.errors import DataError

pytest.importorskip("duckdb")


def made(source, **options):
    with open_table(source) as table:
        return sequences(table, **options)


def stamps(*texts):
    return np.array(texts, "M8[us]").tolist()


def test_without_key_and_time_rows_stay_in_order():
    found = made({"a": [3, 1, 2], "b": ["x", None, "y"]})
    assert found.offsets.tolist() == [0, 3]
    assert found.steps["a"].values.tolist() == [3, 1, 2]
    assert found.steps["b"].values.tolist() == [1 - 1, -1, 1]


def test_with_a_key_alone_rows_of_a_series_stay_in_order():
    found = made({"k": [10, 9, 10, 9], "a": [1, 2, 3, 4]}, key="k")
    assert found.static["k"].strings() == ["9", "10"]  # numbers are in the order of numbers
    assert found.steps["a"].values.tolist() == [2, 4, 1, 3]


def test_a_table_can_be_asked_again_after_a_refusal():
    columns = {"k": ["a", "a"], "word": ["x", "y"], "bad": [1.0, np.inf]}
    with open_table(columns) as table:
        for _ in range(2):
            with pytest.raises(DataError, match="is inf"):
                sequences(table, key="k", columns=["word", "bad"])
        assert sequences(table, key="k", columns=["word"]).steps["word"].strings() == ["x", "y"]


def test_several_keys():
    columns = {
        "x": ["b", "a", "b", "a", "a"],
        "y": ["p", "q", "p", "p", "q"],
        "t": [1, 1, 0, 0, 0],
        "v": [1, 2, 3, 4, 5],
    }
    found = made(columns, key=["x", "y"], time="t")
    assert list(zip(found.static["x"].strings(), found.static["y"].strings(), strict=True)) == [
        ("a", "p"), ("a", "q"), ("b", "p"),
    ]  # fmt: skip
    assert [one.steps["v"].values.tolist() for one in found] == [[4], [5, 2], [3, 1]]
    assert made(columns, key="x,y", time="t").fingerprint() == found.fingerprint()


def test_every_row_a_sequence():
    long = "a text that is much longer than what a category is taken for"
    found = made({"v": [1, 2], "text": [long, long + "!"], "label": ["p", "n"]}, rows="sequences", static=["label"])
    assert found.offsets.tolist() == [0, 1, 2]
    assert not found.steps  # a text has steps of its own
    assert found.static["v"].values.tolist() == [1, 2]
    assert (found.static["text"].kind, found.static["text"].strings()) == ("text", [long, long + "!"])
    assert found.static["label"].strings() == ["p", "n"]


def test_static_columns_have_one_value_per_series():
    columns = {
        "k": ["a", "a", "b", "b"],
        "t": [2, 1, 1, 2],
        "label": [None, "x", "y", None],
        "n": [7, 7, np.nan, np.nan],
        "day": ["2020-01-01", "2020-01-01", None, None],
    }
    found = made(columns, key="k", time="t", static=["label", "n", "day"])
    assert found.static["label"].strings() == ["x", "y"]
    np.testing.assert_array_equal(found.static["n"].values, np.float32([7, np.nan]))
    assert found.static["day"].values.tolist() == [*stamps("2020-01-01"), None]
    with pytest.raises(DataError, match=r"column 'n' changes within series 'a' at row 1. A static column"):
        made(columns | {"n": [8, 7, 1, 1]}, key="k", time="t", static=["n"])


def test_numbers_are_float32_where_that_is_exact():
    found = made({"a": [2**24, 1], "b": [2**24 + 1, 1], "c": [0.1, 0.2]})
    assert [found.steps[name].values.dtype for name in "abc"] == [np.float32, np.float64, np.float32]
    assert found.steps["b"].values[0] == 2**24 + 1


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["2020-01-31 23:59:58.5", "2020-02-01"], ["2020-01-31T23:59:58.5", "2020-02-01"]),
        (["2020-01-31T22:00:00Z", "2020-02-01T01:00:00+01:00"], ["2020-01-31T22:00", "2020-02-01T00:00"]),
        (["2020-01-31T22:00:00+0100", "2020-02-01T01:00:00-0100"], ["2020-01-31T21:00", "2020-02-01T02:00"]),
        (["1949-01", "1949-12"], ["1949-01-01", "1949-12-01"]),
        (["1-01", "1-02"], ["0001-01-01", "0001-02-01"]),
        (["2020/1/5 7:05", "2020/1/6 7:05"], ["2020-01-05T07:05", "2020-01-06T07:05"]),
        (["01/02/2020", "13/02/2020"], ["2020-02-01", "2020-02-13"]),
        (["01/02/2020 10:00", "01/13/2020 11:30"], ["2020-01-02T10:00", "2020-01-13T11:30"]),
        (["1/2/20", "1/31/20"], ["2020-01-02", "2020-01-31"]),
        (["03.04.2020", "04.04.2020 12:30:10"], ["2020-04-03", "2020-04-04T12:30:10"]),
        (["3-Jan-2020", "4-Feb-2020"], ["2020-01-03", "2020-02-04"]),
        (["Jan 3, 2020", "Feb 4, 2020"], ["2020-01-03", "2020-02-04"]),
        (["2019Q4", "2020-Q1"], ["2019-10-01", "2020-01-01"]),
        (["2020-01-01 05", "2020-01-01 06"], ["2020-01-01T05", "2020-01-01T06"]),
        ([1959, 1960], ["1959-01-01", "1960-01-01"]),
        ([20200131, 20200201], ["2020-01-31", "2020-02-01"]),
        ([202001, 202012], ["2020-01-01", "2020-12-01"]),
        ([1577836800, 1577836801], ["2020-01-01", "2020-01-01T00:00:01"]),
        ([1577836800.25, 1577836801.5], ["2020-01-01T00:00:00.25", "2020-01-01T00:00:01.5"]),
        ([1577836800001, 1577836800002], ["2020-01-01T00:00:00.001", "2020-01-01T00:00:00.002"]),
        ([1577836800000001, 1577836800000002], ["2020-01-01T00:00:00.000001", "2020-01-01T00:00:00.000002"]),
        ([1577836800000001000, 1577836800000002000], ["2020-01-01T00:00:00.000001", "2020-01-01T00:00:00.000002"]),
        (np.int32([2000000, 2000001]), ["1970-01-24T03:33:20", "1970-01-24T03:33:21"]),
        ([0, 1, 2], ["1970-01-01", "1970-01-01T00:00:01", "1970-01-01T00:00:02"]),
    ],
)
def test_ways_to_write_a_time(values, wanted):
    found = made({"t": values, "v": [0] * len(values)}, time="t")
    assert found.steps["t"].values.tolist() == stamps(*wanted)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["01/02/2020", "03/04/2020"], "no value tells whether the day or the month comes first"),
        (["2020-01-01", "2020-02-30"], "row 2, column 't': '2020-02-30' is not a time like 2020-12-31"),
        (["2020-01-01", None], "row 2 has no t"),
        (["soon", "later"], "holds 'soon', which is not a time"),
        (
            ["2020-01-01 00:00:00", "2020-01-01 00:00:00+01"],
            "row 2, column 't': .* some times name their zone and others do not",
        ),
    ],
)
def test_times_that_are_refused(values, told):
    with pytest.raises(DataError, match=told) as caught:
        made({"t": values, "v": [0] * len(values)}, time="t")
    assert "\n" not in str(caught.value)


def test_times_in_parts():
    columns = {"year": [2020, 2020], "month": [2, 1], "day": [1, 31], "hour": [0, 23], "v": [1, 2]}
    found = made(columns, time="year,month,day,hour")
    assert found.steps["time"].values.tolist() == stamps("2020-01-31T23", "2020-02-01T00")
    assert list(found.steps) == ["time", "v"]
    with pytest.raises(DataError, match="row 1, column 'year,month,day,hour': '2020 13 1 0' is not a time"):
        made(columns | {"month": [13, 1]}, time=("year", "month", "day", "hour"))
    with pytest.raises(DataError, match="'2020 2 1 25' is not a time"):
        made(columns | {"hour": [25, 1]}, time=("year", "month", "day", "hour"))
    beside = made(columns | {"time": [1, 2]}, time="year,month,day,hour")
    assert list(beside.steps) == ["year,month,day,hour", "v", "time"]
    late = {"year": [2020], "month": [1], "day": [1], "hour": [23], "minute": [59], "second": [59.5], "v": [1]}
    found = made(late, time="year,month,day,hour,minute,second")
    assert found.steps["time"].values.tolist() == stamps("2020-01-01T23:59:59.5")
    split = {"date": ["2020-01-02", "2020-01-01"], "clock": ["10:30", "11:45:30"], "v": [1, 2]}
    assert made(split, time="date,clock").steps["time"].values.tolist() == stamps(
        "2020-01-01T11:45:30", "2020-01-02T10:30"
    )


def test_real_times_in_parts(shared):
    with open_table(shared / "beijing_pm25" / "pollution.csv.gz") as table:
        found = sequences(table, time="year,month,day,hour")
    hours = np.arange("2010-01-01", "2015-01-01", dtype="M8[h]").astype("M8[us]")
    np.testing.assert_array_equal(found.steps["time"].values, hours)
    assert int(np.isnan(found.steps["pm2.5"].values).sum()) == 2_067  # as the set's own notes have it


DOUBLED = {
    "t": ["2020-01-02", "2020-01-01", "2020-01-02", "2020-01-02"],
    "v": [2, 1, 4, None],
    "w": ["p", "q", None, "r"],
}


@pytest.mark.parametrize(("rule", "numbers", "words"), [
    ("first", [1, 2], ["q", "p"]), ("last", [1, np.nan], ["q", "r"]), ("mean", [1, 3], ["q", "p"]),
])  # fmt: skip
def test_rules_for_duplicates(rule, numbers, words):
    found = made(DOUBLED, time="t", duplicates=rule)
    np.testing.assert_array_equal(found.steps["v"].values, np.float32(numbers))
    assert found.steps["w"].strings() == words
    assert found.lines.tolist() == [2, 1]


def test_duplicates_name_their_series():
    with pytest.raises(DataError, match="rows 1 and 3 of series 'b' have the same time 2020-01-01T00:00:00"):
        made({"k": ["b", "a", "b"], "t": ["2020-01-01"] * 3}, key="k", time="t")


def test_clocks_that_go_back_show_an_hour_twice():
    columns = {"t": ["2020-10-25 01:30", "2020-10-25 02:30", "2020-10-25 02:30", "2020-10-25 03:30"], "v": [1, 2, 3, 4]}
    found = made(columns, time="t", zone="Europe/Berlin")
    assert found.steps["t"].zone == "Europe/Berlin"
    assert not found.steps["t"].offset
    hours = ["2020-10-24T23:30", "2020-10-25T00:30", "2020-10-25T01:30", "2020-10-25T02:30"]
    assert found.steps["t"].values.tolist() == stamps(*hours)
    assert found.steps["v"].values.tolist() == [1, 2, 3, 4]
    quarters = [f"2020-10-25 02:{minute:02}" for minute in (0, 30)] * 2  # once before the change, once after it
    found = made({"t": quarters, "v": [1, 2, 3, 4]}, time="t", zone="Europe/Berlin")
    assert found.steps["v"].values.tolist() == [1, 2, 3, 4]
    once = made({"t": ["2020-10-25 02:30", "2020-10-25 04:00"], "v": [1, 2]}, time="t", zone="Europe/Berlin")
    assert once.steps["t"].values.tolist() == stamps("2020-10-25T00:30", "2020-10-25T03:00")


def test_clocks_that_go_forward_skip_an_hour():
    found = made(
        {"t": ["2020-03-29 01:30", "2020-03-29 02:45", "2020-03-29 03:30"], "v": [1, 2, 3]},
        time="t",
        zone="Europe/Berlin",
    )
    assert found.steps["t"].values.tolist() == stamps("2020-03-29T00:30", "2020-03-29T01:30", "2020-03-29T01:45")
    assert found.steps["v"].values.tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("twice", "zone"),
    [
        ("2021-10-31 02:15", "Europe/Berlin"),
        ("2021-11-07 01:00", "America/New_York"),
        ("2021-04-04 02:59", "Australia/Sydney"),
        ("2021-04-04 01:30", "Australia/LHI"),  # half an hour; Lord Howe
    ],
)
def test_an_hour_that_came_twice_asks_for_the_zone(twice, zone):
    columns = {"t": [twice, twice], "v": [1, 2]}
    with pytest.raises(DataError, match=f"which clocks in {zone} showed twice.*zone='{zone}'"):
        made(columns, time="t")
    assert len(made(columns, time="t", zone=zone).steps["v"]) == 2


def test_only_hours_that_clocks_show_twice_ask_for_the_zone():
    with pytest.raises(DataError, match=r"same time 2021-10-31T12:00:00\. Keep one"):
        made({"t": ["2021-10-31 12:00"] * 2}, time="t")


def test_an_hour_that_clocks_skip_is_told():
    """A logger that keeps winter time all year, read with a zone that does not."""
    with pytest.raises(
        DataError, match="same time 2021-03-28T03:00:00: clocks in Europe/Berlin skipped 2021-03-28T02:00"
    ):
        made({"t": ["2021-03-28 02:00", "2021-03-28 03:00"], "v": [1, 2]}, time="t", zone="Europe/Berlin")


def test_a_zone_in_the_data_stays():
    found = made({"t": ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"], "v": [1, 2]}, time="t", zone="Asia/Tokyo")
    assert found.steps["t"].values.tolist() == stamps("2020-01-01", "2020-01-02")
    assert found.steps["t"].zone == "Asia/Tokyo"


def test_a_zone_that_the_source_names_is_kept():
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {"v": [1, 2]}, index=pandas.date_range("2020-03-29", periods=2, tz="Europe/Berlin", name="t")
    )
    fixed = frame.tz_convert("+02:00")
    for source, zone in (
        (frame, "Europe/Berlin"),
        (pyarrow.table(frame.reset_index()), "Europe/Berlin"),
        (fixed, "UTC"),
    ):
        found = made(source, time="t")
        assert found.steps["t"].zone == zone
        assert found.steps["t"].offset
        assert found.steps["t"].values.tolist() == stamps("2020-03-28T23", "2020-03-29T22")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
def test_zones_agree_with_pandas(zone):
    pandas = pytest.importorskip("pandas")
    utc = np.arange("1971-01-01", "2035-01-01", 7 * 3600 + 1234, dtype="M8[s]").astype("M8[us]")
    theirs = pandas.DatetimeIndex(utc, tz="UTC").tz_convert(zone).tz_localize(None).to_numpy("M8[us]")
    np.testing.assert_array_equal(to_local(utc, zone), theirs)
    first = pandas.DatetimeIndex(theirs).tz_localize(zone, ambiguous=np.ones(len(utc), bool))
    np.testing.assert_array_equal(to_utc(theirs, zone), first.tz_convert("UTC").tz_localize(None).to_numpy("M8[us]"))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tehran"])
def test_at_the_moment_when_clocks_change(zone):
    """To the microsecond, as Python's own zones have it; of an hour that is shown twice, the first one."""
    found = changes(zone, *(np.array(["2018-01-01", "2021-12-31"], "M8[us]").astype(int).tolist()))
    info, change = ZoneInfo(zone), [at for at in found.at.astype("M8[us]").tolist() if at.year in (2018, 2021)]
    assert len(change) >= 2
    near = [timedelta(microseconds=n) for n in (-1, 0, 1)]
    utc = [at + by for at in change for by in near]
    wanted = [moment.replace(tzinfo=UTC).astimezone(info).replace(tzinfo=None) for moment in utc]
    assert to_local(np.array(utc, "M8[us]"), zone).tolist() == wanted
    local = [one + by for at in change for one in _shown_around(at, info) for by in near]
    wanted = [moment.replace(tzinfo=info).astimezone(UTC).replace(tzinfo=None) for moment in local]
    assert to_utc(np.array(local, "M8[us]"), zone).tolist() == wanted
    each = list(range(len(local)))  # a series of its own, for what is skipped is read as what comes later
    columns = {"k": each, "t": [str(moment) for moment in local], "v": each}
    steps = made(columns, key="k", time="t", zone=zone).steps
    assert dict(zip(steps["v"].values.astype(int), steps["t"].values.tolist(), strict=True)) == dict(enumerate(wanted))


def _shown_around(at, info):
    """What clocks show before and after they are changed; between the two nothing is, or everything twice."""
    before, after = ((at + by).replace(tzinfo=UTC).astimezone(info).replace(tzinfo=None) for by in (-ONE, ONE))
    return before + ONE, after - ONE


ONE = timedelta(microseconds=1)


def test_the_changes_of_a_year():
    found = changes("Europe/Berlin", *(np.array(["2020-01-01", "2020-12-31"], "M8[us]").astype(int).tolist()))
    of_2020 = [at for at in found.at.astype("M8[us]").tolist() if at.year == 2020]
    assert of_2020 == stamps("2020-03-29T01:00", "2020-10-25T01:00")


def test_large_ones_lie_in_files_that_go_with_them(monkeypatch):
    rng = np.random.default_rng(0)
    columns = {
        "k": rng.integers(0, 50, 5000).astype(str).tolist(),
        "t": rng.permutation(5000),
        "v": rng.normal(size=5000),
        "w": rng.choice(["x", "y"], 5000).tolist(),
    }
    small = made(columns, key="k", time="t")
    monkeypatch.setattr(_spill, "IN_MEMORY", 1000)
    large = made(columns, key="k", time="t")
    assert isinstance(large.steps["v"].values.base, np.memmap) or isinstance(large.steps["v"].values, np.memmap)
    assert large.fingerprint() == small.fingerprint()
    np.testing.assert_array_equal(large.lines, small.lines)
    order = np.lexsort((columns["t"], np.array(columns["k"])))
    np.testing.assert_array_equal(large.steps["v"].values, columns["v"][order].astype(np.float32))
    folder = os.path.dirname(large.steps["v"].values.filename)
    assert os.path.isdir(folder)
    taken = large.take([1])
    del large
    gc.collect()
    assert not os.path.exists(folder)
    np.testing.assert_array_equal(taken.steps["v"].values, small.take([1]).steps["v"].values)


def test_files_go_when_reading_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(_spill, "IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(DataError, match="have the same time"):
        made({"t": ["2020-01-01"] * 2, "v": [1, 2]}, time="t")
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_sequences_cannot_hold_is_refused_only_if_named():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"v": [1, 2], "parts": [[1], [2, 3]]})
    assert list(made(table).steps) == ["v"]
    with pytest.raises(DataError, match=r"column 'parts' is BIGINT\[\], which is not a number, text or time") as caught:
        made(table, columns=["parts"])
    advice = str(caught.value).split('such as "')[1].removesuffix('" and the key id.')
    with open_table(table, advice) as apart:
        found = sequences(apart, key="id")
    assert [one.steps["parts"].values.tolist() for one in found] == [[1], [2, 3]]
