"""A language model as functions of its state."""

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.runtime.language_model import LanguageModel
from gatewise.tasks import Writer


def read(model, text, state=None):
    for token in model.vocabulary.encode(text):
        state = model.advance(state, int(token))
    return state


def same(one, other):
    assert one.recent == other.recent
    np.testing.assert_array_equal(one.scores, other.scores)
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_states_are_values(model_file):
    model = LanguageModel.load(model_file)
    state = read(model, "Peter Piper")
    scores = state.scores.copy()
    one, other = read(model, " picked", state), read(model, " a peck", state)
    assert not np.array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(state.scores, scores)
    same(read(model, " picked", state), one)
    same(read(model, "Peter Piper picked"), one)


def test_log_probabilities_add_up_to_one(model_file):
    model = LanguageModel.load(model_file)
    found = model.log_probabilities(model.begin())
    assert found.shape == (len(model.vocabulary),)
    assert np.exp(found).sum() == pytest.approx(1)


def test_a_state_survives_as_bytes_and_goes_on_in_a_writer(model_file):
    model = LanguageModel.load(model_file)
    state = read(model, "A peck of")
    same(model.state_from_bytes(model.state_to_bytes(state)), state)
    first, second = Writer.load(model_file), Writer.load(model_file)
    first.push("A peck of")
    second.state = state
    assert "".join(first.write("", 30)) == "".join(second.write("", 30))
    second.reset()
    assert second.state is None


@pytest.mark.parametrize("prompt", ["", "A peck of"])
def test_a_writer_and_a_stream_read_a_prompt_alike(prompt, model_file):
    """After the token that texts begin after."""
    writer, streams = Writer.load(model_file), LanguageModel.load(model_file).streams()
    writer.push(prompt)
    np.testing.assert_array_equal(writer.state.scores, streams.push({(stream := streams.open()): prompt})[stream])


def test_bytes_that_are_no_state(model_file):
    model = LanguageModel.load(model_file)
    data = model.state_to_bytes(model.begin())
    for damaged in (b"", b"x", data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="not a state"):
            model.state_from_bytes(damaged)
    model.digest = "another"
    with pytest.raises(ModelFileError, match="of another model"):
        model.state_from_bytes(data)
