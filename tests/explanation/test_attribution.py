"""Attributions against an independent account of them, and the laws that they keep."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from gatewise import Classifier, Generator
from gatewise.explanation.attribution import GAP, GRADIENTS, attributed, attribution_of, drawn, gradients, occluded
from gatewise.explanation.explaining import explain
from gatewise.explanation.question import Ask
from gatewise.explanation.questions import question

TEXT = "A peck of pickled peppers Peter Piper picked.\n"


@pytest.fixture(scope="module")
def writer():
    """A language model of two layers, and its question about a text."""
    small = {"hidden_size": 8, "num_layers": 2, "epochs": 1, "learning_rate": 0.02, "chunk_length": 16, "threads": 1}
    model = Generator(**small, seed=1).fit(io.StringIO(6 * TEXT))
    return model, question(model, io.StringIO(TEXT), 0, Ask(step=30))[0]


@pytest.mark.parametrize("points", [4, 16])
def test_integrated_gradients_are_those_of_torch_s_own_lstm(writer, points):
    """One point after the other, in float64, through `torch.nn.LSTM` with the model's weights."""
    model, asked = writer
    weights = {name: tensor.double() for name, tensor in model.model_.state_dict().items()}
    H, E = model.sizing_.hidden_size, weights["embedding.weight"].shape[1]
    layers = torch.nn.LSTM(E, H, model.sizing_.num_layers).double()
    layers.load_state_dict({name.removeprefix("layers."): w for name, w in weights.items() if "layers." in name})
    best, other = (
        next(k for k in range(len(model.vocabulary_)) if model.vocabulary_.decode([k]) == name)
        for name in (asked.target.name, asked.target.against)
    )
    rows = [torch.from_numpy(part.values).double()[:, None] for part in asked.parts]
    usual = [torch.from_numpy(np.array(part.usual)).double()[:, None] for part in asked.parts]
    places, shares = np.polynomial.legendre.leggauss(points)
    wanted = [torch.zeros_like(row) for row in rows]
    for place, share in zip(places, shares, strict=True):
        at = [(u + (place + 1) / 2 * (r - u)).requires_grad_() for r, u in zip(rows, usual, strict=True)]
        x, h, c = at
        y, _ = layers(x, (h, c))
        logits = y[-1, 0] @ weights["output.weight"].T + weights["output.bias"]
        for total, slope in zip(wanted, torch.autograd.grad(logits[best] - logits[other], at), strict=True):
            total += share / 2 * slope
    found = gradients(asked, asked.trainable(), points)
    for own, total, row, base in zip(found, wanted, rows, usual, strict=True):
        np.testing.assert_allclose(own, (total * (row - base))[:, 0].numpy(), atol=1e-6)


def test_occlusion_is_the_fall_of_the_score(writer):
    """One step after the other."""
    _, asked = writer
    [x, *states] = asked.parts
    score = asked.read([part.values[:, None] for part in asked.parts])[0]
    wanted = []
    for step in range(len(x.values)):
        hidden = x.values.copy()
        hidden[step] = x.usual[step]
        wanted.append(score - asked.read([hidden[:, None], *(part.values[:, None] for part in states)])[0])
    np.testing.assert_allclose(occluded(asked), wanted, atol=1e-6)


def test_another_answer_has_the_opposite_lead(writer):
    model, asked = writer
    text = "".join(asked.inputs[0].labels)
    one, other = (
        explain(model, io.StringIO(text), target=a, against=b).attribution
        for a, b in ((asked.target.name, asked.target.against), (asked.target.against, asked.target.name))
    )
    assert one.score == pytest.approx(-other.score, abs=1e-6)
    np.testing.assert_allclose(one.added[0].steps, -np.array(other.added[0].steps), atol=1e-6)


