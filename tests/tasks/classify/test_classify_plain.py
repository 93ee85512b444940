"""Plain methods of `classify`, beside independent ones, and how they are blended."""

import tracemalloc
import wave

import numpy as np
import pytest
import torch
from classify_examples import TINY, category, mixed, number, reviews, rows_of, waves
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from gatewise.data.augmentation import vary_recordings
from gatewise.data.log_mel import levelled
from gatewise.data.sequences import Sequences
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks.classify.architecture import member_scores
from gatewise.tasks.classify.baselines import blend, convolutions, fitting, lbfgs, ngrams, ridge, warping
from gatewise.tasks.classify.baselines.method import Examples
from gatewise.tasks.classify.batches import Shuffled
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.classify.split import folds_of
from gatewise.tasks.classify.statistics import learn_inputs
from gatewise.tasks.classify.targets import Targets

TEXTS = ["a good film", "good good fun", "bad film", "a bad bad bore", "fun film", "bore"] * 3
LABELS = ["a", "a", "b", "b", "a", "b"] * 3
CLASSES = Targets("category", ("label",), ("a", "b"))
NUMBER = Targets("number", ("size",))


@pytest.mark.parametrize(("unit", "analyzer", "longest"), [("words", "word", 2), ("characters", "char", 5)])
def test_weights_of_runs_are_those_of_scikit_learn(unit, analyzer, longest):
    data = reviews(*TEXTS, labels=LABELS)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    counts = ngrams.counted(inputs.text, unit, data)
    keys, idf = ngrams.chosen_runs([counts], 10_000, 1)
    places, per_text, weights = ngrams.weighted(counts, keys, idf)
    ours = np.zeros((len(data), len(keys)))
    ours[np.repeat(rows_of(data), per_text), places] = weights
    options = {"token_pattern": r"\w+"} if analyzer == "word" else {}
    vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=(1, longest), sublinear_tf=True, **options)
    theirs = vectorizer.fit_transform(TEXTS).toarray()
    assert ours.shape == theirs.shape
    assert np.allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-6)


def test_the_model_of_runs_is_logistic_regression(monkeypatch):
    monkeypatch.setattr(lbfgs, "STRENGTHS", (4.0,))
    monkeypatch.setattr(lbfgs, "_STEPS_OF_ONE", 200)
    data = reviews(*TEXTS, labels=LABELS)
    inputs, rows = learn_inputs(data, rows_of(data), ["label"]), rows_of(data)
    truth = CLASSES.encode(data)
    found, _ = fitting.learned_ngrams("words", Examples(inputs, CLASSES, data, rows, rows), (data, rows), rows % 5)
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+").fit_transform(TEXTS)
    # Two weight vectors, one a class, that are punished alike, are half as long as a single one.
    theirs = LogisticRegression(C=2 * 4.0, max_iter=5000, tol=1e-8).fit(features, truth)
    assert np.abs(found.outputs(inputs, CLASSES, data, rows) - theirs.predict_proba(features)).max() < 0.01


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_the_model_of_word_vectors_is_logistic_regression_of_their_sums(monkeypatch, scale):
    monkeypatch.setattr(lbfgs, "STRENGTHS", (4.0,))
    monkeypatch.setattr(lbfgs, "_STEPS_OF_ONE", 200)
    data = reviews(*TEXTS, labels=LABELS)
    inputs, rows = learn_inputs(data, rows_of(data), ["label"]), rows_of(data)
    words = ["film", "good", "bad", "superb", "fun"]  # one is in no text, and some in the texts are not here
    values = np.random.default_rng(0).normal(size=(5, 3)) * scale
    examples = Examples(inputs, CLASSES, data, rows, rows)
    found, _ = fitting.learned_vectors((words, values.astype(np.float32)), examples, (data, rows), rows % 5)
    options = {"sublinear_tf": True, "token_pattern": r"\w+", "vocabulary": {word: k for k, word in enumerate(words)}}
    vectorizer = TfidfVectorizer(**options).fit(TEXTS)
    sums = vectorizer.transform(TEXTS) @ values
    spread = np.sqrt(sums.var(0).sum())
    theirs = LogisticRegression(C=2 * 4.0, max_iter=5000, tol=1e-8).fit(sums / spread, CLASSES.encode(data))
    assert np.abs(found.outputs(inputs, CLASSES, data, rows) - theirs.predict_proba(sums / spread)).max() < 0.01
    new = ["a superb bore", "superb", "nothing known"]
    some, wanted = reviews(*new, labels="aab"), theirs.predict_proba(vectorizer.transform(new) @ values / spread)
    assert np.abs(found.outputs(inputs, CLASSES, some, rows_of(some)) - wanted).max() < 0.01


