"""Error rates of texts, beside jiwer."""

import random

import jiwer
import pytest

from gatewise.metrics.error_rates import edit_distance, transcription_scores
from gatewise.tasks.baselines import most_frequent
from gatewise.tasks.transcribe.evaluation import transcribe_report


def test_edit_distance_by_hand():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert edit_distance("", "") == 0
    assert edit_distance(["a", "b"], ["b", "a"]) == 2
    assert edit_distance("abc", "xyz") == 3


def test_rates_are_those_of_another_library():
    draw = random.Random(0)
    truth, said = (
        [
            " ".join("".join(draw.choices("abc", k=draw.randint(1, 4))) for _ in range(draw.randint(1, 7)))
            for _ in "x" * 80
        ]
        for _ in range(2)
    )
    found = transcription_scores(truth, said)
    assert found["wer"] == pytest.approx(jiwer.wer(truth, said))
    assert found["cer"] == pytest.approx(jiwer.cer(truth, said))
    assert transcription_scores(truth, truth) == {**found, "cer": 0, "wer": 0, "exact": 1}


def test_scores_by_hand():
    found = transcription_scores(["one two", "", "one"], ["one too two", "x", "one"])
    assert found == {
        "cer": pytest.approx(5 / 10),
        "wer": pytest.approx(2 / 3),
        "exact": pytest.approx(1 / 3),
        "characters": 10,
        "words": 3,
        "texts": 3,
    }
    assert most_frequent(["b", "a", "b", "a", "c"]) == "a"
    assert "0.5000   0.6667   0.3333" in transcribe_report({"test": found, "baselines": {"none": found}})
    assert transcribe_report({}) == "nothing was measured"
