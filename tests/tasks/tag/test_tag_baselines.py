"""Baselines of `tag`, and the report that shows them."""

from gatewise import document
from gatewise.data.readers.arrays import from_arrays
from gatewise.tasks import Tagger
from gatewise.tasks.tag.baselines import Baselines
from gatewise.tasks.tag.features import Features


def test_baselines_by_hand():
    data = from_arrays([["a", "b", "a", "c"], ["a", "b"]], [["X", "Y", "X", "Y"], ["Z", "Y"]], per_step=True)
    features = Features.learn(data, ["token"], ahead=True)
    learned = Baselines.learn(data, features, data.steps["label"].strings())
    new = from_arrays([["a", "b", "new"]])
    assert learned.predictions(new, features.encode(new)) == {
        "majority": ["Y", "Y", "Y"],
        "most frequent per token": ["X", "Y", "Y"],
    }
    written = learned.to_json()
    assert document.read(Baselines, {"constant": written.pop("usual"), **written}) == learned


def test_the_report_fits_a_terminal(namer, steerer):
    for metrics in (namer.metrics_, steerer.metrics_):
        text = Tagger.report(metrics)
        assert max(map(len, text.splitlines())) <= 80
        assert "majority (baseline)" in text