def test_wide_word_vectors_of_long_texts_take_little_memory():
    """A number of each word of each text, not a vector: of 512 texts of a few pages that would be gigabytes."""
    entries = np.arange(40_000) % 100, np.full(20, 2000), np.ones(40_000, np.float32)
    weights = np.random.default_rng(0).normal(size=(100, 200))
    tracemalloc.start()
    try:
        scores = ngrams.linear(entries, weights, np.zeros(200))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(scores, np.broadcast_to(20 * weights.sum(0), (20, 200)), atol=1e-9)
    assert peak < 40_000 * 8 * 20


def test_texts_that_are_left_out_are_predicted_by_others():
    """A word that one text alone has cannot be learned from the others."""
    data = reviews(*(f"w{i}" for i in range(20)), labels=list("ab") * 10)
    inputs, rows = learn_inputs(data, rows_of(data), ["label"]), rows_of(data)
    found, left_out = fitting.learned_ngrams("words", Examples(inputs, CLASSES, data, rows, rows), None, rows % 5)
    assert np.isfinite(left_out).all()
    right = left_out[rows, CLASSES.encode(data)]
    assert right.mean() < 0.55 < found.outputs(inputs, CLASSES, data, rows)[rows, CLASSES.encode(data)].mean()


@pytest.mark.parametrize("size", [1, 3])
def test_left_out_predictions_of_ridge_regression_are_those_of_brute_force(size):
    """Of groups of so many sequences."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), rng.normal(size=12).astype(np.float32)
    X -= X.mean(0)
    groups = rng.permutation(12) // size
    fit = ridge.fitted(X @ X.T, y, NUMBER, groups)
    scale = np.linalg.eigvalsh(X @ X.T).mean()

    def brute(penalty):
        found = np.empty(12)
        for group in range(12 // size):
            here = groups == group
            found[here] = Ridge(alpha=penalty).fit(X[~here], y[~here]).predict(X[here])
        return found

    tried = [brute(penalty) for penalty in ridge._PENALTIES * scale]
    losses = [np.square(each - y).mean() for each in tried]
    assert fit.loss == pytest.approx(min(losses), rel=1e-5)
    assert np.allclose(fit.left_out[:, 0], tried[int(np.argmin(losses))], atol=1e-5)


def test_folds_keep_groups_whole():
    rng = np.random.default_rng(0)
    groups, y = rng.integers(20, size=200), rng.integers(2, size=200)
    folds = folds_of(groups, 5, 0, y)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(20))
    assert {*folds} == {*range(5)}
    assert {*folds_of(groups % 3, 5, 0)} == {0, 1, 2}


@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_known_of_a_group_says_nothing_of_others(grouped):
    """Each person has a movement and a label of their own: who knows the person knows the label."""
    rng = np.random.default_rng(0)
    people, moves = np.repeat(np.arange(20), 4), rng.normal(size=(20, 30))
    X = moves[people] + 0.05 * rng.normal(size=(80, 30))
    static = {"label": category("label", list("ab"))[people % 2], "person": number("person", people.astype(float))}
    data = Sequences(np.arange(0, 2401, 30), {"a": number("a", X.ravel())}, static)
    options = {**TINY, "ensemble": 3, "epochs": 2, "split": (1, 0, 0), "columns": "a"}
    if grouped:
        options["group"] = "person"
    model = Classifier(**options, target="label").fit(data)
    found = model.metrics_["cross-validation"]["accuracy"]
    assert found < 0.7 if grouped else found > 0.9


@pytest.mark.parametrize("band", [0, 2, 6])
def test_warped_distances_are_those_of_brute_force(band):
    rng = np.random.default_rng(band)
    a, b = (rng.normal(size=(n, 6, 2)).astype(np.float32) for n in (3, 4))

    def brute(x, z):
        best = np.full((7, 7), np.inf)
        best[0, 0] = 0
        for i in range(6):
            for j in range(max(0, i - band), min(6, i + band + 1)):
                least = min(best[i, j], best[i, j + 1], best[i + 1, j])
                best[i + 1, j + 1] = np.square(x[i] - z[j]).sum() + least
        return np.sqrt(best[6, 6])

    wanted = [[brute(x, z) for z in b] for x in a]
    assert np.allclose(warping.warped_distances(a, b, band), wanted, atol=1e-4)


def test_series_brought_to_one_length_keep_their_mean():
    x = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    assert np.allclose(warping.stretched(x, 14), np.repeat(x, 2, 0), atol=1e-6)
    assert np.allclose(warping.stretched(x, 3).mean(0), x.mean(0), atol=1e-6)


def test_convolutions_are_sums_of_taps():
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 30)).astype(np.float32)
    reads = np.zeros((2, 1, 84, 3), bool)
    reads[:, :, 5, [0, 2]] = True
    found = {place: values[5].copy() for place, values in convolutions._convolved(x, np.array([2]), reads)}
    kernel = convolutions._kernels()[5]
    assert sorted(kernel) == [-1] * 6 + [2] * 3
    for v in range(2):
        wanted = [
            sum(kernel[k] * x[v, c, 1, 15 + 2 * (k - 4)] for k in range(9) for c in (0, 2)),
            sum(kernel[k] * x[v, c, 1, 2 * (k - 4)] for k in range(4, 9) for c in (0, 2)),  # before the start is 0
        ]
        assert np.allclose(found[v, 0][1, [15, 0]], wanted, atol=1e-4)


def test_a_series_counts_for_itself_whatever_is_beside_it():
    rng = np.random.default_rng(0)
    lengths = rng.integers(9, 40, 20)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    steps = {n: number(n, rng.normal(size=offsets[-1])) for n in "xy"}
    data = Sequences(offsets, steps, {"label": category("label", list("ab") * 10)})
    inputs, rows = learn_inputs(data, rows_of(data), ["label"]), rows_of(data)
    found, left_out = convolutions.Convolutions.learn(Examples(inputs, CLASSES, data, rows, rows), 0)
    together = found.outputs(inputs, CLASSES, data, rows)
    alone = np.concatenate([found.outputs(inputs, CLASSES, data, rows[i : i + 1]) for i in rows])
    assert np.allclose(together, alone, atol=1e-5)
    assert left_out.shape == together.shape
    assert np.allclose(left_out.sum(1), 1)


def test_shares_go_to_what_knows_more():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    sure = np.where(rng.random(400) < 0.9, truth, 1 - truth)
    good = np.stack([1 - sure, sure], 1) * 0.8 + 0.1
    guess = np.full((400, 2), 0.5)
    shares = blend.plain_shares(CLASSES, truth, {"good": good, "guess": guess})
    grid = {w: CLASSES.loss(truth, w * good + (1 - w) * guess) for w in np.linspace(0, 1, 101)}
    assert shares.get("good") == pytest.approx(min(grid, key=grid.get), abs=0.06)
    other = np.where(rng.random(400) < 0.9, truth, 1 - truth)  # makes other errors
    other = np.stack([1 - other, other], 1) * 0.8 + 0.1
    both = blend.plain_shares(CLASSES, truth, {"good": good, "other": other, "bad": good[:, ::-1]})
    assert both.keys() == {"good", "other"}
    assert sum(both.values()) == pytest.approx(1)
    assert blend.network_share(CLASSES, truth, good, good[:, ::-1])[0] >= 0.9
    assert blend.network_share(CLASSES, truth, good[:, ::-1], good)[0] <= 0.1
    assert blend.network_share(CLASSES, truth, good, guess, share=0.3)[0] == 0.3


def of_losses(nats):
    """(N, 2) probabilities with which a truth of zeros costs so much."""
    right = np.exp(-np.array(nats))
    return np.stack([right, 1 - right], 1)


def test_few_sequences_do_not_say_which_share_is_best(monkeypatch):
    """Losses of .2 and .15 nats, and one more sequence at half a nat: (1.2 + .5) / 7 and (.9 + .5) / 7."""
    monkeypatch.setattr(blend, "_TEMPERATURES", (1.0,))
    network, plain = of_losses([0.4, 0.4, 0.1, 0.1, 0.1, 0.1]), of_losses([0.1, 0.1, 0.1, 0.1, 0.1, 0.4])
    share, _ = blend.network_share(CLASSES, np.zeros(6, np.int64), network, plain)
    assert share == pytest.approx(1.4**2 / (1.4**2 + 1.7**2), abs=0.025)


def test_many_sequences_do(monkeypatch):
    """A method that is better by a standard error counts more; one that is by a hundred of them counts alone."""
    monkeypatch.setattr(blend, "_TEMPERATURES", (1.0,))
    few, many = ([0.1] * n for n in (2, 900))
    for tail, expected in ((few, pytest.approx(0.5, abs=0.3)), (many, 0.0)):
        network, plain = of_losses([0.2] * len(tail) + [0.3]), of_losses([*tail, 0.3])
        assert blend.network_share(CLASSES, np.zeros(len(plain), np.int64), network, plain)[0] == expected


def test_shares_of_numbers():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300).astype(np.float32)
    a, b = (truth[:, None] + rng.normal(size=(300, 1)) for _ in range(2))
    shares = blend.plain_shares(NUMBER, truth, {"a": a, "b": b, "far": a + 9})
    assert shares.keys() == {"a", "b"}
    assert shares["a"] == pytest.approx(0.5, abs=0.1)
    assert 0.3 <= blend.network_share(NUMBER, truth, a, b)[0] <= 0.7


def test_a_network_does_not_learn_from_what_it_leaves_out():
    X, y = waves(30, 0)
    data = Sequences(np.arange(0, 271, 9), {"a": number("a", X.ravel())}, {"label": category("label", list("ab"))[y]})
    model = Classifier(**{**TINY, "ensemble": 3, "epochs": 1}).fit(data, y=None, validation=None)
    folds = folds_of(np.arange(30), 3, 0, y)
    assert np.bincount(folds).tolist() == [10, 10, 10]
    assert all(abs(y[folds == k].mean() - y.mean()) <= 0.1 for k in range(3))
    rows = rows_of(data)
    batch = Shuffled(model.inputs_, data, rows, y, batch_size=30, seed=0, augmentation=0.0, folds=folds).at(0)
    model.model_.eval()

    def slopes(targets):
        model.model_.zero_grad()
        model.model_.training_loss({**batch, "targets": targets}).backward()
        return [[p.grad.clone() for p in member.parameters()] for member in model.model_.members]

    left_out = batch["fold"] == 1
    before, after = (
        slopes(torch.where(left_out, t, batch["targets"])) for t in (batch["targets"], 1 - batch["targets"])
    )
    same = [
        all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(before, after, strict=True)
    ]
    assert same == [False, True, False]
    own = model._predictor().left_out(data, rows, folds)
    encoded = {name: torch.from_numpy(array) for name, array in model.inputs_.encode(data).items()}
    alone = member_scores(model.model_.members[1], encoded).softmax(1).detach().numpy()
    assert np.allclose(own[folds == 1], alone[folds == 1], atol=1e-6)


def test_few_sequences_are_judged_by_cross_validation():
    X, y = waves(60, 0)
    model = Classifier(**{**TINY, "ensemble": 2}).fit(X, y)
    assert model.metrics_.keys() >= {"train", "cross-validation", "baselines", "strongest_plain"}
    assert model.metrics_["strongest_plain"]["part"] == "cross-validation"
    assert model.metrics_["cross-validation"]["sequences"] == 60
    assert "leaves out" in model.provenance_["loss"]["validation"]
    assert model.metrics_["share"] == model.blend_weight_
    assert Classifier(**{**TINY, "ensemble": 2}, share=0.25).fit(X, y).blend_weight_ == 0.25


def test_plain_methods_alone(tmp_path):
    X, y = waves(60, 0)
    model = Classifier(only="plain").fit(X, y, output=tmp_path / "m")
    assert model.model_ is None
    assert model.blend_weight_ == 0
    again = Classifier.load(tmp_path / "m")
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    found = again.evaluate(*waves(40, 1))
    assert found["all"]["accuracy"] == 1
    assert found["share"] == 0
    assert not found["earned"]
    assert again.verdict(found).startswith("No network was trained")
    with pytest.raises(OptionError, match="no network"):
        again.summary()


def test_weights_of_classes_move_the_plain_methods_too(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 12)), rng.integers(0, 2, 200)
    new = rng.normal(size=(100, 12))
    usual, weighted = (
        Classifier(only="plain", class_weight=w).fit(X, y, output=tmp_path / "m").predict(new).mean()
        for w in (None, {0: 1, 1: 50})
    )
    assert weighted > 0.9 > usual
    assert Classifier.load(tmp_path / "m").predict(new).mean() == weighted


def test_shares_of_methods_that_a_file_does_not_have_are_refused(tmp_path):
    from gatewise import bundle

    model = Classifier(**TINY).fit(mixed(), output=tmp_path / "m")
    found = bundle.load(tmp_path / "m")
    for changed in (
        {"plain_shares": {"spectra of nothing": 1.0}},
        {"plain_shares": {"ridge of spectra": 1.0}, "strongest_plain": "ridge of spectra"},
        {"plain_shares": {next(iter(model.baselines_.shares)): 0.5}},
        {"strongest_plain": ""},
        {"levelled": True},
    ):
        bundle.save(tmp_path / "other", {**found.document, **changed}, found.tensors)
        with pytest.raises(ModelFileError):
            Classifier.load(tmp_path / "other")


def test_how_loud_a_recording_is_makes_no_difference(tmp_path):
    rng = np.random.default_rng(0)
    for folder, gain in (("soft", 1), ("loud", 13)):
        (tmp_path / folder).mkdir()
        draws = np.random.default_rng(1)
        for take in range(8):
            for label, hertz in (("low", 300), ("high", 1500)):
                signal = np.sin(2 * np.pi * (hertz + 20 * take) * np.arange(1000) / 4000)
                signal = np.concatenate([np.zeros(400), signal, np.zeros(200)]) + draws.normal(size=1600) * 0.01
                with wave.open(str(tmp_path / folder / f"{label}_{take}.wav"), "wb") as file:
                    file.setparams((1, 2, 4000, 0, "NONE", ""))
                    file.writeframes(np.round(signal * gain * 2000).astype("<i2").tobytes())
    model = Classifier(**{**TINY, "epochs": 4}).fit(tmp_path / "soft")
    assert "ridge of spectra" in model.metrics_["baselines"]
    assert model.levelled_
    soft, loud = (model.predict_proba(tmp_path / folder) for folder in ("soft", "loud"))
    assert np.abs(soft - loud).max() < 0.02
    frames = rng.normal(size=(20, 5)).astype(np.float32)
    frames[:3] -= 20
    assert np.allclose(levelled(frames), levelled(frames + 5), atol=1e-5)
    assert len(levelled(frames)) == 17
    assert levelled(frames).mean() == pytest.approx(0, abs=1e-5)


def test_recordings_are_varied_without_harm():
    rng = np.random.default_rng(0)
    values, lengths = rng.normal(size=(90, 20)).astype(np.float32), np.array([40, 1, 49])
    mean, scale = rng.normal(size=20).astype(np.float32), rng.uniform(1, 2, 20).astype(np.float32)
    found, counts = vary_recordings(values, lengths, rng=np.random.default_rng(1), strength=1.0, mean=mean, scale=scale)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert counts.sum() == len(found)
    assert counts[1] == 1
    still, same = vary_recordings(values, lengths, rng=np.random.default_rng(1), strength=0.0, mean=mean, scale=scale)
    assert same.tolist() == lengths.tolist()
    assert np.median(np.abs(still - values)) < 1e-5  # but for a band that is hidden, and noise in a tenth
