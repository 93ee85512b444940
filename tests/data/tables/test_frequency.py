import json

import numpy as np
import pytest

from gatewise.data.sequences import Column, Sequences
from gatewise.data.tables import _spill
from gatewise.data.tables.frequency import Frequency, calendar_features, next_timestamps
from gatewise.data.tables.frequency_inference import infer_frequency
from gatewise.data.tables.regular import frequency_of, regular
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.document import read
from gatewise.errors import DataError, ModelFileError

pandas = pytest.importorskip("pandas")
from pandas.tseries.holiday import USFederalHolidayCalendar  # noqa: E402 - it needs pandas

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
    ("BME", Frequency("month", on=("last business day",)), "monthly, on the last business day", 12),
    ("BQE", Frequency("month", 3, on=("last business day",)), "quarterly, on the last business day", 4),
    ("WOM-3FRI", Frequency("month", on=("third Friday",)), "monthly, on the third Friday", 12),
    ("SME", Frequency("month", on=("15", "31")), "twice a month, on the 15th and last day", 24),
    ("SMS", Frequency("month", on=("1", "15")), "twice a month, on the 1st and 15th", 24),
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
    np.testing.assert_array_equal(next_timestamps(utc[:60], found, 40, zone), utc[60:])
    np.testing.assert_array_equal(found.places(utc, zone), np.arange(100))
    kept = np.sort(np.random.default_rng(1).choice(60, 45, replace=False))
    assert infer_frequency(utc[kept], zone) == wanted
    np.testing.assert_array_equal(wanted.timestamps(utc[kept], np.arange(100 - kept[0]), zone), utc[kept[0] :])


def utc_of(index):
    """(n,) datetime64[us] of a pandas index."""
    index = pandas.DatetimeIndex(index)
    return (index.tz_convert("UTC").tz_localize(None) if index.tz else index).to_numpy("M8[us]")


def days_like(mask, count=120, start="2019-01-07"):
    return pandas.date_range(start, periods=count, freq=pandas.offsets.CustomBusinessDay(weekmask=mask))


def hours_of(days, *minutes):
    return [day + pandas.Timedelta(minutes=one) for day in days for one in minutes]


