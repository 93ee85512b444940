"""What a row and a target are for each task, asked of the old models of `tests/tasks/models`."""

import io
import itertools
import json

import numpy as np
import pytest
import torch
from tasks.test_old_models import MODELS, opened, read

import gatewise
from gatewise.decoding.options import Decoding
from gatewise.errors import DataError, OptionError
from gatewise.explanation.attribution import attributed, ends, steps_of, variants
from gatewise.explanation.question import Ask, pair
from gatewise.explanation.questions import detect, question, tag
from gatewise.explanation.questions.classify import Reader
from gatewise.tasks.classify.architecture import read_steps

ASKED = {  # a model -> what is asked of it, beside the answer itself
    "classify_number": {},
    "classify_sensors": {},
    "classify_text": {},
    "tag_entities": {"step": 1},
    "tag_numbers": {"step": 2},
    "forecast_quantiles": {"horizon": 2},
    "forecast_counts": {"horizon": 2},
    "detect_prediction": {"step": 9},
    "detect_reconstruction": {"step": 9},
    "detect_both": {"step": 2},
    "translate_characters": {"step": 1},
    "translate_copying": {"step": 0},
    "transcribe_lines": {},
    "transcribe_steps": {},
    "caption_images": {"step": 1},
    "caption_clips": {"step": 0},
    "generate_text": {"step": 5},
    "generate_words": {"step": 2},
    "generate_numbers": {"step": 3},
    "sequential_texts": {},
}


def asked(name, folder, row=0, **more):
    """A question of an old model about data that it was asked of before."""
    story = json.loads((MODELS / f"{name}.json").read_text())
    model = gatewise.load(opened(name, folder))
    how = ("predict", "predictions", "scores", "evaluate", "next token", "answers")
    of = next(one["of"] for wanted in how for one in story["asked"] if one["ask"] == wanted)
    place = folder / "data"
    place.mkdir(exist_ok=True)
    data = read(story["data"][of], place)
    if isinstance(data, str):
        data = io.StringIO(data)
    return question(model, data, row, Ask(**{**ASKED[name], **more}))[0]


@pytest.fixture(params=ASKED)
def name(request):
    return request.param


def test_both_networks_give_the_same_score_and_the_parts_add_up(name, tmp_path):
    found = asked(name, tmp_path)
    score, baseline = ends(found)
    arrays = [torch.from_numpy(np.stack([part.values, part.usual], 1)) for part in found.parts]
    with torch.no_grad():
        of_torch = found.scores(found.trainable(), arrays).double().numpy()
    np.testing.assert_allclose(of_torch, [score, baseline], rtol=2e-5, atol=2e-5)
    explained = attributed(found)
    assert explained.gap <= 0.01
    assert explained.method == "integrated gradients"
    assert sum(part.sum() for part in explained.parts) == pytest.approx(score - baseline, rel=0.0101, abs=1e-5)
    assert [part.input for part in found.parts if part.input is not None]


def test_steps_that_are_all_hidden_are_the_baseline(name, tmp_path):
    found = asked(name, tmp_path)
    input = steps_of(found)
    hidden = np.stack([np.zeros(len(input), bool), np.ones(len(input), bool)])
    arrays = variants(found, hidden, input)
    for part, array in zip(found.parts, arrays, strict=True):
        np.testing.assert_array_equal(array[:, 0], part.values)
        np.testing.assert_array_equal(array[:, 1], part.usual if part.input is not None else part.values)


def test_a_variant_has_the_same_score_beside_others(name, tmp_path):
    """Those of the runtime depend on no other row, but where products of matrices are numpy's."""
    found = asked(name, tmp_path)
    alone = found.read([part.values[:, None] for part in found.parts])[0]
    together = found.read([np.stack([part.usual, part.values, part.values], 1) for part in found.parts])
    assert together[1] == together[2]
    assert together[1] == pytest.approx(alone, rel=1e-6, abs=1e-6)


