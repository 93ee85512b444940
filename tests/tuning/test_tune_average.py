"""`tune --average`: an ensemble of the trials, from the choice to the model file."""

import itertools
import json
from functools import partial

import numpy as np
import pytest

import gatewise
from gatewise.bundle import load, save
from gatewise.cli import main
from gatewise.cli.info import _members as in_words
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks import averaging
from gatewise.tasks.averaging import answered, keep_together
from gatewise.tasks.fitting import Trial
from gatewise.tasks.forecast.batches import halves_of
from gatewise.tasks.forecast.split import Part
from gatewise.tasks.members import MOST_MEMBERS
from gatewise.tasks.prepared import Halves
from gatewise.tuning import ensemble
from gatewise.tuning.ensemble import Ensemble, greedy
from gatewise.tuning.records import Record
from gatewise.tuning.selection import MOST_CANDIDATES, candidates

SHARES = (0.75, 0.25)


# The choice.


def squared(truth):
    return lambda outputs: float(((outputs - truth) ** 2).mean())


def every_bag(count, most):
    return itertools.chain.from_iterable(
        itertools.combinations_with_replacement(range(count), size) for size in range(1, most + 1)
    )


def test_greedy_adds_at_each_step_what_lowers_the_loss_most():
    """Beside a search of all bags of each size that contain the one before."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth, outputs = rng.normal(size=12), list(rng.normal(size=(5, 12)))
        loss = squared(truth)
        bag, best = (), (np.inf, ())
        for _ in range(10):
            larger = [own for own in every_bag(5, len(bag) + 1) if len(own) == len(bag) + 1 and contains(own, bag)]
            bag = min(larger, key=lambda own: loss(np.mean([outputs[place] for place in own], 0)))
            best = min(best, (loss(np.mean([outputs[place] for place in bag], 0)), bag))
        found, wanted = greedy(outputs, loss), np.bincount(best[1], minlength=5)  # 6 and 3 is the average of 2 and 1
        np.testing.assert_allclose(found / found.sum(), wanted / wanted.sum())


def contains(larger, smaller):
    return all(larger.count(one) >= smaller.count(one) for one in set(smaller))


def test_greedy_is_near_the_best_of_all_small_bags_and_never_worse_than_the_best_alone():
    gaps = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=12)
        outputs = list(truth + rng.normal(size=(4, 12)) + rng.normal(size=(4, 1)))
        loss = squared(truth)
        counts = greedy(outputs, loss)
        found = loss(np.average(outputs, 0, counts))
        assert found <= min(map(loss, outputs)) + 1e-12
        best = min(loss(np.mean([outputs[place] for place in bag], 0)) for bag in every_bag(4, 6))
        gaps.append(found / best - 1)
    assert np.median(gaps) < 0.05


def test_no_more_than_five_members():
    rng = np.random.default_rng(0)
    truth = np.zeros(40)
    outputs = list(rng.normal(size=(12, 40)))
    assert (greedy(outputs, squared(truth)) > 0).sum() == 5


def test_equal_trials_are_told_apart_by_their_number():
    outputs = [np.ones(3), np.zeros(3), np.zeros(3)]
    assert greedy(outputs, squared(np.zeros(3))).tolist() == [0, 1, 0]


def test_an_ensemble_is_kept_where_it_is_better_by_more_than_a_standard_error():
    own = {"shares": {3: 0.6, 7: 0.4}, "trial": 3, "tried": 9}
    kept = Ensemble(loss=0.5, single=0.53, error=0.02, **own)
    assert kept.is_kept
    json.dumps(kept.document())
    assert kept.report().startswith("An ensemble of 2 of 9 trials is taken: 60% trial 3, 40% trial 7. On the half")
    within = Ensemble(loss=0.5, single=0.51, error=0.02, **own)
    assert not within.is_kept
    assert within.report().startswith("No ensemble: that of 60% trial 3, 40% trial 7 is not surely better.")


def test_candidates_are_the_best_finished_trials_and_the_default():
    records = [Record(0, "default", "finished", {}, 0, score=9.0)]
    records += [Record(n, "search", "finished", {}, 0, score=2.0 - n / 100) for n in range(1, 25)]
    records += [Record(25, "search", "paused", {}, 0, score=0.1), Record(26, "search", "failed", {}, 0, score=0.1)]
    assert [own.number for own in candidates(records)] == [0, *range(25 - MOST_CANDIDATES, 25)]


def test_blocks_are_not_divided_among_the_halves():
    blocks = np.repeat(np.arange(21), 3)
    halves = Halves.drawn(blocks, 0)
    assert all(len(set(halves.first[blocks == block])) == 1 for block in range(21))
    assert halves.first.sum() == 33
    assert halves.are_possible
    assert not Halves.drawn(np.array([0, 1, 2]), 0).are_possible


def test_few_series_are_halved_in_time_and_many_by_series():
    few = halves_of(Part(np.array([100, 300]), np.array([25, 25])), 6, 0)
    assert few.first.tolist() == 2 * [*12 * [True], *13 * [False]]  # of each series, where its third block begins
    many = halves_of(Part(np.arange(10) * 50, np.full(10, 4)), 2, 0)
    by_series = many.first.reshape(10, 4)
    assert (by_series == by_series[:, :1]).all()
    assert many.first.sum() == 20
    assert len(np.unique(many.blocks)) == 20


# One model of two networks.


def drawn(rows=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 5)).cumsum(1)
    return x, np.where(x[:, -1] > 0, "up", "down")


def series():
    steps = np.arange(110)
    return np.stack([np.sin(steps / 3 + k) + np.random.default_rng(k).normal(0, 0.2, 110) for k in range(3)])


CLASSIFY = {"epochs": 2, "bidirectional": False, "share": 1.0}
FORECAST = {"epochs": 1, "horizon": 3, "context_length": 8, "share": 1.0}
SETTINGS = ({"hidden_size": 4, "num_layers": 1}, {"hidden_size": 8, "num_layers": 2, "cell": "gru"})


def averaged(kind, options, data, folder, settings=SETTINGS):
    """The ensemble of both settings as it was made, its file, and a fit with each of them."""
    found = []
    for number, setting in enumerate(settings):
        own = kind(**options, **setting)
        (folder / str(number)).mkdir()
        trial = Trial(
            path=folder / str(number) / "m", seed=0, resume=False, halts=lambda *_: False, checks=lambda *_: None
        )
        found.append(own.fit_as(partial(answered, own, trial=trial), *data))
    model, path = kind(**options, **settings[0]), folder / "average.gatewise"
    parts = [averaging.Part(share, own) for share, own in zip(SHARES, found, strict=True)]
    model.fit_as(
        partial(keep_together, model, parts=parts, output=path, tell=lambda line: None, about={"tried": 2}), *data
    )
    return model, path, [kind(**options, **setting).fit(*data) for setting in settings]


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    return averaged(gatewise.Classifier, CLASSIFY, drawn(), tmp_path_factory.mktemp("classify"))


@pytest.fixture(scope="module")
def forecasters(tmp_path_factory):
    return averaged(gatewise.Forecaster, FORECAST, (series(),), tmp_path_factory.mktemp("forecast"))


def test_a_classifier_averages_the_probabilities_of_both(classifiers):
    model, path, singles = classifiers
    x, _ = drawn()
    read = gatewise.load(path)
    data = read._predictor().read(x)
    each = [own._predictor().networks(data, np.arange(len(x))) for own in singles]
    wanted = SHARES[0] * each[0] + SHARES[1] * each[1]
    np.testing.assert_allclose(read._predictor().networks(data, np.arange(len(x))), wanted, rtol=0, atol=1e-6)
    assert (read.predict_proba(x) == model.predict_proba(x)).all()
    assert [member.share for member in read.members_] == [*SHARES]


def test_a_sequence_that_networks_left_out_is_answered_by_those_alone(classifiers):
    """Where there are too few sequences for a validation part, each network of a setting leaves out a fold."""
    _, path, singles = classifiers
    x, _ = drawn()
    read = gatewise.load(path)
    data, folds = read._predictor().read(x), np.arange(len(x)) % read.sizing_.ensemble
    assert read.sizing_.ensemble > 1
    each = [own._predictor().left_out(data, np.arange(len(x)), folds) for own in singles]
    found = read._predictor().left_out(data, np.arange(len(x)), folds)
    np.testing.assert_allclose(found, SHARES[0] * each[0] + SHARES[1] * each[1], rtol=0, atol=1e-6)


def test_a_forecaster_averages_quantiles_level_by_level(forecasters):
    model, path, singles = forecasters
    read, data = gatewise.load(path), series()
    for own in (model, read, *singles):
        own.calibration_ = None  # which is fitted to the average, and so is no average
    [table], *each = [list(own.predictions(data)) for own in (read, *singles)]
    for name in ("0.1", "0.5", "0.9"):
        [column] = [column for column in table if column.endswith(name)]
        # In the order of the levels they are sorted after they were averaged; these do not cross.
        np.testing.assert_allclose(
            table[column], SHARES[0] * each[0][0][column] + SHARES[1] * each[1][0][column], rtol=1e-5, atol=1e-6
        )
    assert (read.predict(data) == model.predict(data)).all()


@pytest.mark.parametrize("kind", ["classifiers", "forecasters"])
def test_the_file_comes_back_the_same(kind, request, tmp_path):
    _, path, _ = request.getfixturevalue(kind)
    read = gatewise.load(path)
    read.save(tmp_path / "again.gatewise")
    assert load(tmp_path / "again.gatewise").document == load(path).document
    assert load(path).document["format"] == 3
    assert read.model_.state_dict().keys() == read._weights().keys()  # a module of torch, made of the file
    assert read.provenance_["ensemble"] == {"tried": 2}


def test_a_stream_ends_with_what_the_whole_sequence_gets(classifiers):
    _, path, _ = classifiers
    x, _ = drawn()
    read = gatewise.load(path)
    streams = read.streams()
    stream = streams.open()
    for value in x[0]:
        last = streams.push({stream: [[value]]})[stream]
    np.testing.assert_allclose([*last["probabilities"].values()], read.predict_proba(x[:1])[0], atol=1e-6)


def test_a_stream_of_a_forecaster_says_what_the_whole_series_gets(forecasters):
    _, path, _ = forecasters
    read, values = gatewise.load(path), series()[0]
    streams = read.streams()
    stream = streams.open()
    for piece in (values[:50], values[50:]):
        answer = streams.push({stream: piece[:, None]})[stream]
    [table] = read.predictions(values[None])
    for name, column in answer.items():
        if name in table and name != "step":
            np.testing.assert_allclose(column, table[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["classifiers", "forecasters"])
def test_what_else_takes_it(kind, request, tmp_path, capsys):
    _, path, _ = request.getfixturevalue(kind)
    assert main(["info", str(path)]) == 0
    members = " ".join(capsys.readouterr().out.split("members")[1].split("trained on")[0].split())
    assert members == "75% cell lstm hidden size 4 num layers 1, 25% cell gru hidden size 8 num layers 2"
    assert main(["export", str(path), "--to", "c", "-o", str(tmp_path / "c")]) == 0
    assert "cell lstm and gru" in capsys.readouterr().err
    gatewise.compress(path, tmp_path / "small.gatewise", "float16")
    assert load(tmp_path / "small.gatewise").document["format"] == 3
    assert len(gatewise.load(tmp_path / "small.gatewise").members_) == 2
    assert main(["export", str(path), "--to", "keras", "-o", str(tmp_path / "m.keras")]) == 2
    assert "averages the networks of several settings, but a file of keras holds one" in capsys.readouterr().err


@pytest.mark.parametrize("first", [False, True])
def test_one_member_that_reads_in_both_directions_makes_all_of_it_need_whole_sequences(first, tmp_path, capsys):
    options, settings = (
        {"epochs": 1, "share": 1.0, "hidden_size": 4},
        [{"bidirectional": own} for own in (first, not first)],
    )
    _, path, _ = averaged(gatewise.Classifier, options, drawn(), tmp_path, settings)
    assert main(["export", str(path), "--to", "c", "-o", str(tmp_path / "c")]) == 0
    assert "A classifier of whole sequences" in capsys.readouterr().err


def test_info_says_what_a_member_chose_itself():
    chosen = {"share": 0.5, "options": {"hidden_size": None, "batch_size": None}, "sizes": {"hidden_size": 64}}
    given = {"share": 0.5, "options": {"hidden_size": 32, "batch_size": None}, "sizes": {"hidden_size": 32}}
    assert in_words([chosen, given]) == "50% hidden size 64, 50% hidden size 32"


def test_what_needs_one_setting_is_refused(classifiers):
    _, path, _ = classifiers
    with pytest.raises(OptionError, match="several settings, but an explanation is of one"):
        gatewise.explain(path, drawn()[0])
    with pytest.raises(OptionError, match="several settings, but training goes on from one alone"):
        gatewise.Classifier(epochs=1).fit(*drawn(), start_from=path)


def test_a_model_that_is_fitted_again_is_of_one_setting(classifiers):
    _, path, singles = classifiers
    read = gatewise.load(path).set_params(**CLASSIFY, **SETTINGS[0])
    read.fit(*drawn())
    assert read.members_ == ()
    assert (read.predict_proba(drawn()[0]) == singles[0].predict_proba(drawn()[0])).all()


def damaged(document, *, member=None, **changed):
    members = [dict(own) for own in document["members"]]
    members[0] |= member or {}
    return {**document, "members": members} | changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda own: damaged(own, member={"share": 0.5}), "the shares of its members do not sum to 1"),
        (lambda own: damaged(own, member={"share": 2.0}), "members.0.share"),
        (lambda own: damaged(own, member={"more": 1}), "more"),
        (lambda own: damaged(own, members=own["members"][:1]), "it has 1 members, where 2 to 5 are averaged"),
        (lambda own: damaged(own, members=own["members"] * 3), "it has 6 members"),
        (lambda own: damaged(own, members="all"), "members"),
        (lambda own: damaged(own, members=own["members"][::-1]), "has the shape"),
        (lambda own: damaged(own, members=None), "has the shape"),
        (lambda own: damaged(own, member={"sizes": {}}), "members.0.sizes"),
        (
            lambda own: damaged(own, member={"sizes": {**own["members"][0]["sizes"], "ensemble": 7}}),
            "differ in how many networks they have",
        ),
        (lambda own: damaged(own, member={"options": {"hidden_sizes": 3}}), "is no option"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(classifiers, tmp_path, change, said):
    _, path, _ = classifiers
    found = load(path)
    save(tmp_path / "m.gatewise", change(found.document), found.tensors)
    with pytest.raises(ModelFileError, match=said) as caught:
        gatewise.load(tmp_path / "m.gatewise")
    assert "\n" not in str(caught.value)


def test_a_model_of_another_task_has_no_members(classifiers, forecasters, tmp_path):
    found, other = load(classifiers[1]), load(forecasters[1])
    save(tmp_path / "m.gatewise", {**found.document, "members": other.document["members"]}, found.tensors)
    with pytest.raises(ModelFileError, match="incomplete or contradicts itself"):
        gatewise.load(tmp_path / "m.gatewise")


# From the search to the model.


@pytest.fixture
def always(monkeypatch):
    """Whatever the losses say, the first two trials are averaged."""
    monkeypatch.setattr(ensemble, "greedy", lambda outputs, loss: np.bincount([0, 0, 1], minlength=len(outputs)))
    monkeypatch.setattr(Ensemble, "is_kept", property(lambda self: not self.why))


SEARCHED = {"epochs": 2, "share": 1.0, "num_layers": 1, "dropout": 0.1, "weight_decay": 0.01, "batch_size": 16}


def test_a_search_ends_with_one_model_of_several_trials(always, tmp_path):
    """The same study gives the same model, also where the weights of a trial are on another machine."""
    how = {"trials": 3, "average": True, "storage": tmp_path / "study", "search": {"hidden_size": "4..12"}}
    found = gatewise.tune("classify", *drawn(), output=tmp_path / "m.gatewise", **how, **SEARCHED)
    numbers = [own.number for own in found.records if own.finished]
    assert {*found.ensemble.shares.items()} == {(numbers[0], 2 / 3), (numbers[1], 1 / 3)}
    assert not (tmp_path / "m.gatewise.metrics.jsonl").exists()
    assert "An ensemble of 2 of" in found.report()
    read = gatewise.load(tmp_path / "m.gatewise")
    assert (read.predict_proba(drawn()[0]) == found.estimator_.predict_proba(drawn()[0])).all()
    assert read.provenance_["ensemble"]["kept"]
    (tmp_path / "study" / "trials" / f"{numbers[1]}" / "model.gatewise.checkpoint").unlink()
    again = gatewise.tune("classify", *drawn(), output=tmp_path / "again.gatewise", **how, **SEARCHED)
    assert again.ensemble == found.ensemble
    tensors = load(tmp_path / "again.gatewise").tensors
    assert all((tensors[name] == own).all() for name, own in load(tmp_path / "m.gatewise").tensors.items())


def test_trials_with_another_number_of_networks_are_not_asked(monkeypatch, tmp_path):
    """Where each network leaves some sequences out, those with other numbers leave out others."""
    monkeypatch.setattr(ensemble, "greedy", lambda outputs, loss: (np.arange(len(outputs)) < MOST_MEMBERS).astype(int))
    monkeypatch.setattr(Ensemble, "is_kept", property(lambda self: not self.why))
    options = SEARCHED | {"epochs": 1, "hidden_size": 4, "learning_rate": 0.01}
    found = gatewise.tune("classify", *drawn(), trials=3, average=True, search={"ensemble": "2,3"}, **options)
    assert len({own.setting["ensemble"] for own in found.records if own.finished}) == 2
    assert len({member.sizes.ensemble for member in found.estimator_.members_}) == 1


def test_a_study_that_was_begun_without_it_is_another_one(tmp_path):
    how = {"trials": 1, "storage": tmp_path / "study"}
    gatewise.tune("classify", *drawn(), **how, **SEARCHED)
    with pytest.raises(OptionError, match="begun differently: average was absent and is true"):
        gatewise.tune("classify", *drawn(), average=True, **how, **SEARCHED)


@pytest.mark.parametrize("kept", [False, True])
def test_the_command_keeps_the_single_setting_or_the_ensemble_and_says_which(kept, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ensemble, "greedy", lambda outputs, loss: np.array([1, 1]))
    monkeypatch.setattr(Ensemble, "is_kept", property(lambda self: kept))
    wave = np.sin(np.arange(400) / 3) + np.random.default_rng(0).normal(0, 0.2, 400)
    np.savetxt("waves.csv", np.stack([np.arange(400), wave], 1), delimiter=",", header="t,v", comments="")
    options = ["--horizon", "3", "--context-length", "8", "--epochs", "1", "--hidden-size", "4"]
    command = ["tune", "forecast", "waves.csv", "--target", "v", "--trials", "2", "--average", *options]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ensemble"]["kept"] == kept
    assert printed["ensemble"]["shares"] == [{"trial": 0, "share": 0.5}, {"trial": 1, "share": 0.5}]
    assert ("members" in load("waves.gatewise").document) == kept
    assert main([*command, "--force"]) == 0
    said = capsys.readouterr().out
    assert ("The single setting: gatewise fit" in said) == kept
    assert ("The same model: gatewise fit" in said) != kept
    for verb in ("evaluate", "predict"):
        assert main([verb, "waves.gatewise", "waves.csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["generate", "text.txt"], "average: networks of the task 'generate' are not averaged, only those of classify"),
        (
            [
                "forecast",
                "waves.csv",
                "--target",
                "v",
                "--horizon",
                "2",
                "--mode",
                "autoregressive",
                "--head",
                "gaussian",
            ],
            "are not averaged, only those of classify",
        ),
    ],
)
def test_what_cannot_be_averaged_is_refused_before_anything_is_written(
    command, said, rhyme, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(rhyme, encoding="utf-8")
    np.savetxt("waves.csv", np.stack([np.arange(110), series()[0]], 1), delimiter=",", header="t,v", comments="")
    before = {*tmp_path.iterdir()}
    assert main(["tune", *command, "--trials", "2", "--average"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert {*tmp_path.iterdir()} == before
