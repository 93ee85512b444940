"""What a classifier answers to a text."""

import numpy as np
import pytest
from classify_examples import TINY, category, mixed, reviews

from gatewise.data.sequences import Sequences
from gatewise.errors import OptionError
from gatewise.tasks import Classifier
from gatewise.tasks.classify.predictor import answer
from gatewise.tasks.classify.targets import Targets

TEXTS = ["good fun", "bad film", "good film", "bad fun"] * 6


@pytest.fixture(scope="module")
def critic():
    return Classifier(target="label", **TINY).fit(reviews(*TEXTS, labels=["yes", "no"] * 12))


def test_the_class_and_its_probability_stand_before_the_text(critic):
    texts = ["good fun, really", "", "bad"]
    found = list(critic.answers(texts))
    chances = critic.predict_proba(texts)
    assert [one.document["predicted"] for one in found] == critic.predict(texts).tolist()
    for text, one, row in zip(texts, found, chances, strict=True):
        assert one.shown == f"{critic.classes_[row.argmax()]} {row.max():.2f}: {text}"
        assert one.document["probabilities"] == pytest.approx(dict(zip(critic.classes_, row, strict=True)))


def test_a_text_takes_the_place_of_several_columns():
    texts = reviews(*TEXTS).static["text"]
    both = {"title": texts, "body": texts, "label": category("label", ["yes", "no"] * 12)}
    columns = {name: type(texts)(name, column.kind, column.values, column.levels) for name, column in both.items()}
    data = Sequences(np.zeros(len(TEXTS) + 1, np.int64), static=columns)
    critic = Classifier(target="label", **TINY).fit(data)
    (found,) = critic.answers(["good fun"])
    assert found.document["predicted"] in ("yes", "no")


@pytest.mark.parametrize("per_step", [False, True])
def test_texts_so_few_that_they_are_levels(per_step):
    columns = {"text": category("text", TEXTS)}
    steps, static = (columns, {}) if per_step else ({}, columns)
    label = category("label", ["yes", "no"] * 12)
    data = Sequences(np.arange(len(TEXTS) + 1) * per_step, steps, {**static, "label": label})
    critic = Classifier(target="label", **TINY).fit(data)
    (known,) = critic.answers(["bad film"])
    assert [*known.document["probabilities"].values()] == pytest.approx(critic.predict_proba(data)[1].tolist())
    with pytest.raises(OptionError, match="no value of 'text' in training, whose values are levels"):
        list(critic.answers(["bad fil"]))


def test_words_per_step_are_those_of_the_text():
    words = [text.split() for text in TEXTS]
    critic = Classifier(**TINY).fit(words, ["yes", "no"] * 12)
    (found,) = critic.answers(["bad film"])
    chances = critic.predict_proba([["bad", "film"]])[0]
    assert [*found.document["probabilities"].values()] == pytest.approx(chances.tolist())


def test_labels_and_numbers():
    labels = Targets("labels", ("a", "b", "c"), ("a", "b", "c"))
    shown = answer("x", np.array([0.9, 0.2, 0.6]), np.array([1, 0, 1]), labels)
    assert (shown.shown, shown.document["predicted"]) == ("a 0.90, c 0.60: x", ["a", "c"])
    assert answer("x", np.array([0.1, 0.2, 0.3]), np.array([0, 0, 0]), labels).shown == "no label: x"
    number = answer("x", np.float64(3.14159), np.float64(3.14159), Targets("number", ("stars",)))
    assert (number.shown, number.document) == ("3.142: x", {"text": "x", "predicted": 3.14159})


def test_a_classifier_of_more_than_a_text_says_what_it_reads():
    critic = Classifier(target="label", **TINY).fit(mixed())
    with pytest.raises(OptionError, match=r"this classifier reads .*heat.*a text alone does not give that"):
        list(critic.answers(["good"]))
