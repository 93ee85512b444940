"""The story that a report tells of its first layer: which steps, and gradients as in the whole network."""

import json
from importlib import import_module

import numpy as np
import pytest
import torch
from old_models import written
from tasks.test_old_models import MODELS

from gatewise.explanation.explaining import explain
from gatewise.explanation.question import Ask
from gatewise.explanation.questions import question
from gatewise.explanation.report import Report
from gatewise.explanation.walking import story_of
from gatewise.nn import Recurrent
from gatewise.tasks import load
from gatewise.walk.numbers import numbers


def test_gradients_arrive_as_in_the_whole_network(tmp_path):
    """Of two layers, of which the first is walked through: autograd through all of the network finds the same."""
    path, data = MODELS / "generate_text.model", written("generate_text", tmp_path)
    report = explain(path, data, step=5)
    story = story_of(Report.from_json(json.loads(json.dumps(report.to_json()))))
    asked, _ = question(load(path), data, 0, Ask(step=5), encoding="utf-8")
    arrays = [torch.from_numpy(part.values[:, None].astype(np.float64)).requires_grad_() for part in asked.parts]
    slopes = torch.autograd.grad(asked.scores(asked.trainable().double(), arrays).sum(), arrays)
    found = numbers(story)
    np.testing.assert_array_equal(story.x, asked.parts[0].values)
    got = np.stack([step[found.panels.back.x] for step in found.values])
    np.testing.assert_allclose(got, slopes[0][:, 0].numpy(), rtol=1e-12, atol=1e-14)
    for node, slope in zip(found.panels.back.before, slopes[1:], strict=True):  # of the state before them
        np.testing.assert_allclose(found.values[0][node], slope[0, 0].numpy(), rtol=1e-12, atol=1e-14)
    assert not story.assumed
    assert story.steps == ("a", "␣", "t", "i", "n")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("tag_entities", {"step": 1}),
        ("transcribe_lines", {}),
        ("classify_number", {}),
        ("translate_characters", {"step": 1}),
        ("caption_images", {"step": 3}),  # whose layer runs step by step, each after the attention of the one before
        ("forecast_counts", {"horizon": 2}),  # whose layers read the past in one call, and then each forecast
    ],
)
def test_gradients_of_steps_after_the_window_are_in_it(name, asked, tmp_path, monkeypatch):
    """What the state before the first step gets, by way of all steps, is what autograd in float64 finds."""
    monkeypatch.setattr(import_module("gatewise.walk.window"), "MOST_STEPS", 10_000)
    data, model = written(name, tmp_path), load(MODELS / f"{name}.model")
    story = story_of(explain(model, data, **asked))
    found, _ = question(model, data, 0, Ask(**asked))
    net, starts = found.trainable().double(), []
    layers = {name: one for name, one in net.named_modules() if isinstance(one, Recurrent)}
    first = next(layers[name] for name in ("encoder.layers", "encoder", "layers", "members.0.layers") if name in layers)
    given = first.forward

    def from_a_leaf(x, hx=None, *more, **named):
        if starts:
            return given(x, hx, *more, **named)
        count = first.num_layers * (2 if first.bidirectional else 1)
        own = [torch.zeros(count, x.shape[1], s.size, dtype=x.dtype, requires_grad=True) for s in story.start]
        starts.append(own)
        before = [0.0] * len(own) if hx is None else hx if isinstance(hx, tuple) else [hx]
        state = [leaf + one for leaf, one in zip(own, before, strict=True)]
        return given(x, tuple(state) if len(own) > 1 else state[0], *more, **named)

    first.forward = from_a_leaf
    arrays = [torch.from_numpy(part.values[:, None].astype(np.float64)) for part in found.parts]
    score = found.scores(net, arrays).sum()
    [own] = starts
    slopes = torch.autograd.grad(score, own)
    got = numbers(story)
    assert any(slope[0].any() for slope in slopes)
    for node, slope in zip(got.panels.back.before, slopes, strict=True):
        np.testing.assert_allclose(got.values[0][node], slope[0, 0].numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "asked", "last", "assumed"),
    [
        ("tag_entities", {"row": 1, "step": 2}, 2, False),
        ("transcribe_lines", {}, 1, False),  # the frame that is surest of the symbol
        ("translate_characters", {"step": 1}, 10, False),
        ("caption_images", {"step": 1}, 1, False),  # whose layer runs step by step
    ],
)
def test_a_walk_ends_where_the_target_is_read_off(name, asked, last, assumed, tmp_path):
    report = explain(MODELS / f"{name}.model", written(name, tmp_path), **asked)
    story = story_of(report)
    assert report.walk.at == last
    assert len(story.steps) == min(8, last + 1)
    assert story.assumed is assumed
    assert story.name.startswith(f"{name}.model, ")
