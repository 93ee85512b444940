"""What tasks lay beside their units: features of the right steps, and costs that are those of the network."""

import numpy as np
import pytest
from explanation.test_questions import asked, opened_with

import gatewise
from gatewise.explanation.question import Ask
from gatewise.explanation.questions import naming, question
from gatewise.runtime import ops
from gatewise.runtime.sequence_model import forward
from gatewise.tasks.forecast.outputs import network_forecast
from gatewise.tasks.generate.numbers.evaluation import loss_of
from gatewise.tasks.generate.numbers.examples import Steps
from gatewise.tasks.generate.numbers.mixture import end_loss

MODELS = ["classify_number", "classify_sensors", "classify_text", "tag_entities", "tag_numbers"]
SERIES = ["forecast_quantiles", "forecast_counts", "detect_both", "detect_prediction", "generate_numbers"]
SIGNALS = ["transcribe_lines", "transcribe_steps"]


@pytest.fixture
def laid(monkeypatch):
    """What `name_units` is given: network, cost, features."""
    given = []
    monkeypatch.setattr(naming, "name_units", lambda net, run, features, seed: given.append((net, run, features)) or [])
    return given


@pytest.mark.parametrize("name", MODELS + SERIES + SIGNALS)
def test_every_feature_is_of_the_steps_that_a_layer_runs(name, tmp_path, laid):
    """And of the rows: what is told apart could otherwise be other steps than those that cost something."""
    found = asked(name, tmp_path)
    found.units(0)
    [(net, run, features)] = laid
    cost = run(net)
    assert features
    assert np.isfinite(cost).all()
    for one in features.values():
        assert np.isfinite(one).all()
        assert one.shape == cost.shape if cost.ndim == 2 else one.shape[1:] == cost.shape
    gatewise.explanation.name_units(net, run, features)


def test_costs_of_a_detector_are_the_nats_that_it_scores_by(tmp_path, laid):
    model, data = opened_with("detect_prediction", tmp_path, "scores")
    found, _ = question(model, data, 0, Ask(step=3))
    found.units(0)
    [(net, run, features)] = laid
    predictor = model._predictor()
    values = predictor.series(data).values[0]
    wanted = predictor.errors.errors(np.asarray(values)).mean()
    known = np.isfinite(wanted[1:])
    np.testing.assert_allclose(run(net)[:-1, 0][known], wanted[1:][known], rtol=1e-4, atol=1e-5)
    assert any(name.startswith("level of ") for name in features)


def test_costs_of_a_forecaster_are_squared_errors_of_its_points(tmp_path, laid):
    found = asked("forecast_quantiles", tmp_path)
    found.units(0)
    [(net, run, features)] = laid
    model, data = opened_with("forecast_quantiles", tmp_path, "predict")
    predictor = model._predictor()
    table = predictor.table(predictor.read(data))
    series, window = table.series(model.calendar), predictor.window
    origins = np.arange(window.context_length, int(series.known_ends[0]) - window.horizon + 1)
    cost = run(net)
    assert len(cost) == len(origins)
    batch = series.batch(np.zeros(len(origins), int), origins, window).arrays()
    points, _, _ = network_forecast(predictor.net, predictor.head, batch, 1, 0)
    wanted = batch["wanted"][:, 0]
    errors = (np.square(points - batch["target"])[:, 0] * wanted).sum(-1) / wanted.sum(-1)
    np.testing.assert_allclose(cost, errors, rtol=1e-5)
    level = features["level of sold"]
    np.testing.assert_allclose(level[-1], batch["past"][:, 0, -1], rtol=1e-6)  # the last step of each window


def test_costs_of_a_generator_are_the_nats_that_it_is_measured_by(tmp_path, laid):
    found = asked("generate_numbers", tmp_path)
    found.units(0)
    [(net, run, _)] = laid
    model, data = opened_with("generate_numbers", tmp_path, "evaluate")
    learned, steps = model.numbers_, Steps.of(model._read_numbers(data, "utf-8"), model.numbers_.channels)
    wanted = loss_of(net, learned, steps)
    count = len(steps.lengths)
    batch = learned.examples(steps).batch(np.arange(count), np.zeros(count, int), steps.lengths)
    output, _ = forward(net, batch.inputs, None, batch.lengths)
    follows, ended = batch.marks
    ends = (end_loss(ops, output, batch.odds, ended) * (follows + ended)).sum()  # which is no cost of a step
    lost = run(net).sum() + ends + learned.log_scale * follows.sum()
    assert lost / wanted["steps"] == pytest.approx(wanted["loss"], rel=1e-5)


def test_costs_of_a_tagger_are_nats_of_its_own_tags(tmp_path, laid):
    found = asked("tag_entities", tmp_path)
    found.units(0)
    [(net, run, _)] = laid
    model, data = opened_with("tag_entities", tmp_path, "predict")
    predictor = model._predictor()
    scores = predictor.network_scores(predictor.features.encode(predictor.read(data)))
    chances = np.exp(scores - scores.max(1, keepdims=True))
    wanted = -np.log(chances.max(1) / chances.sum(1))
    cost, traces = gatewise.explanation.trace(net, run)
    flat = cost[np.arange(len(cost))[:, None] < traces[-1].lengths]  # rows are in an order of chance
    np.testing.assert_allclose(np.sort(flat), np.sort(wanted), rtol=1e-4, atol=1e-6)
