"""A proof that is worth its name: it finds what differs, and nothing else."""

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.interop.cells import cell_of
from gatewise.interop.proof import compared, difference, examples, prove
from gatewise.runtime.sequential import Dense, Embedding, Flatten, Recurrent

MANY = 5000


def layers(activation, outputs=MANY):
    recurrent = Recurrent(program=cell_of("lstm").to_json(), input_size=3, hidden_size=2)
    return [Embedding(count=7, size=3), recurrent, Dense(inputs=2, outputs=outputs, activation=activation)]


def chances(scores):
    found = np.exp(scores - scores.max(-1, keepdims=True))
    return found / found.sum(-1, keepdims=True)


@pytest.mark.parametrize("activation", ["linear", "softmax"])
def test_a_small_error_shows_among_thousands_of_tokens(activation):
    """It is a thousandth of one score, and less than a millionth of a probability."""
    random = np.random.default_rng(0)
    table = random.normal(size=(7, MANY)).astype(np.float32)
    wrong = table.copy()
    wrong[:, 17] += 1e-3
    kinds = layers(activation)
    answer = chances if activation == "softmax" else np.asarray
    right, other = (compared(kinds, lambda x, own=own: answer(own[x])) for own in (table, wrong))
    assert prove(right, right, "itself", examples(kinds)).difference == 0
    with pytest.raises(ModelFileError, match=r"differs from another by 0\.00"):
        prove(other, right, "another", examples(kinds))


def test_one_probability_is_compared_as_it_is():
    kinds = layers("softmax", outputs=1)
    answers = compared(kinds, lambda x: np.full((*x.shape, 1), 0.25))
    assert answers(np.zeros((2, 3), int)).max() == 0.25


def test_shapes_and_what_is_no_number_differ():
    assert difference(np.zeros(3), np.zeros((1, 3))) == np.inf
    assert difference([0.0, np.nan], [0.0, 0.0]) == np.inf
    assert difference([1000.0], [1001.0]) == pytest.approx(1 / 1001)
    assert difference([0.001], [0.002]) == pytest.approx(0.001)


def test_examples_have_the_steps_that_a_model_takes():
    assert [x.shape for x in examples(layers("linear"))] == [(1, 1), (7, 3), (23, 2)]
    fixed = [*layers("linear", outputs=4), Flatten(length=5)]
    assert [x.shape for x in examples(fixed)] == [(5, 1), (5, 3), (5, 2)]
