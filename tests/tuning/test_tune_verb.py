"""`gatewise tune` and `gatewise.tune` from data to model, on texts so small that a trial takes a second."""

import contextlib
import json
import re
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import gatewise
from gatewise.bundle import load
from gatewise.cli import main
from gatewise.cli.tune import _without_password
from gatewise.errors import DataError, OptionError
from gatewise.tasks import fitting
from gatewise.tasks.fitting import Prepared
from gatewise.tuning import trials, tuned
from gatewise.tuning.search import Limits
from gatewise.tuning.storage import opened
from gatewise.tuning.tuned import Tuning

ASKED = {"limits": Limits(None, 1), "options": {}, "reading": {}, "ranges": {}}
OPTIONS = {"hidden_size": 8, "epochs": 2, "batch_size": 4, "chunk_length": 32, "num_layers": 1, "weight_decay": 0.01}
FLAGS = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def text(rhyme, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rhyme.txt"
    path.write_text(rhyme, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def studied(text, tmp_path_factory):
    """(folder, document that was printed) of a search by the command line."""
    folder = tmp_path_factory.mktemp("studied")
    file = folder / "out.json"
    with file.open("w") as out, contextlib.redirect_stdout(out):
        assert (
            main(["tune", "generate", text, "--trials", "4", *FLAGS, "-o", str(folder / "m.gatewise"), "--json"]) == 0
        )
    return folder, json.loads(file.read_text())


def timeless(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same_model(path, other):
    found, wanted = load(path), load(other)
    assert found.tensors.keys() == wanted.tensors.keys()
    for name, tensor in wanted.tensors.items():
        assert (found.tensors[name] == tensor).all(), name
    assert found.document["training"]["metrics"] == wanted.document["training"]["metrics"]


def test_the_command_that_it_prints_makes_the_same_model(studied, tmp_path):
    folder, printed = studied
    words = shlex.split(printed["command"])
    assert words[:3] == ["gatewise", "fit", "generate"]
    model = tmp_path / "before.gatewise"
    shutil.copyfile(folder / "m.gatewise", model)
    assert main([*words[1:], "--quiet"]) == 0  # as it stands there, where the model is
    assert_same_model(folder / "m.gatewise", model)


def test_the_first_trial_is_what_fit_does(studied, text, tmp_path):
    _, printed = studied
    first = printed["trials"][0]
    model = gatewise.Generator(**OPTIONS).fit([text])
    assert (first["kind"], first["loss"]) == ("default", model.outcome_.best_loss)
    assert first["learning_rate"] == model.outcome_.learning_rate


def test_the_same_in_python_with_the_same_bits(studied, text, tmp_path):
    folder, printed = studied
    found = gatewise.tune("generate", [text], trials=4, output=tmp_path / "m.gatewise", **OPTIONS)
    assert timeless(found.trials) == timeless(printed["trials"])
    assert found.best_ == printed["options"]
    assert_same_model(tmp_path / "m.gatewise", folder / "m.gatewise")
    assert found.estimator_.metrics_["test"]["loss"] == printed["metrics"]["test"]["loss"]


def test_nothing_is_left_beside_the_model_but_the_study(studied):
    folder, _ = studied
    assert {path.name for path in folder.iterdir()} == {"m.gatewise", "m.gatewise.metrics.jsonl", "m.tune", "out.json"}


def test_show(studied, capsys, tmp_path):
    folder, printed = studied
    assert main(["tune", "show", str(folder / "m.tune"), "--table", str(tmp_path / "t.parquet")]) == 0
    shown = capsys.readouterr().out
    assert "0, the default" in shown
    assert "learning_rate  0.001 to 0.1; default 0.01" in shown
    assert "weight_decay" not in shown  # it was given, though with its usual value
    assert "--weight-decay 0.01" in printed["command"]
    import duckdb

    found = duckdb.sql(f"SELECT trial, kind, loss FROM '{tmp_path / 't.parquet'}' ORDER BY trial").fetchall()
    assert found == [(row["trial"], row["kind"], row["loss"]) for row in printed["trials"]]


def test_a_dry_run_writes_nothing(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", "generate", text, "--dry", *FLAGS]) == 0
    assert "the default takes" in capsys.readouterr().out
    assert [*tmp_path.iterdir()] == []


def test_interrupted_it_goes_on_to_the_same_model(studied, text, tmp_path, monkeypatch, capsys):
    """In the middle of its third trial, and again while the best is repeated."""
    folder, printed = studied
    command = ["tune", "generate", text, "--trials", "4", *FLAGS, "-o", str(tmp_path / "m.gatewise"), "--json"]
    run, waiting = trials.run, [2, 5]

    def stopping(fit, space, records, record, halts, clock):
        def stops(standing):
            if waiting and record.number >= waiting[0] and standing.share > 0.3:
                waiting.pop(0)
                signal.raise_signal(signal.SIGINT)
            return halts(standing)

        run(fit, space, records, record, stops, clock)

    monkeypatch.setattr(trials, "run", stopping)
    for _ in range(2):
        assert main(command) == 130
        assert "interrupted. To go on: gatewise tune generate" in capsys.readouterr().err
        assert not (tmp_path / "m.gatewise").exists()
    assert main(command) == 0
    assert waiting == []
    again = json.loads(capsys.readouterr().out)
    assert timeless(again["trials"]) == timeless(printed["trials"])
    assert_same_model(tmp_path / "m.gatewise", folder / "m.gatewise")


def test_interrupted_where_a_trial_pauses_it_stays_paused(text, tmp_path, monkeypatch):
    """At its rung, behind others: the same study as without."""
    run, waiting = trials.run, [True]

    def stopping(fit, space, records, record, halts, clock):
        def stops(standing):
            halted = halts(standing)
            if waiting and halted:
                waiting.clear()
                signal.raise_signal(signal.SIGINT)
            return halted

        run(fit, space, records, record, stops, clock)

    monkeypatch.setattr(trials, "run", stopping)
    options = {**OPTIONS, "trials": 5}
    whole, other = tmp_path / "whole.tune", tmp_path / "other.tune"
    with pytest.raises(KeyboardInterrupt):
        gatewise.tune("generate", text, storage=other, **options)
    assert not waiting
    found = gatewise.tune("generate", text, storage=other, **options)
    assert timeless(found.trials) == timeless(gatewise.tune("generate", text, storage=whole, **options).trials)


def test_interrupted_while_the_result_is_measured_the_same_command_goes_on(text, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "of a study"
    folder.mkdir()
    command = ["tune", "generate", text, "--trials", "1", *FLAGS, "-o", str(folder / "m.gatewise"), "--quiet"]
    usual, waiting = Prepared.__init__, [1]

    def interrupted(self, *, measure, **others):
        def measuring(finished, tell):
            if waiting:
                waiting.pop()
                raise KeyboardInterrupt
            return measure(finished, tell)

        usual(self, measure=measuring, **others)

    monkeypatch.setattr(Prepared, "__init__", interrupted)
    assert main(command) == 130
    assert [path.name for path in folder.iterdir()] == ["m.tune"]
    assert main(command) == 0
    assert load(folder / "m.gatewise").document["training"]["metrics"]["test"]
    assert {path.name for path in folder.iterdir()} == {"m.tune", "m.gatewise", "m.gatewise.metrics.jsonl"}


def test_trials_measure_nothing(text, monkeypatch):
    """The test part is read once, for the model that is kept."""
    measured, usual = [], Prepared.__init__

    def watched(self, *, measure, **others):
        def counted(finished, tell):
            measured.append(finished)
            return measure(finished, tell)

        usual(self, measure=counted, **others)

    monkeypatch.setattr(Prepared, "__init__", watched)
    found = gatewise.tune("generate", [text], trials=3, **OPTIONS)
    assert len(found.trials) >= 3
    assert measured == [True]


def test_repeats_learn_from_the_same_part(tmp_path, monkeypatch):
    """The seed of a `fit` also decides which sequences are the test part, and a repeat must not learn from those."""
    rows = [f"{number} {word} day,{word}" for number in range(40) for word in ("good", "bad")]
    (tmp_path / "days.csv").write_text("\n".join(["text,label", *rows]))
    seen, usual = {}, fitting.train

    def watched(module, training, *others, plan, **more):
        seen[plan.seed] = sorted(training.rows.tolist())
        return usual(module, training, *others, plan=plan, **more)

    monkeypatch.setattr(
        fitting,
        "train",
        lambda module, training, validation, plan, **more: watched(module, training, validation, plan=plan, **more),
    )
    options = {"hidden_size": 4, "epochs": 1, "embedding_size": 4}
    gatewise.tune("classify", str(tmp_path / "days.csv"), trials=2, **options)
    assert seen[0] == seen[1]


WRONG = [
    (["--minutes", "0"], "--minutes"),
    (["--minutes", "0.0001"], "--minutes 0.0001 is too short: the default alone takes about"),
    (["--trials", "0"], "--trials"),
    (["--search", "hidden_size"], "--search takes NAME=RANGE"),
    (["--search", "hiden_size=8..64"], "no option named 'hiden_size'. Did you mean 'hidden_size'?"),
    (["--search", "dropout=0..2"], "dropout"),
    (["--search", "dropout=0..0.5", "--search", "dropout=0..0.4"], "twice"),
    (["--search", "hidden_size=8..64"], "both given, 8, and searched"),
    (["--split", "0.9,0,0.1"], "none are held out here"),
    (["--only", "plain"], "nothing to search"),
    (["--storage", "sqlite:///s.db"], "sqlite"),
    (["--workers", "0"], "--workers"),
]


@pytest.mark.parametrize(("words", "told"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_is_wrong_is_told_in_a_line(text, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", "generate", text, *FLAGS, "--quiet", *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert told.lower() in said[0].lower()
    assert [*tmp_path.iterdir()] == []


def test_a_time_that_turns_out_too_short_leaves_no_study(text, tmp_path, monkeypatch):
    """Where the first steps did not show it. One that was there before is kept."""
    monkeypatch.setattr(tuned, "_ROUGHLY", 1e9)
    with pytest.raises(OptionError, match="too short: the default alone takes"):
        gatewise.tune("generate", [text], minutes=1e-4, storage=tmp_path / "s", **OPTIONS)
    assert [*tmp_path.iterdir()] == []
    opened(tmp_path / "s", Tuning.of("generate", [text], **{**ASKED, "options": OPTIONS}).document)
    with pytest.raises(OptionError, match="too short"):
        gatewise.tune("generate", [text], minutes=1e-4, storage=tmp_path / "s", **OPTIONS)
    assert (tmp_path / "s" / "tune.json").exists()


def test_with_a_time_limit_it_is_found_out_how_long_measuring_takes(text):
    found = gatewise.tune("generate", [text], minutes=10, trials=1, **OPTIONS)
    assert 0 < found.records[0].closing < 60
    assert found.records[0].score == found.estimator_.outcome_.best_loss


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_data_that_change_while_it_searches_harm_no_study(text, tmp_path, monkeypatch, how):
    data, storage, run = tmp_path / "rhyme.txt", tmp_path / "s", trials.run
    shutil.copyfile(text, data)

    def changing(fit, space, records, record, *others):
        if record.number == 2:
            data.write_text(Path(text).read_text() + "Peter.") if how == "changed" else data.unlink()
        run(fit, space, records, record, *others)

    monkeypatch.setattr(trials, "run", changing)
    told = "the data changed while the search runs" if how == "changed" else "no file or folder named"
    with pytest.raises(DataError, match=told):
        gatewise.tune("generate", [str(data)], trials=3, storage=storage, **OPTIONS)
    monkeypatch.setattr(trials, "run", run)
    shutil.copyfile(text, data)
    found = gatewise.tune("generate", [str(data)], trials=3, storage=storage, **OPTIONS)
    assert "failed" not in {row["state"] for row in found.trials}
    whole = gatewise.tune("generate", [text], trials=3, **OPTIONS)
    assert timeless(found.trials) == timeless(whole.trials)


def test_series_of_which_too_few_steps_are_held_out_are_refused_with_what_to_do():
    """What is advised is enough."""
    waves = np.sin(np.arange(1200)[:, None] / 5)
    with pytest.raises(DataError, match=r"1,200 normal steps 120 would be held out, and 500 are") as caught:
        Tuning.of("detect", waves, **ASKED)
    split = re.search(r"--split ([\d.]+),([\d.]+),([\d.]+)\)", str(caught.value))
    assert Tuning.of("detect", waves, **{**ASKED, "options": {"split": tuple(map(float, split.groups()))}}).space
    with pytest.raises(DataError, match=r"to choose by. Give normal series of their own"):
        Tuning.of("detect", waves[:600], **ASKED)


def test_a_search_from_a_model(text, tmp_path, capsys):
    """The default is what `fit --from` does; sizes are the model's; a study of another model is refused."""
    start = tmp_path / "start.gatewise"
    gatewise.Generator(**OPTIONS).fit([text], output=start)
    options = {name: value for name, value in OPTIONS.items() if name not in ("hidden_size", "num_layers")}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    ask = ["tune", "generate", text, "--trials", "3", *words, "--from", str(start), "-o"]
    assert main([*ask, str(tmp_path / "m.gatewise"), "--json", "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)
    model = gatewise.Generator(**options).fit([text], start_from=start)
    assert printed["trials"][0]["loss"] == model.outcome_.best_loss
    assert "hidden_size" not in printed["trials"][0]
    assert printed["trials"][0]["learning_rate"] == pytest.approx(model.outcome_.learning_rate)
    shutil.copyfile(tmp_path / "m.gatewise", tmp_path / "n.gatewise")
    assert main([*shlex.split(printed["command"])[1:], "--quiet"]) == 0
    assert_same_model(tmp_path / "m.gatewise", tmp_path / "n.gatewise")
    for wrong, told in (
        ([*ask, str(start), "--force"], "is the model to go on from"),
        ([*ask, "w.gatewise", "--search", "hidden_size=8..64"], "--hidden-size is that of the model to go on from"),
        (["tune", "generate", text, *words, "-o", str(tmp_path / "m.gatewise"), "--force"], "begun differently"),
    ):
        capsys.readouterr()
        assert main([*wrong, "--quiet"]) == 2
        assert told in capsys.readouterr().err


def test_a_study_of_other_options_or_data_is_refused_and_unharmed(studied, text, capsys, tmp_path):
    folder, _ = studied
    before = (folder / "m.tune" / "journal.log").read_bytes()
    common = ["--trials", "4", "-o", str(tmp_path / "n.gatewise"), "--storage", str(folder / "m.tune"), "--quiet"]
    assert main(["tune", "generate", text, *FLAGS, "--seed", "3", *common]) == 2
    assert "options.seed was 0 and is 3" in capsys.readouterr().err
    other = tmp_path / "other.txt"
    other.write_text(Path(text).read_text() + "Peter.")
    assert main(["tune", "generate", str(other), *FLAGS, *common]) == 2
    assert "data was" in capsys.readouterr().err
    assert (folder / "m.tune" / "journal.log").read_bytes() == before


def test_streams_are_refused(text):
    with open(text) as file, pytest.raises(OptionError, match="Name a file"):
        gatewise.tune("generate", file, trials=1)
    with pytest.raises(OptionError, match="Did you mean 'generate'"):
        gatewise.tune("generat", text, trials=1)
    with pytest.raises(OptionError, match="Did you mean 'hidden_size'"):
        gatewise.tune("generate", text, trials=1, hiden_size=3)
    with pytest.raises(DataError):
        gatewise.tune("generate", "nowhere.txt", trials=1)


@pytest.mark.slow
def test_two_workers_share_a_study(text, tmp_path, capsys):
    """And the model is made once, with one thread; no setting is tried twice."""
    target = tmp_path / "m.gatewise"
    assert main(["tune", "generate", text, "--trials", "8", "--workers", "2", *FLAGS, "-o", str(target), "--json"]) == 0
    said = capsys.readouterr()
    printed = json.loads(said.out)
    assert "worker 1: trial " in said.err
    assert "worker 2: trial " in said.err
    tried = [row for row in printed["trials"] if row["state"] != "failed"]
    points = [(row["learning_rate"], row["dropout"], row["seed"]) for row in tried]
    assert len({*points}) == len(points)
    assert sum(row["kind"] in ("default", "search") for row in tried) in (7, 8)
    assert {row["state"] for row in tried} <= {"finished", "paused"}
    words = shlex.split(printed["command"])
    assert words[words.index("--threads") + 1] == "1"
    assert load(target).document["training"]["threads"] == 1


def test_a_page_while_it_searches_and_of_the_study(text, tmp_path, capsys):
    page, model = tmp_path / "s.html", tmp_path / "m.gatewise"
    assert (
        main(["tune", "generate", text, "--trials", "2", *FLAGS, "-o", str(model), "--page", str(page), "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    shown = json.loads(re.search(r'id="study">(.*?)</script>', page.read_text())[1])
    assert shown["command"] == document["command"]
    assert timeless(shown["trials"]) == timeless(document["trials"])
    assert main(["tune", "show", str(tmp_path / "m.tune"), "--page", str(page)]) == 2
    assert "exists. Pass --force" in capsys.readouterr().err
    assert main(["tune", "show", str(tmp_path / "m.tune"), "--page", str(tmp_path / "t.html")]) == 0
    shown = json.loads(re.search(r'id="study">(.*?)</script>', (tmp_path / "t.html").read_text())[1])
    assert (shown["title"], shown["task"], shown["command"]) == ("m", "generate", document["command"])


def test_a_study_keeps_no_password():
    url = "postgresql://me:se:cret@host/base?password=secret&table=t"
    assert _without_password(url) == "postgresql://me@host/base?password=&table=t"
    assert _without_password("a/b:c@d.csv") == "a/b:c@d.csv"


def test_a_page_that_cannot_be_written_is_refused_before_the_search(text, tmp_path, capsys):
    page, model = tmp_path / "none" / "s.html", tmp_path / "m.gatewise"
    assert main(["tune", "generate", text, "--trials", "2", "-o", str(model), "--page", str(page)]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="there is no folder"):
        gatewise.tune("generate", [text], trials=2, page=page)
