"""Many sequences of numbers, continued side by side: each as if it were alone."""

import numpy as np
import pytest

from gatewise.errors import DataError
from gatewise.tasks import Generator


def test_streams_draw_what_a_tracer_draws(fitted, waves):
    streams, tracer = fitted.streams(), fitted.tracer()
    assert (streams.task, streams.channels) == ("generate", tuple(tracer.channels.names))
    ids = [streams.open() for _ in range(3)]
    following = streams.push({stream: waves[k][:5] for k, stream in enumerate(ids)})
    drawn = {stream: [] for stream in ids}
    generators = {stream: np.random.default_rng(stream) for stream in ids}
    while following:
        steps = {stream: found.draw(generators[stream], 0.7) for stream, found in following.items()}
        steps = {stream: step for stream, step in steps.items() if step is not None and len(drawn[stream]) < 20}
        for stream, step in steps.items():
            drawn[stream].append(step)
        following = streams.push(steps)
    assert any(map(len, drawn.values()))
    for k, stream in enumerate(ids):
        alone, found = fitted.tracer(), []
        alone.push(waves[k][:5])
        rng = np.random.default_rng(stream)
        for step, _ in alone._draws(alone.state, 20, 0.7, rng):
            found.append(step)
        np.testing.assert_array_equal(drawn[stream], found)


@pytest.mark.parametrize("piece", [[np.nan] * 3, "far", [], [[1.0]]])
def test_what_is_no_step_changes_no_stream(fitted, waves, piece):
    streams = fitted.streams()
    one, other = streams.open(), streams.open()
    streams.push({one: waves[0][:3]})
    before = streams.snapshot(one)
    with pytest.raises(DataError, match="a piece must be"):
        streams.push({one: waves[0][3], other: piece})
    assert streams.snapshot(one) == before


def test_an_answer_is_not_changed_by_what_follows(fitted, waves):
    streams = fitted.streams()
    one = streams.open()
    first = streams.push({one: waves[0][:3]})[one]
    want = first.draw(np.random.default_rng(0))
    streams.push({one: waves[0][3:9]})
    np.testing.assert_array_equal(first.draw(np.random.default_rng(0)), want)


def test_a_loaded_model_takes_up_the_snapshot_of_a_fitted_one(fitted, waves, tmp_path):
    fitted.save(tmp_path / "model")
    streams, loaded = fitted.streams(), Generator.load(tmp_path / "model").streams()
    one = streams.open()
    streams.push({one: waves[0][:4]})
    again = loaded.restore(streams.snapshot(one))
    found = [each.push({stream: waves[0][4:6]})[stream] for each, stream in ((streams, one), (loaded, again))]
    assert found[0].output.tobytes() == found[1].output.tobytes()
