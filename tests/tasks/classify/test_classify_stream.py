"""Classes of sequences so far: at the end those of `predict`, by the same network."""

import numpy as np
import pytest

from gatewise.errors import DataError, OptionError
from gatewise.tasks import Classifier
from gatewise.tasks.classify import prefixes

SMALL = {"hidden_size": 8, "epochs": 2, "threads": 1, "batch_size": 4, "share": 1.0, "bidirectional": False}
POOLING = ("last", "mean", "max", "attention")
RNG = np.random.default_rng(5)


def waves(count, steps):
    x = np.sin(np.arange(steps)[None, :, None] / 5 + RNG.uniform(0, 6, (count, 1, 2)))
    x += 0.1 * RNG.standard_normal(x.shape)
    x[::2] += 0.5
    x[3, 5] = np.nan
    return x, np.where(np.arange(count) % 2, "low", "high")


def at_the_end(streams, pieces):
    stream = streams.open()
    for piece in pieces:
        answer = streams.push({stream: piece})[stream]
    return streams.finish(stream) or answer


@pytest.mark.parametrize("steps", [30, 1200], ids=["each step", "frames"])
@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_steps(steps, target):
    x, y = waves(40, steps)
    y = y if target == "classes" else np.nanmean(x[:, :, 0], 1)
    model = Classifier(**SMALL, pooling=POOLING).fit(x, y)
    assert (model.inputs_.stride > 1) == (steps > 30)
    streams = model.streams()
    for one, want in zip(x[:4], model.predict(x[:4]), strict=True):
        cuts = np.sort(RNG.integers(1, steps, 6))
        answer = at_the_end(streams, [piece for piece in np.split(one, cuts) if len(piece)])
        if target == "classes":
            [chances] = model.predict_proba(one[None])
            assert answer["predicted"] == want
            np.testing.assert_allclose([answer["probabilities"][name] for name in model.classes_], chances, rtol=1e-5)
        else:
            assert answer == {"predicted": pytest.approx(float(want), rel=1e-4, abs=1e-5)}


@pytest.mark.parametrize("tokens", ["words", "characters", "both"])
def test_texts_are_read_word_by_word_as_they_come(tokens):
    words = ["it", "rains", "don't", "3.5", "U.S.", "sun", "<br>", "今天天气"]
    texts = [" ".join(RNG.choice(words[k % 2 :], 12)) + "\n" * (k % 3) for k in range(60)]
    labels = ["it" if "it" in text.split() else "none" for text in texts]
    model = Classifier(**SMALL, tokens=tokens, pooling=POOLING).fit(texts, labels)
    streams = model.streams()
    assert streams.unit == "text"
    stream = streams.open()
    assert (streams.push({stream: "r"})[stream] is None) == (tokens != "characters")
    for text in texts[:5]:
        cuts = np.sort(RNG.integers(0, len(text), 5)).tolist()
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        answer, [chances] = at_the_end(streams, pieces), model.predict_proba([text])
        np.testing.assert_allclose([answer["probabilities"][name] for name in model.classes_], chances, rtol=1e-5)
    kept = streams.snapshot(stream)
    again = streams.restore(kept)
    assert streams.push({again: "ains it "})[again] == streams.push({stream: "ains it "})[stream]
    with pytest.raises(DataError, match="a piece is text, not 3"):
        streams.push({stream: 3})


@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": False, "share": 0.5}, {"share": 1.0}, {"only": "plain"}], ids=str
)
def test_what_reads_a_sequence_whole_says_at_each_push_what_it_says_of_the_steps_so_far(options):
    x, y = waves(40, 30)
    model = Classifier(hidden_size=8, epochs=1, threads=1, **options).fit(x, y)
    streams = model.streams()
    one, other = streams.open(), streams.open()
    for end in (1, 2, 30):
        found = streams.push({one: x[3, streams_read(end) : end], other: x[4, streams_read(end) : end]})
        for stream, given in ((one, x[3, :end]), (other, x[4, :end])):
            [chances] = model.predict_proba(given[None])
            assert list(found[stream]["probabilities"].values()) == chances.tolist()
            assert found[stream]["predicted"] == model.predict(given[None])[0]
    assert streams.finish(one) is None


def streams_read(end):
    """Steps before the piece that ends here."""
    return {1: 0, 2: 1, 30: 2}[end]


def test_texts_and_words_are_read_anew():
    texts = [" ".join(RNG.choice(["good", "fine"] if k % 2 else ["bad", "awful"], 5)) for k in range(60)]
    model = Classifier(hidden_size=8, epochs=1, threads=1).fit(texts, ["pos" if k % 2 else "neg" for k in range(60)])
    streams = model.streams()
    assert streams.unit == "text"
    stream = streams.open()
    assert streams.push({stream: ""}) == {stream: None}
    streams.push({stream: "go"})
    [answer] = streams.push({stream: "od fine"}).values()
    assert list(answer["probabilities"].values()) == model.predict_proba(["good fine"])[0].tolist()
    again = streams.restore(streams.snapshot(stream))
    assert streams.push({again: " good"})[again] == streams.push({stream: " good"})[stream]
    with pytest.raises(DataError, match="a piece is text, not 3"):
        streams.push({stream: 3})


def test_what_is_read_anew_has_an_end(monkeypatch):
    monkeypatch.setattr(prefixes, "MOST", 40)
    x, y = waves(40, 30)
    streams = Classifier(hidden_size=8, epochs=1, threads=1, only="plain").fit(x, y).streams()
    stream = streams.open()
    streams.push({stream: x[0]})
    with pytest.raises(DataError, match="Train one with bidirectional=False and share=1") as caught:
        streams.push({stream: x[0, :11]})
    assert "has 41 steps" in str(caught.value)
    streams.push({stream: x[0, :10]})


def test_what_is_known_once_for_a_sequence_is_no_stream():
    rows = [
        {"title": f"of {'rain' if k % 2 else 'sun'} {k}", "body": f"it was day {k} of many", "label": "ab"[k % 2]}
        for k in range(60)
    ]
    model = Classifier(hidden_size=8, epochs=1, threads=1, only="plain", target="label").fit(rows)
    with pytest.raises(OptionError, match="reads title, body once for each sequence") as caught:
        model.streams()
    assert "\n" not in str(caught.value)