def test_the_only_answer_there_is_has_none_to_be_compared_with():
    with pytest.raises(OptionError, match="the model knows no token but 'a'"):
        pair("token", Ask(), ["a"], np.zeros(1))


def test_numbers_have_no_other_answer_to_be_compared_with(tmp_path):
    model, data = opened_with("generate_numbers", tmp_path, "evaluate")
    with pytest.raises(OptionError, match=r"against='x' is for models of text.* no other answer to compare with"):
        question(model, data, 0, Ask(against="x"))


def test_a_row_without_steps_is_named(tmp_path):
    model = gatewise.load(opened("tag_entities", tmp_path))
    with pytest.raises(DataError, match="there is no step in row 0"):
        question(model, tag.of_text(model, "  "), 0, Ask())


def score_of(found):
    return found.read([part.values[:, None] for part in found.parts])[0]


def opened_with(name, folder, how):
    """An old model, and data that it was asked this of."""
    story = json.loads((MODELS / f"{name}.json").read_text())
    of = next(one["of"] for one in story["asked"] if one["ask"] == how)
    return gatewise.load(opened(name, folder)), read(story["data"][of], folder)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("name", ["classify_sensors", "classify_text", "classify_number"])
def test_a_classifier_s_layers_read_what_they_read_when_it_predicts(name, stride, tmp_path):
    model, data = opened_with(name, tmp_path, "predict")
    predictor = model._predictor()
    if stride > 1 and not predictor.inputs.only_numbers:
        pytest.skip("only numbers are read several steps at a time")
    predictor.inputs = predictor.inputs.with_stride(stride)
    sequences = predictor.read(data)
    for row in range(3):
        own = sequences.take([row])
        reader = Reader(predictor, own, sequences)
        arrays = [part.values[:, None] for part in reader.parts]
        for number, member in enumerate(predictor.net.members):
            found = reader.steps(number, member, arrays)
            np.testing.assert_array_equal(found, read_steps(member, predictor.inputs.encode(own)))


def test_a_class_leads_by_the_difference_of_its_log_probability(tmp_path):
    model, data = opened_with("classify_sensors", tmp_path, "predict")
    asked = question(model, data, 1, Ask())[0]
    predictor, names = model._predictor(), list(model.classes_)
    chances = np.log(predictor.tempered(predictor.read(data), np.array([1]))[0])
    lead = chances[names.index(asked.target.name)] - chances[names.index(asked.target.against)]
    assert score_of(asked) == pytest.approx(lead, abs=1e-5)


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize("bias", [0.0, 1.0, -3.0])
def test_a_tag_leads_by_the_best_paths(step, bias, tmp_path):
    """Of all paths there are: those with the one tag at this step, and those with the other."""
    model, data = opened_with("tag_entities", tmp_path, "predict")
    model._net.outside_bias = np.float32(bias)
    asked = question(model, data, 0, Ask(step=step))[0]
    predictor = model._predictor()
    emissions = predictor.network_scores(model.features_.encode(predictor.read(data).take([0])))
    if predictor.targets.outside is not None:
        emissions[:, predictor.targets.outside] -= float(predictor.net.outside_bias)
    chain, classes = predictor.chain(1.0), model.targets_.classes
    best = dict.fromkeys((asked.target.name, asked.target.against), -np.inf)
    for path in itertools.product(range(len(classes)), repeat=len(emissions)):
        if classes[path[step]] in best:
            score = chain.start[path[0]] + sum(chain.transitions[a, b] for a, b in itertools.pairwise(path))
            score += chain.end[path[-1]] + sum(emissions[t, label] for t, label in enumerate(path))
            best[classes[path[step]]] = max(best[classes[path[step]]], score)
    whole = score_of(asked) + sum(one.value for one in asked.others)
    assert whole == pytest.approx(best[asked.target.name] - best[asked.target.against], abs=1e-4)


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_forecast_is_the_network_s(horizon, tmp_path):
    model, data = opened_with("forecast_quantiles", tmp_path, "predictions")
    predictor = model._predictor(share=1.0)
    table = predictor.table(predictor.read(data))
    wanted = next(forecast.point for _, _, forecast in predictor.continuations(table))[0, 0, horizon - 1]
    assert score_of(question(model, data, 0, Ask(horizon=horizon))[0]) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["detect_prediction", "detect_reconstruction", "detect_both"])
