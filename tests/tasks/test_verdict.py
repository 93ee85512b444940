"""Whether a network earned its place, in figures and in words."""

import pytest

from gatewise.tasks.verdict import MEASURES, judged, sentence

PLAIN = {"TF-IDF": 0.85, "majority": 0.5}


def metrics(**changed):
    given = {"measure": "accuracy", "part": "test", "model": 0.9, "plain": PLAIN, "strongest": "TF-IDF", "share": 0.7}
    return judged(**{**given, **changed})


def test_a_better_model_with_a_share_earned_its_place():
    found = metrics(standard_error=0.02)
    assert (found["share"], found["earned"]) == (0.7, True)
    assert found["strongest_plain"]["name"] == "TF-IDF"
    assert found["strongest_plain"]["figure"] == 0.85
    assert sentence(found, "LSTM") == (
        "The LSTM earned its place: accuracy 0.9 on the test part, TF-IDF 0.85, 2.5 standard errors ahead. "
        "The LSTM's share in predictions is 70%."
    )


def test_of_an_error_less_is_better():
    assert metrics(measure="mae", model=0.8)["earned"] is True
    assert metrics(measure="mae", model=0.9)["earned"] is False


def test_a_gain_within_a_standard_error_is_not_earned():
    found = metrics(standard_error=0.06)
    assert not found["earned"]
    assert sentence(found).startswith(
        "The network has not clearly earned its place: accuracy 0.9 on the test part, TF-IDF 0.85, which is within one"
    )


def test_a_worse_model_says_so_and_what_to_do():
    said = sentence(metrics(model=0.8, share=1.0, standard_error=0.1))
    assert said.startswith("The network did not earn its place: accuracy 0.8 on the test part, TF-IDF 0.85, which is")
    assert "within one standard error (0.1)" in said
    assert "--only plain" in said
    assert "share in" not in said


def test_without_a_share_it_is_the_plain_method():
    found = metrics(share=0.0, model=0.85)
    assert found["earned"] is False
    said = sentence(found)
    assert "its share is 0, so predictions are those of TF-IDF (accuracy 0.85 on the test part)" in said
    alone = sentence(found, only_plain=True)
    assert alone == "No network was trained. With TF-IDF, accuracy is 0.85 on the test part."


def test_nothing_is_said_of_what_was_not_judged():
    assert sentence({"test": {"accuracy": 1.0}}) == ""


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_has_words(measure):
    name, more_is_better = MEASURES[measure]
    assert name
    assert metrics(measure=measure, model=1e3)["earned"] is more_is_better


def test_without_a_share_another_figure_is_not_said_to_be_that_of_the_strongest_alone():
    found = judged(measure="bleu", part="test", model=11.14, plain={"nearest": 9.34}, strongest="nearest", share=0.0)
    text = sentence(found)
    assert "BLEU 11.14 on the test part, nearest alone 9.34" in text
    assert "predictions are those of nearest" not in text
