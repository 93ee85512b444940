"""How a classifier's networks and its plain methods are blended."""

import numpy as np
import pytest
import torch
from classify_examples import TINY, mixed, number, reviews, waves

from gatewise import bundle
from gatewise.data.sequences import Sequences
from gatewise.explanation import explain
from gatewise.tasks.classify.baselines import fitting
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.classify.targets import Targets
from gatewise.training import Silent


def test_predictions_blend_networks_and_plain_methods(tmp_path):
    words = ["warm and kind", "cold and dull", "kind of dull", "warm but cold"]
    labels = ["good", "bad", "bad", "good"]
    learned, held = (reviews(*words * n, labels=labels * n) for n in (40, 10))
    model = Classifier(**TINY, seed=1).fit(learned, validation=held, output=tmp_path / "m")
    chosen = model.blend_weight_, model.temperature_, model.baselines_.shares, model.baselines_.strongest
    again = Classifier.load(tmp_path / "m")
    assert (
        *(again.blend_weight_, again.temperature_),
        *(again.baselines_.shares, again.baselines_.strongest),
    ) == chosen
    assert np.array_equal(again.predict_proba(held), model.predict_proba(held))

    def probabilities(blend_weight, temperature, **shares):
        model.blend_weight_, model.temperature_ = blend_weight, temperature
        return model.predict_proba(held)

    rows = np.arange(len(held))
    outputs = model.baselines_.outputs(model.inputs_, model.targets_, held, rows)
    assert outputs.keys() == {"logistic regression", "TF-IDF of words", "TF-IDF of characters"}
    model.baselines_.shares = {"logistic regression": 0.25, "TF-IDF of words": 0.75}
    plain = probabilities(0.0, 1.0)
    assert np.allclose(plain, 0.25 * outputs["logistic regression"] + 0.75 * outputs["TF-IDF of words"])
    networks = torch.from_numpy(probabilities(1.0, 1.0)).log().div(0.7).softmax(1).numpy()
    assert np.allclose(probabilities(0.25, 0.7), 0.25 * networks + 0.75 * plain, atol=1e-6)


def test_a_temperature_makes_labels_surer_or_less_sure():
    X, _ = waves(40, 0)
    data = Sequences(np.arange(0, 361, 9), {"a": number("a", X.ravel())}, {n: number(n, [0, 1] * 20) for n in "bc"})
    targets = Targets.of(data, ["b", "c"], "labels")
    probabilities = np.array([[0.9, 0.5], [0.2, 0.0]], np.float32)
    wanted = torch.from_numpy(probabilities).logit().div(0.5).sigmoid().numpy()
    assert targets.tempered(probabilities, 0.5) == pytest.approx(wanted, abs=1e-6)


def test_where_nothing_is_held_out_a_network_is_trusted_as_much_as_the_plain_methods():
    model = Classifier(**TINY).fit(*waves(40, 0))
    assert model.blend_weight_ == 0.5
    assert model.metrics_.keys() >= {"train", "cross-validation", "baselines"}
    assert "validation" not in model.metrics_
    assert "none are held out" in model.provenance_["loss"]["validation"]


def test_older_files_call_the_blend_weight_trust(tmp_path):
    model = Classifier(**TINY).fit(mixed())
    model.blend_weight_ = 0.25
    model.save(tmp_path / "m")
    found = bundle.load(tmp_path / "m")
    document = {"trust" if name == "blend_weight" else name: value for name, value in found.document.items()}
    bundle.save(tmp_path / "old", document, found.tensors)
    assert Classifier.load(tmp_path / "old").blend_weight_ == 0.25


