import numpy as np
import pytest

from gatewise.data.sequences import Column, Sequences
from gatewise.data.tables import _spill
from gatewise.data.tables.frequency import (
    Frequency,
    calendar_features,
    frequency_of,
    infer_frequency,
    next_timestamps,
    regular,
)
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.errors import DataError

pandas = pytest.importorskip("pandas")

# pandas' name for a frequency, ours, how it is called, its usual season
ROWS = [
    ("s", Frequency("span", 10**6), "every second", 60),
    ("15s", Frequency("span", 15 * 10**6), "every 15 seconds", 4),
    ("min", Frequency("span", 60 * 10**6), "every minute", 60),
    ("4min", Frequency("span", 240 * 10**6), "every 4 minutes", 15),
    ("5min", Frequency("span", 300 * 10**6), "every 5 minutes", 288),
    ("30min", Frequency("span", 1800 * 10**6), "every 30 minutes", 48),
    ("h", Frequency("span", 3600 * 10**6), "hourly", 24),
    ("6h", Frequency("span", 6 * 3600 * 10**6), "every 6 hours", 4),
    ("D", Frequency("day"), "daily", 7),
    ("B", Frequency("business day"), "every business day", 5),
    ("2D", Frequency("day", 2), "every 2 days", 1),
    ("W-WED", Frequency("day", 7), "weekly", 52),
    ("MS", Frequency("month"), "monthly", 12),
    ("ME", Frequency("month", month_end=True), "monthly", 12),
    ("QS", Frequency("month", 3), "quarterly", 4),
    ("QE", Frequency("month", 3, month_end=True), "quarterly", 4),
    ("YS", Frequency("month", 12), "yearly", 1),
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_agrees_with_pandas(row, zone):
    theirs, wanted, called, season = row
    clock = pandas.Timedelta(0) if "span" in wanted.unit else pandas.Timedelta("7h30min")
    index = pandas.date_range("2019-12-30", periods=100, freq=theirs, tz=zone) + clock
    if zone and wanted.unit != "span":
        index = (pandas.date_range("2019-12-30", periods=100, freq=theirs) + clock).tz_localize(zone)
    utc = (index.tz_convert("UTC").tz_localize(None) if zone else index).to_numpy("M8[us]")
    found = infer_frequency(utc[:60], zone)
    assert (found, str(found), found.seasonal_period) == (wanted, called, season)
    np.testing.assert_array_equal(next_timestamps(utc[59], found, 40, zone), utc[60:])
    np.testing.assert_array_equal(found.places(utc, zone), np.arange(100))
    kept = np.sort(np.random.default_rng(1).choice(60, 45, replace=False))
    assert infer_frequency(utc[kept], zone) == wanted
    np.testing.assert_array_equal(wanted.timestamps(utc[kept[0]], np.arange(100 - kept[0]), zone), utc[kept[0] :])


@pytest.mark.parametrize(
    ("seconds", "season"),
    [(59, 1), (60, 60), (90, 40), (240, 15), (299, 1), (300, 288), (3600, 24), (7200, 12), (86399, 1)],
)
def test_seasons_between_the_common_spans(seconds, season):
    assert Frequency("span", seconds * 10**6).seasonal_period == season


def series(*groups, zone=None):
    """Sequences with stamps, a number, a category and a text that count the steps."""
    stamps = [np.array(group, "M8[us]") for group in groups]
    count = sum(map(len, stamps))
    steps = {
        "t": Column("t", "time", np.concatenate(stamps), zone=zone),
        "v": Column("v", "number", np.arange(count, dtype=np.float32)),
        "c": Column("c", "category", np.zeros(count, np.int32), ("x",)),
        "w": Column("w", "text", np.array(["w"] * count, object)),
        "s": Column("s", "number", np.ones((count, 2), np.float32)),
    }
    names = Column("shop", "category", np.arange(len(groups), dtype=np.int32), tuple("abcdefgh"[: len(groups)]))
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in stamps])]).astype(np.int64)
    return Sequences(offsets, steps, {"shop": names}, "sales", np.arange(1, count + 1))


@pytest.mark.parametrize("limit", [256 << 20, 0], ids=["in memory", "in files"])
def test_gaps_become_missing_steps(monkeypatch, limit):
    monkeypatch.setattr(_spill, "IN_MEMORY", limit)
    days = ["2020-01-01", "2020-01-02", "2020-01-05"]
    found = regular(series(days, ["2020-02-01", "2020-02-02"]), "t")
    assert found.added.tolist() == [2, 0]
    assert str(found.frequency) == "daily"
    steps = found.sequences.steps
    assert found.sequences.offsets.tolist() == [0, 5, 7]
    assert (
        steps["t"].values[:5].tolist() == np.arange("2020-01-01", "2020-01-06", dtype="M8[D]").astype("M8[us]").tolist()
    )
    np.testing.assert_array_equal(steps["v"].values, np.float32([0, 1, np.nan, np.nan, 2, 3, 4]))
    assert steps["c"].strings() == ["x", "x", None, None, "x", "x", "x"]
    assert steps["w"].strings() == ["w", "w", None, None, "w", "w", "w"]
    assert steps["s"].values.shape == (7, 2)
    assert np.isnan(steps["s"].values[2:4]).all()
    assert found.sequences.lines.tolist() == [1, 2, 0, 0, 3, 4, 5]
    assert found.sequences.static["shop"].strings() == ["a", "b"]


