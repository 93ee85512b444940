"""Steps that arrive one by one, and series that are read in chunks."""

import numpy as np
import pytest
from detect_kit import TINY, table, waves

from gatewise.errors import DataError
from gatewise.tasks.detect import predictor, series, stretches
from gatewise.tasks.detect.estimator import Detector

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("method", "history"), [("prediction", None), ("prediction", 200), ("reconstruction", None), ("both", 200)]
)
def test_a_stream_gives_the_scores_of_the_whole_series(method, history, monkeypatch):
    monkeypatch.setattr(predictor, "CHUNK", 100)
    detector = Detector(**TINY, method=method, history=history).fit(waves(600, 3))
    fresh = waves(250, 3, seed=1)
    fresh[RNG.random(fresh.shape) < 0.1] = np.nan
    fresh[[0, 1, 99, 100, 170]] = np.nan
    [whole] = detector.scores(fresh)
    stream = detector.stream()
    pushed = [stream.push(row) for row in fresh]
    scores = np.array([score for score, _ in pushed])
    if method == "prediction":
        assert np.array_equal(scores, whole)
    np.testing.assert_allclose(scores, whole, rtol=1e-3, atol=1e-3)
    assert [alarm for _, alarm in pushed] == (scores >= detector.threshold_).tolist()


@pytest.mark.parametrize(("method", "cell", "history"), [("both", "lstm", 150), ("prediction", "gru", None)])
def test_a_stream_that_is_given_a_state_goes_on_from_there(method, cell, history):
    detector = Detector(**TINY, method=method, cell=cell, history=history).fit(waves(600, 2))
    fresh = waves(80, 2, seed=1)
    fresh[25, 0] = np.nan
    first = detector.stream()
    whole = [first.push(row) for row in fresh]
    first.reset()
    assert [first.push(row) for row in fresh[:30]] == whole[:30]
    state = first.state
    assert [first.push(row) for row in fresh[30:]] == whole[30:]
    other = detector.stream()
    for _ in range(2):  # a state is a value: it can be used again
        other.push(fresh[3])
        other.state = state
        assert [other.push(row) for row in fresh[30:]] == whole[30:]
    assert other.finish() is None
    other.reset()
    assert [other.push(row) for row in fresh] == whole


def test_a_table_is_predicted_piece_by_piece_and_a_stream_takes_its_rows(monkeypatch):
    data = table()
    detector = Detector(**TINY, key=("machine",), columns=("load", "heat")).fit(data)
    whole = np.concatenate(detector.scores(data))
    monkeypatch.setattr(predictor, "CHUNK", 100)
    for module in (series, stretches):
        monkeypatch.setattr(module, "PIECE", 100)
    sizes, slices = [], stretches.Steps.__getitem__

    def counted(self, rows):
        found = slices(self, rows)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(stretches.Steps, "__getitem__", counted)
    assert np.array_equal(np.concatenate([chunk["score"] for chunk in detector.predictions(data)]), whole)
    assert max(sizes) == 100
    stream = detector.stream()
    heat, load = (data.steps[name].values for name in ("heat", "load"))
    pushed = [stream.push({"heat": heat[k], "load": load[k], "fault": 0})[0] for k in range(50)]
    assert pushed == whole[:50].tolist()
    with pytest.raises(DataError, match="the step has no 'load'"):
        stream.push({"heat": 1.0})