def test_a_model_is_saved_before_its_baselines_are_learned(monkeypatch, tmp_path):
    X, y = waves(60, 0)
    seen, lines = [], []

    def learn(*_, **__):
        seen.append(Classifier.load(tmp_path / "m"))
        raise MemoryError

    class Told(Silent):
        def note(self, text):
            lines.append(text)

    monkeypatch.setattr(fitting, "learned_baselines", learn)
    with pytest.raises(MemoryError):
        Classifier(**TINY, seed=1).fit(X, y, output=tmp_path / "m", progress=lambda unit, per_step: Told())
    assert f"{tmp_path / 'm'} is saved. Measuring it beside plain baselines." in lines
    [saved] = seen
    assert saved.metrics_ == {}
    monkeypatch.undo()
    assert np.array_equal(Classifier.load(tmp_path / "m").predict(X), saved.predict(X))
    again = Classifier(**TINY, seed=1).fit(X, y, output=tmp_path / "m", resume=True)  # it had only to be measured
    assert again.metrics_["train"]["sequences"] > 0


def test_the_report_names_the_blend_and_what_it_is_made_of():
    scores = {"accuracy": 0.5, "log_loss": 0.25}
    metrics = {"train": scores, "test": scores | {"accuracy": 0.875}, "network": scores | {"accuracy": 0.75}}
    metrics |= {"blend": {"network": 0.7, "logistic regression": 0.3}}
    metrics |= {
        "baselines": {"majority": scores | {"accuracy": 0.125}, "logistic regression": scores | {"accuracy": 0.625}}
    }
    lines = Classifier.report(metrics).splitlines()
    assert [(line[:24].strip(), *line[24:].split()) for line in lines[1:-2]] == [
        ("train", "0.5", "0.25"),
        ("test", "0.875", "0.25"),
        ("network alone", "0.75", "0.25"),
        ("majority", "0.125", "0.25"),
        ("logistic regression", "0.625", "0.25"),
    ]
    assert " ".join(lines[-2:]) == (
        "The model predicts a blend: 70% network, 30% logistic regression. Rows below 'test' are measured on it."
    )
    assert len(Classifier.report({"test": scores}).splitlines()) == 2


def test_the_rows_of_the_report_are_what_they_say():
    words = ["warm and kind", "cold and dull", "kind of dull", "warm but cold"]
    labels = ["good", "bad", "bad", "good"]
    some, held = (reviews(*words * n, labels=labels * n) for n in (40, 10))
    model = Classifier(**TINY, seed=1).fit(some, validation=held)
    assert model.blend_weight_ < 1
    shares = {name: (1 - model.blend_weight_) * share for name, share in model.baselines_.shares.items()}
    assert model.metrics_["blend"] == {"network": model.blend_weight_} | shares
    model.blend_weight_ = 1.0
    alone = model.evaluate(held)["all"]
    assert model.metrics_["network"]["log_loss"] == pytest.approx(alone["log_loss"])
    model.blend_weight_, model.temperature_ = 0.5, 0.6  # what is shown of the networks is what is blended in
    shown = model.evaluate(held)["network"]
    model.blend_weight_ = 1.0
    assert shown["log_loss"] == pytest.approx(model.evaluate(held)["all"]["log_loss"])
    assert shown["log_loss"] != pytest.approx(alone["log_loss"])


@pytest.mark.parametrize("different", [3, 60])  # so few that they are levels, or texts
def test_texts_of_a_list_are_those_of_the_table_s_column(different, tmp_path):
    words = [("good", "up"), ("bad", "down"), ("fine", "up")]
    rows = [f"{words[k % 3][0]} film {k % different},{words[k % 3][1]}" for k in range(60)]
    (tmp_path / "films.csv").write_text("\n".join(["said,mood", *rows]) + "\n")
    path = str(tmp_path / "films.csv")
    options = {"hidden_size": 4, "epochs": 1, "learning_rate": 0.01, "ensemble": 1, "threads": 1, "seed": 1}
    model = Classifier(target="mood", **options).fit(path, validation=path)
    texts = ["good film 0", "bad film 1", "fine film 2"]
    np.testing.assert_array_equal(model.predict_proba(texts), model.predict_proba(path)[:3])
    assert explain(model, texts, row=1).attribution.score == explain(model, path, row=1).attribution.score
