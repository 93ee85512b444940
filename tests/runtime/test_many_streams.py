"""Many streams of one model: each answers as alone, whatever runs beside it."""

import random

import numpy as np
import pytest

from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.runtime.language_model import LanguageModel
from gatewise.tasks import Generator, Writer

TEXT = "Peter Piper picked a peck of pickled peppers.\n"


@pytest.fixture(scope="module")
def matrices(tmp_path_factory):
    """A model of a cell that the native engine does not run."""
    folder = tmp_path_factory.mktemp("matrices")
    (folder / "rhyme.txt").write_text(TEXT * 20)
    model = Generator(cell="mlstm", hidden_size=8, num_layers=2, epochs=1, seed=0).fit(folder / "rhyme.txt")
    model.save(folder / "rhyme.gatewise")
    return folder / "rhyme.gatewise"


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """A model without a network."""
    folder = tmp_path_factory.mktemp("counted")
    (folder / "rhyme.txt").write_text(TEXT * 20)
    Generator(only="plain").fit(folder / "rhyme.txt").save(folder / "rhyme.gatewise")
    return folder / "rhyme.gatewise"


@pytest.fixture(params=["model_file", "matrices", "counted"])
def model(request):
    return LanguageModel.load(request.getfixturevalue(request.param))


def alone(model, text, state=None):
    """The state of one text that nobody else reads."""
    state = model.begin() if state is None else state
    for token in model.vocabulary.encode(text).tolist():
        state = model.advance(state, token)
    return state


def same(one, other):
    assert one.dtype == other.dtype
    assert one.tobytes() == other.tobytes()


def test_any_schedule_answers_each_as_alone(model):
    chance = random.Random(2)
    streams = model.streams()
    texts, waiting = {}, [TEXT[chance.randrange(20) :][: chance.randint(1, 30)] for _ in range(12)]
    ends = {}
    while waiting or texts:
        if waiting and (not texts or chance.random() < 0.4):
            stream = streams.open()
            texts[stream], ends[stream] = waiting.pop(), 0
        chosen = [s for s in texts if chance.random() < 0.6]
        pieces = {}
        for stream in chosen:
            end = min(ends[stream] + chance.randint(0, 5), len(texts[stream]))
            piece = texts[stream][ends[stream] : end]
            one_token = len(piece) == 1 and chance.random() < 0.5
            pieces[stream] = int(model.vocabulary.encode(piece)[0]) if one_token else piece
            ends[stream] = end
        answers = streams.push(pieces)
        assert list(answers) == chosen
        for stream in chosen:
            want = alone(model, texts[stream][: ends[stream]])
            same(answers[stream], want.scores)
            assert streams.snapshot(stream) == model.state_to_bytes(want)
            if ends[stream] == len(texts[stream]):
                streams.close(stream)
                del texts[stream]
    assert len(streams) == 0


def test_a_snapshot_goes_on_anywhere(model):
    streams, other = model.streams(), model.streams()
    one = streams.open()
    streams.push({one: "Peter"})
    kept = streams.snapshot(one)
    want = streams.push({one: " Piper"})[one]
    again = other.restore(kept)
    same(other.push({again: " Piper"})[again], want)
    same(alone(model, " Piper", model.state_from_bytes(kept)).scores, want)
    fresh = streams.restore(streams.snapshot(streams.open()))  # of one that has read nothing
    same(streams.push({fresh: ""})[fresh], model.begin().scores)


def test_a_writer_goes_on_from_a_snapshot(model_file, tmp_path):
    streams = LanguageModel.load(model_file).streams()
    one = streams.open()
    streams.push({one: "Peter Piper"})
    (tmp_path / "state").write_bytes(streams.snapshot(one))
    first, second = Writer.load(model_file), Writer.load(model_file)
    first.load_state(tmp_path / "state")
    second.push("Peter Piper")
    assert "".join(first.write("", 30)) == "".join(second.write("", 30))


def test_forks_resets_and_closing(model):
    streams = model.streams()
    one = streams.open()
    begun = streams.push({one: ""})[one]
    streams.push({one: "Peter"})
    other = streams.fork(one)
    want = streams.push({one: " Piper"})[one]
    streams.reset(one)
    same(streams.push({one: ""})[one], begun)
    same(streams.push({other: " Piper"})[other], want)
    streams.close(one)
    assert one not in streams
    assert other in streams
    for call in (streams.close, streams.reset, streams.fork, streams.snapshot):
        with pytest.raises(OptionError, match=f"there is no stream {one}"):
            call(one)
    assert streams.push({}) == {}


def test_a_piece_that_cannot_be_read_changes_no_stream(model):
    streams = model.streams()
    one, other = streams.open(), streams.open()
    streams.push({one: "Peter", other: "picked"})
    before = [streams.snapshot(s) for s in (one, other)]
    wrong = ("Ω", len(model.vocabulary), -1, True, 1.5, None, b"P")
    for piece in wrong:
        with pytest.raises(DataError) as caught:
            streams.push({one: " Piper", other: piece})
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="there is no stream 99"):
        streams.push({one: " Piper", 99: "a"})
    assert [streams.snapshot(s) for s in (one, other)] == before


def test_a_snapshot_of_something_else_opens_no_stream(model, model_file, matrices):
    streams = model.streams()
    one = streams.open()
    streams.push({one: "Peter"})
    data = streams.snapshot(one)
    for damaged in (b"", b"x", data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="not a state"):
            streams.restore(damaged)
    for path in (model_file, matrices):
        another = LanguageModel.load(path)
        if another.digest != model.digest:
            with pytest.raises(ModelFileError, match="the state is of another model"):
                another.streams().restore(data)
    forged = model.state_from_bytes(data)
    for change in ({"recent": (len(model.vocabulary),)}, {"scores": forged.scores[1:]}, {"layers": forged.layers[:0]}):
        with pytest.raises(ModelFileError, match="the state is of another model"):
            streams.restore(model.state_to_bytes(type(forged)(**{**vars(forged), **change})))
    assert len(streams) == 1


def test_answers_are_finite_numbers(model):
    streams = model.streams()
    one = streams.open()
    assert np.isfinite(streams.push({one: TEXT})[one]).all()
