"""How forecasts and anomaly scores are put together: pieces that add up to what `predict` prints."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from explanation.test_questions import asked, opened_with

import gatewise
from gatewise.document import read
from gatewise.explanation.attribution import together
from gatewise.explanation.composition import Composition, Piece
from gatewise.explanation.questions.detect_pieces import Scored
from gatewise.explanation.questions.forecast_pieces import composed


def test_pieces_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match=r"sum to 3, but it is 4"):
        Composition(text="the forecast", value=4.0, pieces=[Piece(text="a", value=1.0), Piece(text="b", value=2.0)])
    with pytest.raises(ValueError, match=r"a sum to 3, but it is 4"):
        Piece(text="a", value=4.0, input="series", usual=1.0, steps=[2.0])
    with pytest.raises(ValueError, match="names its input 'series', and 0"):
        Piece(text="a", value=4.0, input="series")


@pytest.mark.parametrize("horizon", [1, 2])
@pytest.mark.parametrize("quantile", [None, 0.8])
def test_the_linear_part_is_its_weights_times_what_is_read(horizon, quantile, tmp_path):
    model, data = opened_with("forecast_quantiles", tmp_path, "predict")
    printed = next(iter(model.predictions(data)))
    found = asked("forecast_quantiles", tmp_path, horizon=horizon, quantile=quantile)
    made = found.composition()
    column = "sold" if quantile is None else "sold_0.8"
    assert made.value == pytest.approx(printed[column][horizon - 1], abs=1e-9)
    assert sum(piece.value for piece in made.pieces) == pytest.approx(made.value, rel=1e-6)
    linear = made.pieces[0]
    net = model._net
    weights = np.float64(net.linear) + 0.1 * np.float64(net.blend_weight) * np.float64(net.moved)
    past = np.float64(found.parts[0].values[:, 0])
    shown = found.inputs[0].values.array[:, 0].astype(float)
    scale = np.ptp(shown) / np.ptp(past)
    np.testing.assert_allclose(
        linear.steps, weights[horizon - 1] * (past - past.mean()) * scale, rtol=1e-5, atol=1e-6 * np.ptp(shown)
    )
    assert linear.usual + sum(linear.steps) == pytest.approx(linear.value, abs=1e-9)


def test_what_a_step_takes_off_a_forecast_is_measured_by_forecasting_again(tmp_path):
    model, data = opened_with("forecast_quantiles", tmp_path, "predict")
    read = model._predictor().read(data)
    made = asked("forecast_quantiles", tmp_path, horizon=2).composition()
    window = asked("forecast_quantiles", tmp_path).inputs[0].values.array[:, 0]
    known, sold = np.flatnonzero(np.isfinite(window)), read.steps["sold"].values[: read.offsets[1]]
    last = int(np.flatnonzero(np.isfinite(sold))[-1]) + 1  # what comes after it is known ahead
    assert len(made.occluded) == len(window)
    for step in known[-3:]:
        values = np.array(read.steps["sold"].values)
        at = last - len(window) + step
        assert values[at] == pytest.approx(window[step])
        past = asked("forecast_quantiles", tmp_path).parts[0].values[:, 0]
        scale = np.polyfit(past[known], window[known], 1)
        values[at] = np.polyval(scale, past.mean())
        changed = replace(read, steps={**read.steps, "sold": replace(read.steps["sold"], values=values)})
        fall = model.predict(read)[0][1] - model.predict(changed)[0][1]
        assert made.occluded[step] == pytest.approx(fall, abs=1e-4)


def test_steps_of_a_linear_part_behind_a_curve_add_up(tmp_path):
    """A forecast of counts goes through a softplus, step after step."""
    made = asked("forecast_counts", tmp_path).composition()
    linear = made.pieces[0]
    assert linear.usual + sum(linear.steps) == pytest.approx(linear.value, abs=1e-9)
    assert [piece.text for piece in made.pieces][1:] == [
        "the recurrent layers of the network",
        "drawing paths instead of their middle",
    ]


def test_shares_of_network_and_plain_methods():
    linear = Piece(text="linear", value=4.0, input="series", usual=1.0, steps=[2.0, 1.0])
    network, plain = [linear, Piece(text="layers", value=-1.0)], [Piece(text="theta", value=8.0)]
    made = composed("it", 5.5, network, 3.5, "in order", 0.75, plain)
    assert [(piece.text, piece.value) for piece in made.pieces] == [
        ("linear", 3.0),
        ("layers", -0.75),
        ("in order", 0.375),
        ("theta", 2.0),
        ("calibration and limits", 0.875),
    ]
    assert made.pieces[0].steps == [1.5, 0.75]
    assert [piece.text for piece in composed("it", 8.0, [], None, "", 0.0, plain).pieces] == ["theta"]
    assert read(Composition, json.loads(json.dumps(asdict(made)))).value == 5.5


@pytest.fixture(scope="module")
def detector():
    """Two waves, of which one jumps in the data that are scored."""
    rng = np.random.default_rng(0)
    t = np.arange(900)
    normal = np.stack([np.sin(t / 9), np.cos(t / 13)], 1) + 0.1 * rng.normal(size=(900, 2))
    odd = normal.copy()
    odd[700, 1] += 3
    return gatewise.Detector(hidden_size=4, epochs=1).fit(normal[:600]), odd


@pytest.mark.parametrize("step", [100, 700, 703, 720])
def test_a_score_is_its_largest_candidate_and_what_is_made_of_it(detector, step):
    model, odd = detector
    report = gatewise.explain(model, odd, step=step)
    made = report.composition
    printed = model._predictor().scores(odd)[0]
    assert made.value == pytest.approx(printed[step], rel=1e-6)
    assert sum(piece.value for piece in made.pieces) == pytest.approx(made.value, abs=1e-9)
    assert made.pieces[0].value >= max(piece.value for piece in made.rivals) - 1e-9
    if step == 700:
        assert made.pieces[0].text == "how much 'x1' jumps"
        assert int(np.argmax(made.occluded)) == len(made.occluded) - 1


def test_what_a_step_takes_off_a_score_is_measured_by_predicting_again(detector):
    model, odd = detector
    predictor, step = model._predictor(), 703
    occluded = gatewise.explain(model, odd, step=step).composition.occluded
    for back in (0, 3, 50):
        changed = odd[: step + 1].copy()
        changed[step - back] = predictor.errors.scale.location
        fall = predictor.scores(odd)[0][step] - predictor.scores(changed)[0][step]
        assert occluded[len(occluded) - 1 - back] == pytest.approx(fall, abs=1e-5)


def test_of_one_channel_its_own_score_is_put_together(detector):
    model, odd = detector
    names = model._predictor().channels
    made = gatewise.explain(model, odd, step=700, target=names[0]).composition
    found = model._predictor().surprises(odd)
    assert made.value == pytest.approx(float(found.by_channel[700, 0]), rel=1e-6, abs=1e-6)
    assert names[1] not in "".join(piece.text for piece in made.pieces)


def test_neighbours_are_hidden_together_where_there_is_much_to_compute(detector, monkeypatch):
    model, odd = detector
    scored = Scored(model._predictor(), odd[:701], 601, None)
    exact = scored.occluded()
    monkeypatch.setattr("gatewise.explanation.questions.detect_pieces.MOST_COMPARED", 1)
    occluded = scored.occluded()
    np.testing.assert_allclose(occluded[-4:], exact[-4:], atol=1e-9)  # the last ones each by itself
    hidden = odd[601:701].copy()
    hidden[72:96] = model._predictor().errors.scale.location  # the last quarter of those before
    [fall] = scored.scores(odd[601:701][:, None]) - scored.scores(hidden[:, None])
    np.testing.assert_allclose(occluded[72:96], fall / 24, atol=1e-9)


def test_which_steps_are_hidden_together():
    assert together(5, 5).tolist() == [0, 1, 2, 3, 4]
    assert together(10, 4).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 3]
    assert together(1, 1).tolist() == [0]
