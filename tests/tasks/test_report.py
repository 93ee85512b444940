"""Reports: tables of scores for a terminal."""

from gatewise.tasks.classify.evaluation import classify_report
from gatewise.tasks.detect.evaluation import detect_report
from gatewise.tasks.forecast.evaluation import forecast_report
from gatewise.tasks.generate.evaluation import generate_report
from gatewise.tasks.report import table, text_report
from gatewise.tasks.tag.evaluation import tag_report
from gatewise.tasks.transcribe.evaluation import transcribe_report


def test_a_table_is_aligned_and_rows_may_be_short():
    lines = table(["a", "b"], [("one", ["1", "2"]), ("two", ["3"])], left=6, widths=[4, 5], corner="what")
    assert lines == ["what     a    b", "one      1    2", "two      3"]


def test_only_columns_with_a_score_are_shown():
    found = {"train": {"accuracy": 0.5}, "test": {"accuracy": 1.0}, "baselines": {"majority": {"accuracy": 0.25}}}
    assert classify_report(found).split() == ["accuracy", "train", "0.5", "test", "1", "majority", "0.25"]
    found = {"train": {"steps": 1200, "alarm_rate": 0.01, "events": 3}}
    assert detect_report(found).split() == ["steps", "alarms", "events", "train", "1,200", "1.000%", "3"]


def test_nothing_measured_is_said():
    for report in (tag_report, forecast_report, text_report, transcribe_report):
        assert report({}) == "nothing was measured"


def test_undefined_scores_are_dashes():
    assert "-" in forecast_report({"test": {"mae": 1.0, "mase": None}}).splitlines()[1]
    found = {"all": {"loss": 1.0, "perplexity": 2.7, "bits_per_character": None}, "baselines": {"xz": {}}}
    lines = generate_report(found).splitlines()
    assert lines[1].split() == ["all", "-", "1.000", "2.70"]
    assert lines[2:] == ["for comparison, plain methods on the same text:", f"{'xz':<14}{'-':>10}"]


def test_a_text_model_that_is_worse_than_a_baseline_says_so():
    text = {"loss": 1.4, "perplexity": 4.0, "bits_per_character": 2.0, "bits_per_token": 2.0, "characters": 5000}
    plain = {"xz": {"bits_per_character": 3.0}, "5-gram": {"bits_per_character": 1.9, "bits_per_token": 1.9}}
    assert "'5-gram' does better than the model here." in generate_report({"test": text, "baselines": plain})
    plain["5-gram"]["bits_per_character"] = 2.1
    assert "does better" not in generate_report({"test": text, "baselines": plain})
    unknown = {**text, "bits_per_character": None}  # only what sees the same tokens can be compared
    plain = {"xz": {"bits_per_character": 1.0, "bits_per_token": 1.0}, "5-gram": {"bits_per_token": 2.1}}
    assert "does better" not in generate_report({"test": unknown, "baselines": plain})
    plain["5-gram"]["bits_per_token"] = 1.5
    assert "'5-gram' does better" in generate_report({"test": unknown, "baselines": plain})
    numbers = {"loss": 1.4, "steps": 9, "sequences": 2}
    found = {"test": numbers, "baselines": {"linear": {"loss": 1.3}, "last step": {"loss": 1.2}}}
    assert "'last step' does better than the model here." in generate_report(found)


def test_few_characters_held_out_are_said_to_be_few():
    text = {"loss": 1.4, "perplexity": 4.0, "bits_per_character": 2.0, "characters": 95}
    plain = {"xz": {"bits_per_character": 3.0}}
    assert "Only 95 characters were held out" in generate_report({"test": text, "baselines": plain})
    assert "held out" not in generate_report({"all": text, "baselines": plain})
    assert "held out" not in generate_report({"test": {**text, "characters": 500}, "baselines": plain})