MONTHS = pandas.date_range("2019-01-01", periods=60, freq="MS")
TRADING = range(570, 961, 30)  # half past nine to four o'clock
EXACT = {
    "29th": ([m.replace(day=min(29, m.days_in_month)) for m in MONTHS], None, "monthly", 12),
    "30th, from February": ([m.replace(day=min(30, m.days_in_month)) for m in MONTHS[1:]], None, "monthly", 12),
    "ten days": (
        [m.replace(day=d) for m in MONTHS for d in (1, 11, 21)],
        None,
        "three times a month, on the 1st, 11th and 21st",
        36,
    ),
    "leap days": (
        [pandas.Timestamp(y, 2, 29 if y % 4 == 0 else 28) for y in range(1981, 2021)], None, "yearly", 1
    ),
    "Saturdays too": (days_like("Mon Tue Wed Thu Fri Sat"), None, "every Monday to Saturday", 6),
    "weekends on Friday": (days_like("Sun Mon Tue Wed Thu"), None, "every Sunday to Thursday", 5),
    "lessons": (days_like("Tue Thu"), None, "every Tuesday and Thursday", 2),
    "trading": (
        pandas.DatetimeIndex(hours_of(days_like("1111100", 60), *TRADING)).tz_localize("America/New_York"),
        "America/New_York",
        "every 30 minutes from 09:30 to 16:00, Monday to Friday",
        14,
    ),
    "lunch break": (
        hours_of(days_like("1111100", 30), 570, 630, 780, 840),
        None,
        "4 times a day from 09:30 to 14:00, Monday to Friday",
        4,
    ),
    "open every day": (
        hours_of(days_like("1111111", 30), *range(480, 1200, 60)), None, "hourly from 08:00 to 19:00, every day", 12
    ),
    "six hours of a clock that changes": (
        pandas.DatetimeIndex(hours_of(days_like("1111111", 60, "2021-03-10"), 0, 360, 720, 1080)).tz_localize(
            "Europe/Berlin"
        ),
        "Europe/Berlin",
        "every 6 hours from 00:00 to 18:00, every day",
        4,
    ),
    "quarters of an hour that clocks show twice": (
        pandas.date_range("2021-10-29", periods=600, freq="15min", tz="Europe/Berlin"),
        "Europe/Berlin",
        "every 15 minutes",
        96,
    ),
    "midnights that clocks skip": (
        pandas.date_range("2017-10-01", periods=40, freq="D").tz_localize(
            "America/Sao_Paulo", nonexistent="shift_forward"
        ),
        "America/Sao_Paulo",
        "daily",
        7,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_calendars_that_people_keep(name):
    """What is found in the first half goes on as the second half does."""
    index, zone, called, season = EXACT[name]
    utc = utc_of(index)
    half = len(utc) // 2
    found = infer_frequency(utc[:half], zone)
    assert (str(found), found.seasonal_period) == (called, season)
    np.testing.assert_array_equal(found.places(utc, zone), np.arange(len(utc)))
    np.testing.assert_array_equal(next_timestamps(utc[:half], found, len(utc) - half, zone), utc[half:])
    assert read(Frequency, json.loads(json.dumps(vars(found)))) == found


def before_holidays(days):
    holidays = USFederalHolidayCalendar().holidays("2018", "2025")

    def working(day):
        return day if day.weekday() < 5 and day not in holidays else working(day - pandas.Timedelta(days=1))

    return [working(day) for day in days]


MOVED = {
    "weekly": (pandas.date_range("2019-01-04", periods=120, freq="W-FRI"), "weekly"),
    "month ends": (pandas.date_range("2019-01-04", periods=60, freq="BME"), "monthly, on the last business day"),
    "paydays": (MONTHS + pandas.Timedelta(days=24), "monthly"),
    "twice a month": (
        pandas.date_range("2019-01-04", periods=100, freq="SME"), "twice a month, on the 15th and last day"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
def test_holidays_move_days_and_not_the_calendar(name):
    due, called = MOVED[name]
    came = utc_of(before_holidays(due))
    due = utc_of(due)
    assert (came != due).any()
    found = infer_frequency(came)
    assert str(found) == called
    np.testing.assert_array_equal(found.places(came), np.arange(len(due)))
    last = np.flatnonzero(came[:-5] != due[:-5])[-1] + 1  # a series whose end was moved goes on where it is due
    np.testing.assert_array_equal(next_timestamps(came[:last], found, 5), due[last : last + 5])


def test_gaps_of_a_session_and_of_moved_weeks_are_filled():
    trading = utc_of(hours_of(days_like("1111100", 20), *TRADING))
    found = regular(series(np.delete(trading, [3, 4, 30])), "t")
    assert found.added.tolist() == [3]
    np.testing.assert_array_equal(found.sequences.steps["t"].values, trading)
    weeks = utc_of(pandas.date_range("2019-01-07", periods=20, freq="W-MON")).copy()
    weeks[5] += np.timedelta64(1, "D")
    found = regular(series(np.delete(weeks, 12)), "t")
    assert found.added.tolist() == [1]
    np.testing.assert_array_equal(found.sequences.steps["t"].values, weeks)  # moved ones stay as they are


def test_a_series_without_days_off_makes_theirs_gaps():
    trading = utc_of(hours_of(days_like("1111100", 40), *range(540, 1080, 60)))
    always = utc_of(pandas.date_range("2019-01-07", periods=50, freq="h"))
    assert str(frequency_of(series(trading, always), "t")) == "hourly"
    assert str(frequency_of(series(trading, trading[5:]), "t")) == "hourly from 09:00 to 17:00, Monday to Friday"


def test_the_frequency_of_a_model_is_not_guessed_again():
    week = ["2021-01-04", "2021-01-05", "2021-01-06", "2021-01-07", "2021-01-08"]
    business = Frequency("business day")
    assert regular(series(week), "t").frequency != business
    assert regular(series(week), "t", business).frequency == business
    assert regular(series(week[:1]), "t", business).added.tolist() == [0]
    with pytest.raises(DataError, match="is daily, but the model learned from data that are every business day"):
        regular(series([*week, "2021-01-09"]), "t", business)


def test_a_frequency_of_which_data_are_nearly_all_gaps_is_not_theirs():
    """They would not fit into memory."""
    hours = [f"2021-01-0{day} {hour:02}:00" for day in (1, 2, 3) for hour in range(24)]
    for frequency in (Frequency("span", 1), Frequency("span", 1000)):
        with pytest.raises(DataError, match=r"is hourly, but the model learned from data that are every (micro|milli)"):
            regular(series(hours), "t", frequency)
    with pytest.raises(DataError, match="but the model learned from data that are every microsecond"):
        regular(series(hours[:2]), "t", Frequency("span", 1))
    found = regular(series(hours), "t", Frequency("span", 60_000_000))
    assert found.added.tolist() == [71 * 60 + 1 - 72]
    assert len(regular(series(["2021-01-01", "2021-12-31"]), "t", Frequency("span", 60_000_000)).added) == 1


@pytest.mark.parametrize(
    "document", [{"unit": "moon"}, {"unit": "month", "on": ["32"]}, {"unit": "session"}, {"unit": "day", "count": 0}]
)
def test_a_document_of_no_frequency(document):
    with pytest.raises(ModelFileError, match=r"no frequency|session|unit is \"moon\"|count"):
        read(Frequency, document)


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
        (
            [["2020-01-01T00:00", "2020-01-01T00:07", "2020-01-01T01:30", "2020-01-01T01:41", "2020-01-01T03:00"]],
            r"no regular step: timestamps lie 7 minutes to 1 hour 23 minutes .*time_bucket\(INTERVAL '1 hour', t\)",
        ),
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


@pytest.mark.parametrize(
    ("frequency", "steps", "said"),
    [
        (Frequency("span", 3600 * 10**6), 24, "1 day"),
        (Frequency("span", 900 * 10**6), 6, "1 hour 30 minutes"),
        (Frequency("day"), 14, "14 days"),
        (Frequency("day", 7), 1, "1 week"),
        (Frequency("day", 10), 3, "30 days"),
        (Frequency("business day"), 5, "5 business days"),
        (Frequency("business day", weekdays=(1, 3)), 4, "4 steps"),
        (Frequency("month"), 12, "12 months"),
        (Frequency("month", 3, month_end=True), 2, "2 quarters"),
        (Frequency("month", on=("15", "31")), 4, "4 steps"),
        (Frequency("session", clocks=(0, 10)), 2, "2 steps"),
    ],
)
def test_steps_as_people_say_them(frequency, steps, said):
    assert frequency.counted(steps) == said