def test_without_gaps_nothing_is_copied():
    whole = series(["2020-01-01", "2020-01-02"])
    assert regular(whole, "t").sequences is whole


def test_days_are_days_when_clocks_change():
    midnights = ["2020-03-27T23:00", "2020-03-28T23:00", "2020-03-29T22:00", "2020-03-31T22:00"]
    found = regular(series(midnights, zone="Europe/Berlin"), "t")
    assert (str(found.frequency), found.added.tolist()) == ("daily", [1])
    assert str(found.sequences.steps["t"].values[3]) == "2020-03-30T22:00:00.000000"


def test_a_single_step_and_an_empty_series_take_the_frequency_of_the_others():
    found = regular(series(["2020-01-01", "2020-01-02", "2020-01-04"], ["2021-05-05"], []), "t")
    assert found.added.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (
            [["2020-01-01", "2020-01-02", "2020-01-03"], ["2020-01-01T00", "2020-01-01T01", "2020-01-01T02"]],
            "'b' is hourly .2020-01-01 00:00:00, 2020-01-01 01:00:00, .*, but the series of shop 'a' is daily",
        ),
        (
            [["2020-01-01T00:00", "2020-01-01T00:05", "2020-01-01T00:10", "2020-01-01T00:17"]],
            "the series of shop 'a' is every 5 minutes, but 2020-01-01 00:17:00 after 2020-01-01 00:10:00 lies between",
        ),
        ([["2020-01-02", "2020-01-01"]], "shop 'a': 2020-01-01 00:00:00 does not come after 2020-01-02 00:00:00"),
        ([["2020-01-02", "2020-01-02"]], "does not come after"),
        ([["2020-01-02", "NaT"]], "has a step without a time in 't'"),
        ([["2020-01-02"], ["2020-01-02"]], "no sequence has two steps"),
    ],
)
def test_what_has_no_one_frequency(groups, told):
    with pytest.raises(DataError, match=told) as caught:
        regular(series(*groups), "t")
    assert "\n" not in str(caught.value)


def test_a_column_that_is_no_time():
    with pytest.raises(DataError, match="column 'v' is not a time of steps"):
        regular(series(["2020-01-01", "2020-01-02"]), "v")
    with pytest.raises(DataError, match="no column named 'time'"):
        regular(series(["2020-01-01", "2020-01-02"]), "time")


REAL = [
    ("etth1/ETTh1.csv.gz", "date", "hourly", 0),
    ("sp500/sp500-2000.csv.gz", "date", "every business day", 190),
    ("univariate_small/airline-passengers.csv", "Month", "monthly", 0),
    ("univariate_small/daily-min-temperatures.csv", "Date", "daily", 2),  # the 31st of December of two leap years
    ("univariate_small/shampoo.csv", "Month", "monthly", 0),
    ("nab/data/realKnownCause/nyc_taxi.csv.gz", "timestamp", "every 30 minutes", 0),
    ("nab/data/realKnownCause/ambient_temperature_system_failure.csv.gz", "timestamp", "hourly", 621),
]


@pytest.mark.parametrize(("file", "time", "called", "added"), REAL, ids=[row[0].split("/")[-1] for row in REAL])
def test_real_series(shared, file, time, called, added):
    with open_table(shared / file) as table:
        found = regular(sequences(table, time=time, columns=()), time)
    assert (str(found.frequency), found.added.tolist()) == (called, [added])


def test_many_series_at_once():
    stamps = [np.arange("2020-01-01", "2020-03-01", dtype="M8[D]").astype("M8[us]") for _ in range(8)]
    assert str(frequency_of(series(*stamps), "t")) == "daily"


def test_calendar_features():
    stamps = np.array(["2021-03-01T06:00", "2021-07-02T18:00"], "M8[us]")  # a Monday and a Friday
    names, values = calendar_features(stamps, Frequency("span", 3600 * 10**6))
    assert names[::2] == ("hour of day (sine)", "day of week (sine)", "day of month (sine)", "day of year (sine)")
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[0, :4], [1, 0, 0, 1], atol=1e-6)  # a quarter of the day; the week begins
    angle = 2 * np.pi * 4 / 7
    np.testing.assert_allclose(values[1, :4], [-1, 0, np.sin(angle), np.cos(angle)], atol=1e-6)
    np.testing.assert_allclose(values[:, 6], np.sin(2 * np.pi * np.array([59, 182]) / 365), atol=1e-6)
    assert np.abs(values).max() <= 1
    in_tokyo = calendar_features(stamps[:1], Frequency("span", 3600 * 10**6), "Asia/Tokyo")[1]
    np.testing.assert_allclose(in_tokyo[0, 0], np.sin(2 * np.pi * 15 / 24), atol=1e-6)
    monthly, twelfths = calendar_features(stamps, Frequency("month"))
    assert monthly == ("month of year (sine)", "month of year (cosine)")
    np.testing.assert_allclose(twelfths, [[np.sin(np.pi / 3), np.cos(np.pi / 3)], [0, -1]], atol=1e-6)
    assert calendar_features(stamps, Frequency("month", 12))[1].shape == (2, 0)
    assert calendar_features(stamps[:0], Frequency("day"))[1].shape == (0, 6)