@pytest.fixture(scope="module")
def sensors():
    """A classifier of ragged rows of two channels, with gaps: which of the first steps is larger."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(length, 2)).astype(np.float32) for length in rng.integers(3, 12, 40)]
    classes = np.array(["left" if row[0, 0] > row[0, 1] else "right" for row in rows])
    for row in rows[::4]:
        row[1, 1] = np.nan
    options = {"hidden_size": 8, "epochs": 6, "learning_rate": 0.03, "ensemble": 2, "threads": 1, "share": 1.0}
    return Classifier(**options, seed=3).fit(rows, classes), rows


def test_channels_sum_to_steps_and_all_parts_to_the_score(sensors):
    model, rows = sensors
    for row in (0, 1):
        found = explain(model, rows, row=row)
        [added] = found.attribution.added
        np.testing.assert_allclose(added.channels.array.sum(1), added.steps, atol=1e-5)
        parts = sum(added.steps) + found.attribution.baseline + found.attribution.remainder
        assert parts == pytest.approx(found.attribution.score, abs=1e-9)
        chances = np.log(model.predict_proba([rows[row]])[0])
        classes = list(model.classes_)
        lead = chances[classes.index(found.target.name)] - chances[classes.index(found.target.against)]
        assert found.attribution.score == pytest.approx(lead, abs=1e-5)
        assert sum(term.value for term in found.because.terms) == pytest.approx(found.because.score, abs=1e-9)


def test_rows_of_other_lengths_change_no_bit(sensors):
    """What is explained is one row: only the usual step comes from all of them, and here the model knows it."""
    model, rows = sensors
    beside = explain(model, rows[1:4], row=2).attribution
    alone = explain(model, rows[3:4], row=0).attribution
    assert beside.added == alone.added
    assert len(alone.added[0].steps) == len(rows[3])


def test_a_missing_value_adds_nothing_by_its_filling(sensors):
    model, rows = sensors
    asked, _ = question(model, rows, 0, Ask())
    [part] = asked.parts
    assert np.isnan(rows[0][1, 1])
    assert part.values[1, 1] == part.usual[1, 1] == 0
    assert attributed(asked).parts[0][1, 1] == 0


@pytest.mark.parametrize("steepness", [1e4, 1e6])
def test_a_jump_on_the_way_is_found(sensors, steepness):
    """Of what depends on a sum alone, each number adds its share in the sum's way, however steep that is."""
    model, rows = sensors
    asked, _ = question(model, rows, 1, Ask())
    [part] = asked.parts
    weights = np.random.default_rng(0).uniform(0.5, 1, part.values.shape) * np.sign(part.values - part.usual)
    way = weights * (part.values - part.usual)

    def scores(net, arrays):
        [x] = arrays
        library, own = (torch, torch.from_numpy(weights).to(x)) if isinstance(x, torch.Tensor) else (np, weights)
        return library.tanh(steepness * ((own[:, None] * (x - library.asarray(part.usual)[:, None])).sum((0, 2)) - 0.3))

    found = attributed(replace(asked, outputs=scores, score=lambda found: found))
    assert found.method == GRADIENTS
    np.testing.assert_allclose(found.parts[0], 2 * way / way.sum(), atol=2 * GAP)


def test_shapley_values_are_those_of_all_orders(sensors):
    """Of the shortest row, against every order that its steps have."""
    model, rows = sensors
    row = min(range(len(rows)), key=lambda at: len(rows[at]))
    asked, _ = question(model, rows, row, Ask())
    [part] = asked.parts
    T = len(part.values)

    def score(shown):
        return asked.read([np.where(np.isin(np.arange(T), shown)[:, None], part.values, part.usual)[:, None]])[0]

    scores = {shown: score(shown) for size in range(T + 1) for shown in itertools.combinations(range(T), size)}
    wanted, orders = np.zeros(T), [*itertools.permutations(range(T))]
    for order in orders:
        for place, step in enumerate(order):
            before = tuple(sorted(order[:place]))
            wanted[step] += (scores[tuple(sorted((*before, step)))] - scores[before]) / len(orders)
    found = drawn(asked, asked.network, seed=0, most=256)
    np.testing.assert_allclose(found.steps, wanted, atol=4 * found.missed + 1e-5)
    assert found.steps.sum() == pytest.approx(found.score - found.baseline, abs=1e-5)
    assert attribution_of(asked, found, None).remainder == pytest.approx(0, abs=1e-5)


def test_a_state_is_one_more_of_those_that_are_drawn(writer):
    _, asked = writer
    found = drawn(asked, asked.network, seed=0)
    assert found.state is not None
    assert found.steps.sum() + found.state == pytest.approx(found.score - found.baseline, abs=1e-5)


def test_drawn_orders_take_the_place_of_gradients_that_do_not_add_up(sensors, monkeypatch):
    model, rows = sensors
    asked, _ = question(model, rows, 2, Ask())
    assert attributed(asked).method == "integrated gradients"
    monkeypatch.setattr("gatewise.explanation.attribution.GAP", -1.0)
    report = explain(model, rows, row=2)
    assert report.provenance.method.startswith("Shapley values")
    assert report.attribution.added[0].channels is None
    assert sum(report.attribution.added[0].steps) == pytest.approx(
        report.attribution.score - report.attribution.baseline, abs=1e-5
    )