@pytest.mark.parametrize("step", [1, 7, 33])
def test_an_anomaly_s_score_is_its_error(name, step, tmp_path):
    model, data = opened_with(name, tmp_path, "scores")
    errors = model._predictor().errors.errors(np.asarray(data, np.float64))
    assert score_of(question(model, data, 0, Ask(step=step))[0]) == pytest.approx(errors.mean()[step], abs=1e-4)


@pytest.mark.parametrize("name", ["detect_prediction", "detect_both"])
def test_what_lies_far_back_is_the_state(name, tmp_path, monkeypatch):
    monkeypatch.setattr(detect, "LONGEST", 20)
    model, data = opened_with(name, tmp_path, "scores")
    errors = model._predictor().errors.errors(np.asarray(data, np.float64))
    found, _ = question(model, data, 0, Ask(step=33))
    assert len(found.inputs[0].labels) == 20
    assert score_of(found) == pytest.approx(errors.mean()[33], abs=1e-4)


@pytest.mark.parametrize("name", ["translate_characters", "translate_copying"])
def test_written_words_lead_by_their_log_probability(name, tmp_path):
    model, data = opened_with(name, tmp_path, "predict")
    predictor = model._predictor()
    [[(_, best, _), *_]] = predictor.translate(predictor.read(data).sources[:1], Decoding())
    total = 0.0
    for step in range(len(best.tokens) + 1):
        asked = question(model, data, 0, Ask(step=step))[0]
        total += np.log(asked.answer.probability)
    assert total == pytest.approx(best.log_probability, abs=1e-4)


def test_a_symbol_leads_at_its_frame(tmp_path):
    model, data = opened_with("transcribe_steps", tmp_path, "predict")
    predictor = model._predictor()
    asked = question(model, data, 0, Ask())[0]
    frame = int(asked.target.text.rpartition(" ")[2])
    found = predictor.log_probabilities(predictor.read(data))[0][frame]
    names = ["(none)", *predictor.characters]
    lead = found[names.index(asked.target.name)] - found[names.index(asked.target.against)]
    assert score_of(asked) == pytest.approx(lead, abs=1e-5)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_next_step_of_a_drawing_is_the_mean_of_its_mixture(channel, tmp_path):
    """Of the state that a `Tracer` is in after the same steps, by many draws."""
    model, data = opened_with("generate_numbers", tmp_path, "evaluate")
    tracer, steps = model.tracer(), data[0][:5]
    state = tracer._read(np.array(steps), None)
    rng = np.random.default_rng(0)
    drawn = [tracer.drawn(state.output, state.expected, rng, 1.0) for _ in range(4000)]
    values = np.array([tracer.channels.unscaled(one) for one in drawn if one is not None])[:, channel]
    found = score_of(question(model, data, 0, Ask(step=5, target=tracer.channels.names[channel]))[0])
    if tracer.channels.real[channel]:
        assert found == pytest.approx(values.mean(), abs=5 * values.std() / np.sqrt(len(values)))
    else:
        assert 1 / (1 + np.exp(-found)) == pytest.approx(values.mean(), abs=0.04)


def test_a_step_far_into_a_drawing_has_the_same_score_as_from_its_beginning(tmp_path, monkeypatch):
    model, data = opened_with("generate_numbers", tmp_path, "evaluate")
    whole = score_of(question(model, data, 0, Ask(step=6))[0])
    monkeypatch.setattr("gatewise.explanation.questions.continued.LONGEST", 3)
    late = question(model, data, 0, Ask(step=6))[0]
    assert len(late.parts[0].values) == 3
    assert score_of(late) == pytest.approx(whole, abs=1e-5)
