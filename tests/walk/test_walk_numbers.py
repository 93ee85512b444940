"""Values and gradients of stories against the reference."""

import numpy as np
import pytest
from walk_reference import by_reference, held_by_chance, stories, story_of

from gatewise.walk.examples import stored
from gatewise.walk.numbers import numbers


def agree(story, held):
    found, want = numbers(story, held), by_reference(story, held)
    drawn, near = found.panels, {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(found.loss, want["loss"], **near)
    for (name, t), value in want["values"].items():
        node = drawn.pins[name].value
        np.testing.assert_allclose(found.values[t][node], value, **near)
        np.testing.assert_allclose(
            found.values[t][drawn.back.gradients[node]], want["gradients"][name, t], err_msg=f"{name} at {t}", **near
        )
    np.testing.assert_allclose([step[drawn.back.x] for step in found.values], want["x"], **near)
    for got, wanted in zip(
        [*stored(story, found.weights), *found.head], [*want["weights"], *want["head"]], strict=True
    ):
        np.testing.assert_allclose(got, wanted, **near)


@pytest.mark.parametrize(("name", "example"), stories(quick="numbers"))
def test_values_and_gradients_are_the_reference_s_held_or_not(name, example):
    story = story_of(name, example)
    agree(story, {})
    agree(story, held_by_chance(story))
