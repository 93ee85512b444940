"""Parts, windows and their units, and the calendar."""

import numpy as np
import pytest
from forecast_kit import sequences, wave, window

from gatewise.tasks.forecast.estimator import Forecaster
from gatewise.tasks.forecast.inputs import Inputs
from gatewise.tasks.forecast.split import Part, Split, last_origins, spaced
from gatewise.tasks.forecast.table import table_of
from gatewise.tasks.forecast.windows import Series, in_units


def test_parts_follow_each_other_and_no_target_is_in_two():
    series = Series(sequences(np.arange(100.0), np.arange(40.0)), ["y"])
    found = Split.of(series, 5, (0.7, 0.1, 0.2))
    assert found.ends.tolist() == [70, 100 + 40 - 8 - 5]  # a share takes a horizon at least
    parts = found.parts(context=12)
    targets = {}
    for name, part in parts.items():
        index, origins = part[np.arange(len(part))]
        for place, origin in zip(index, origins, strict=True):
            targets.setdefault((name, place), set()).update(range(origin, origin + 5))
    assert targets["train", 0] == set(range(12, 70))
    assert targets["validation", 0] == set(range(70, 80))
    assert targets["test", 0] == set(range(80, 100))
    assert targets["validation", 1] == set(range(127, 132))
    assert targets["test", 1] == set(range(132, 140))


def test_a_part_counts_its_windows_as_a_list_would():
    part = Part(np.array([3, 10, 20]), np.array([2, 0, 3]), stride=2)
    index, origins = part[np.arange(len(part))]
    assert list(zip(index, origins, strict=True)) == [(0, 3), (0, 5), (2, 20), (2, 22), (2, 24)]
    few = spaced(Part(np.array([0]), np.array([10])), 4)
    assert few[np.arange(len(few))][1].tolist() == [0, 3, 6, 9]


def test_rolling_origins_end_a_horizon_before_the_end():
    series = Series(sequences(np.arange(20.0), np.arange(5.0), np.arange(3.0)), ["y"])
    part = last_origins(series, series.known_ends, 4, origins=3, stride=4)
    index, origins = part[np.arange(len(part))]
    assert list(zip(index, origins, strict=True)) == [(0, 8), (0, 12), (0, 16), (1, 21)]


@pytest.mark.parametrize("scaling", ["standard", "last", "mean", "log", "none"])
def test_a_window_in_its_units_is_the_window(scaling):
    values = np.exp(np.random.default_rng(0).normal(size=30))
    batch = Series(sequences(values), ["y"]).batch(np.array([0]), np.array([20]), window(12, 5, scaling))
    back = in_units(batch.past, batch.loc[..., None], batch.scale[..., None], scaling)
    assert back[0, 0] == pytest.approx(values[8:20], rel=1e-5)
    ahead = in_units(batch.target, batch.loc[..., None], batch.scale[..., None], scaling)
    assert ahead[0, 0] == pytest.approx(values[20:25], rel=1e-5)


def test_holes_are_filled_by_the_value_before_and_never_a_target():
    values = np.array([np.nan, 2, np.nan, 4, 6, np.nan, 8, 10.0])
    batch = Series(sequences(values), ["y"]).batch(np.array([0]), np.array([5]), window(6, 3, "none"))
    assert batch.past[0, 0].tolist() == [0, 0, 2, 2, 4, 6]  # before the series, and before its first value: nothing
    assert batch.seen[0, 0].tolist() == [0, 0, 1, 0, 1, 1]
    assert batch.wanted[0, 0].tolist() == [0, 1, 1]
    assert batch.target[0, 0].tolist() == [0, 8, 10]


def test_units_come_from_the_values_that_are_there():
    values = np.array([1, np.nan, 3, np.nan, 5, 9.0])
    batch = Series(sequences(values), ["y"]).batch(np.array([0]), np.array([5]), window(5, 1, "standard"))
    assert (batch.loc.item(), batch.scale.item()) == pytest.approx((3, np.std([1, 3, 5])))


@pytest.mark.parametrize(
    ("scaling", "value", "scale"),
    [("standard", 50, 0.05), ("last", 0, 1), ("log", 1, 1e-3), ("mean", 50, 50), ("mean", 0, 1)],
)
def test_a_flat_window_has_units_too(scaling, value, scale):
    batch = Series(sequences(np.full(9, value)), ["y"]).batch(np.array([0]), np.array([6]), window(5, 2, scaling))
    assert batch.scale.item() == pytest.approx(scale)
    assert (batch.target == (1 if scaling == "mean" and value else 0)).all()


def test_the_calendar_is_that_of_the_timestamps():
    table = table_of(sequences(wave(48), timestamps=True), Forecaster())
    series = table.series(calendar=True)
    described = Inputs({}, {}, table.calendar, {})
    batch = series.batch(np.array([0]), np.array([30]), window(6, 3, "none", described))
    sine = table.calendar.index("hour of day (sine)")
    assert batch.ahead[0, :, sine] == pytest.approx(np.sin(2 * np.pi * np.arange(30, 33) / 24), abs=1e-6)
    assert batch.covariates[0, :, sine] == pytest.approx(np.sin(2 * np.pi * np.arange(24, 30) / 24), abs=1e-6)
