"""Series that are larger than memory: read in pieces, they train the same detector, and some of them measure it."""

import re

import numpy as np
import pytest

from gatewise.data.sources import Roles, read
from gatewise.errors import Notice
from gatewise.tasks import Detector
from gatewise.tasks.detect import estimator, series, stretches
from gatewise.tasks.detect.batches import Windows
from gatewise.tasks.detect.series import Scale, measured, parts_of, read_series, training_data
from gatewise.tasks.detect.shapes import LENGTH, PROTOTYPES, Shapes

SHARES = (0.7, 0.15, 0.15)


@pytest.fixture
def table():
    """Of 12 series of unequal length: two channels with gaps, and labels."""
    rng = np.random.default_rng(0)
    key = np.repeat([f"p{k:02}" for k in range(12)], 180 + 20 * np.arange(12))
    flow, heat = rng.normal(size=(2, len(key)))
    flow[rng.random(len(key)) < 0.1] = np.nan
    flow[100:130], heat[100:130] = np.nan, np.nan
    return {"pump": key, "flow": flow, "heat": heat, "odd": (rng.random(len(key)) < 0.02) * 1}


@pytest.fixture
def data(table):
    return read(table, roles=Roles(key=("pump",), per_step=True))


def options(**more):
    return Detector(key="pump", target="odd", columns="flow,heat", hidden_size=4, epochs=0.3, seed=4, **more)


def test_stretches_that_are_read_in_pieces_are_those_in_memory(data, monkeypatch):
    found = read_series(data, None, options())
    whole = training_data(found, None, SHARES, 4)
    monkeypatch.setattr(series, "IN_MEMORY", 0)
    monkeypatch.setattr(stretches, "PIECE", 50)
    pieces = training_data(found, None, SHARES, 4)
    for one, other in zip(whole.training, pieces.training, strict=True):
        assert isinstance(one, np.ndarray)
        assert isinstance(other, stretches.Stretch)
        np.testing.assert_array_equal(one, other[:])
        np.testing.assert_array_equal(one[30:200], other[30:200])
    scale, again = (Scale.of(steps.training, found.channels) for steps in (whole, pieces))
    rows = np.concatenate(whole.training)
    np.testing.assert_allclose(again.location, np.nanmean(rows, 0), rtol=1e-12)
    np.testing.assert_allclose(again.scale, np.nanstd(rows, 0), rtol=1e-12)
    for seed in (None, 3):
        one, other = (
            Windows(scale.of_stretches(steps.training), window=8, batch_size=5, seed=seed) for steps in (whole, pieces)
        )
        assert len(one) == len(other)
        for step in (0, len(one) - 1):
            for a, b in zip(one.at(step), other.at(step), strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_detector_of_data_in_pieces_is_nearly_that_of_data_in_memory(data, monkeypatch):
    whole = options().fit(data)
    monkeypatch.setattr(series, "IN_MEMORY", 0)
    pieces = options().fit(data)
    for one, other in zip(whole.scores(data), pieces.scores(data), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)  # the scale differs in its last bits


def test_many_steps_are_measured_on_whole_series_that_the_seed_draws(data, monkeypatch, capsys):
    for place in (series, estimator):
        monkeypatch.setattr(place, "MOST_MEASURED", 700)
    found = read_series(data, None, options())
    parts = parts_of(found, SHARES, 4)
    some, own = measured(found, parts, 4)
    assert 700 <= sum(map(len, some.values)) < 700 + 420
    names = some.source.static["pump"].strings()
    assert len(names) == len(own) < 12
    for name, values, labels, places in zip(names, some.values, some.labels, own, strict=True):
        number = found.source.static["pump"].strings().index(name)
        np.testing.assert_array_equal(values[:], found.values[number][:])
        np.testing.assert_array_equal(labels, found.labels[number])
        assert places == parts[number]
    assert measured(found, parts, 4)[0].source.fingerprint() == some.source.fingerprint()
    assert {measured(found, parts, seed)[0].source.fingerprint() for seed in range(4)} != {some.source.fingerprint()}

    model = options().fit(data, verbose=1)
    told = f"{len(own)} of 12 series, which the seed draws, {sum(map(len, some.values)):,} steps together"
    odd, every = (sum(int(own.sum()) for own in one.labels) for one in (some, found))
    told += f", {odd} of {every} anomalous steps among them"
    assert f"parts on {told}" in " ".join(capsys.readouterr().err.split())
    steps = sum(place.stop - place.start for places in own for place in places.values())
    assert sum(model.metrics_[part]["steps"] for part in ("train", "validation", "test")) == steps
    with pytest.warns(Notice, match=re.escape(f"is measured on {told}")):
        again = model.evaluate(data)
    assert again["test"] == pytest.approx(model.metrics_["test"])


def test_each_group_of_many_is_measured(table, monkeypatch):
    monkeypatch.setattr(series, "MOST_MEASURED", 300)
    data = read(table, roles=Roles(key=("pump",), per_step=True))
    found = read_series(data, None, options(group="pump"))
    parts = parts_of(found, SHARES, 4, ("pump",))
    some, own = measured(found, parts, 4)
    assert len(some.values) < 12
    for part in ("train", "validation", "test"):
        assert sum(places[part].stop - places[part].start for places in own) > 0


def test_shapes_are_found_in_more_series_than_stretches_are_drawn_from():
    rng = np.random.default_rng(1)
    many = [rng.normal(size=(LENGTH + 1, 1)).astype(np.float32) for _ in range(9000)]
    assert len(Shapes.of(many, 3).prototypes) == PROTOTYPES
