"""The story that a report tells of its first layer: which steps, and gradients as in the whole network."""

import json

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
from gatewise.tasks import load
from gatewise.walk.numbers import numbers


def test_gradients_arrive_as_in_the_whole_network(tmp_path):
    """Of two layers, of which the first is walked through: autograd through all of the network finds the same."""
    path, data = MODELS / "generate_text.model", written("generate_text", tmp_path)
    report = explain(path, data, step=5)
    story = story_of(Report.from_json(json.loads(json.dumps(report.to_json()))))
    asked, _ = question(load(path), data, 0, Ask(step=5), encoding="utf-8")
    arrays = [torch.from_numpy(part.values[:, None].copy()).requires_grad_() for part in asked.parts]
    slopes = torch.autograd.grad(asked.scores(asked.trainable(), arrays).sum(), arrays)
    found = numbers(story)
    np.testing.assert_array_equal(story.x, asked.parts[0].values)
    got = np.stack([step[found.panels.back.x] for step in found.values])
    np.testing.assert_allclose(got, slopes[0][:, 0].numpy(), atol=1e-7)
    for node, slope in zip(found.panels.back.before, slopes[1:], strict=True):  # of the state before them
        np.testing.assert_allclose(found.values[0][node], slope[0, 0].numpy(), atol=1e-7)
    assert not story.assumed
    assert story.steps == ("a", "␣", "t", "i", "n")


@pytest.mark.parametrize(
    ("name", "asked", "last", "assumed"),
    [
        ("tag_entities", {"row": 1, "step": 2}, 2, False),
        ("transcribe_lines", {}, 1, False),  # the frame that is surest of the symbol
        ("translate_characters", {"step": 1}, 10, False),
        ("caption_images", {"step": 1}, 0, True),  # whose layer runs step by step
    ],
)
def test_a_walk_ends_where_the_target_is_read_off(name, asked, last, assumed, tmp_path):
    report = explain(MODELS / f"{name}.model", written(name, tmp_path), **asked)
    story = story_of(report)
    assert report.walk.at == last
    assert len(story.steps) == min(8, last + 1)
    assert story.assumed is assumed
    assert story.name.startswith(f"{name}.model, ")
