"""A tagger that answers step by step."""

import numpy as np
import pytest
from tag_examples import SMALL, sentences, series

from gatewise.data.readers.arrays import from_arrays
from gatewise.errors import DataError, OptionError
from gatewise.tasks import Tagger


def test_a_stream_equals_the_whole_sequence(steerer):
    x, labels, _ = series(1, 200, seed=4)
    whole = from_arrays(x, per_step=True)
    predicted = steerer.predict(whole)[0]
    assert np.mean(predicted == labels[0]) > 0.9
    stream = steerer.stream()
    assert [stream.push(row) for row in x[0]] == predicted.tolist()
    stream.reset()
    assert [stream.push({"channels": row}) for row in x[0][:20]] == predicted[:20].tolist()


def test_a_stream_of_numbers_has_the_same_bits():
    x, _, numbers = series(2, 150)
    data = from_arrays(x, numbers, per_step=True)
    tagger = Tagger(bidirectional=False, num_layers=2, hidden_size=16, epochs=5, split=(1, 0, 0)).fit(data)
    for row, predicted in zip(x, tagger.predict(data), strict=True):
        stream = tagger.stream()
        assert [stream.push(values) for values in row] == predicted.tolist()


@pytest.mark.parametrize("letters", [False, True], ids=["words", "characters"])
def test_a_stream_of_tokens_has_the_same_labels(letters):
    tokens, labels = sentences(40)
    if letters:
        tokens = [[word[0] for word in sentence] for sentence in tokens]
    tagger = Tagger(bidirectional=False, **SMALL).fit(from_arrays(tokens, labels, per_step=True))
    assert bool(tagger.features_.words[0].pairs) == letters
    stream = tagger.stream()
    for sentence, predicted in zip(tokens[:10], tagger.predict(from_arrays(tokens[:10])), strict=True):
        stream.reset()
        assert [stream.push(token) for token in sentence] == predicted.tolist()


def test_a_stream_needs_a_tagger_that_does_not_look_ahead(namer, steerer):
    with pytest.raises(OptionError, match=r"depend on later steps \(bidirectional=True\)"):
        namer.stream()
    with pytest.raises(DataError, match="row has no 'channels'"):
        steerer.stream().push({"front": 1})
    with pytest.raises(DataError, match="has 3 numbers a step, not 2"):
        steerer.stream().push([1, 2, 3])
    with pytest.raises(DataError, match="'channels' must be a number, not 'far'"):
        steerer.stream().push("far")


def test_a_stream_goes_on_where_another_left_off(steerer):
    x, _, _ = series(1, 60, seed=4)
    stream, other = steerer.stream(), steerer.stream()
    for row in x[0][:30]:
        stream.push(row)
    state = stream.state
    rest = [stream.push(row) for row in x[0][30:]]
    other.push(x[0][50])
    for _ in range(2):  # a state is a value: it can be taken up again
        other.state = state
        assert [other.push(row) for row in x[0][30:]] == rest
    assert other.finish() is None


def test_a_stream_of_characters_takes_up_the_character_before():
    tokens, labels = sentences(40)
    tokens = [[word[0] for word in sentence] for sentence in tokens]
    tagger = Tagger(bidirectional=False, **SMALL).fit(from_arrays(tokens, labels, per_step=True))
    stream, other = tagger.stream(), tagger.stream()
    stream.push("A")
    other.state = stream.state
    assert other.push("B") == stream.push("B")
