"""A study in a folder: opened by several, continued by anyone, and never mixed with another one."""

import json
import os
import subprocess
import sys
from threading import Thread

import optuna
import pytest

from gatewise.errors import MissingExtra, OptionError
from gatewise.tuning.locks import Lock
from gatewise.tuning.storage import opened

ABOUT = {"task": "classify", "data": {"rows": 270, "sha256": "a1"}, "options": {"seed": 1}, "version": "0.1.0"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_study_goes_on_where_it_was(here, capfd):
    verbosity = optuna.logging.get_verbosity()
    first = opened("s", ABOUT)
    trial = first.study.ask()
    with first.lease(trial.number):
        assert first.holds(0)
        assert first.abandoned() == []
        first.study.tell(trial, 0.5)
    assert first.abandoned() == []
    again = opened(here / "s", ABOUT)
    assert again.study.best_value == 0.5
    assert again.folder == here / "s"
    assert opened("s", None).document == ABOUT
    assert sorted(os.listdir("s")) == ["journal.log", "trials", "tune.json"]
    assert capfd.readouterr() == ("", "")  # of Optuna's reports
    assert optuna.logging.get_verbosity() == verbosity


def test_the_folder_has_a_name_of_its_own():
    assert str(opened(None, ABOUT, "vowels").folder) == "vowels.tune"
    assert str(opened(None, ABOUT).folder) == "study.tune"


def test_another_worker_goes_on_with_what_was_given_up():
    first, second = opened("s", ABOUT), opened("s", ABOUT)
    trial = first.study.ask()
    with first.lease(0):
        (first.folder / "trials" / "0" / "checkpoint").write_text("half")
    assert second.abandoned() == [0]
    assert second.take(0)
    assert first.abandoned() == []
    assert not first.take(0)
    with second.lease(0):
        assert (second.folder / "trials" / "0" / "checkpoint").read_text() == "half"
        second.study.tell(trial.number, 1.0)
    assert opened("s", None).study.get_trials()[0].value == 1


def test_a_trial_that_was_finished_meanwhile_is_not_taken():
    first, second = opened("s", ABOUT), opened("s", ABOUT)
    trial = first.study.ask()
    with first.lease(0):
        pass
    assert second.abandoned() == [0]
    first.study.tell(trial, 1.0)
    assert not second.take(0)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({**ABOUT, "data": {"rows": 9, "sha256": "b"}}, 'data.rows was 270 and is 9; data.sha256 was "a1" and is "b"'),
        ({**ABOUT, "version": "0.2.0"}, 'version was "0.1.0" and is "0.2.0"'),
        ({**ABOUT, "options": {}}, "options was absent and is {}; options.seed was 1 and is absent"),
        ({**ABOUT, "search": [1]}, "search was absent and is [1]"),
    ],
)  # fmt: skip
def test_a_study_of_something_else_is_refused_and_stays(here, other, told):
    opened("s", ABOUT).study.ask()
    before = files(here)
    with pytest.raises(OptionError) as refused:
        opened("s", other)
    assert str(refused.value) == (
        f"the study 's' was begun differently: {told}. Give it the same again, or name another one"
    )
    assert files(here) == before


def test_tuples_are_lists():
    opened("s", {"range": (1, 2)})
    opened("s", {"range": [1, 2]})


def a_file(folder):
    (folder / "s").write_text("")


def strangers(folder):
    (folder / "s").mkdir()
    (folder / "s" / "data.csv").write_text("a,b")


def damaged(text):
    def make(folder):
        (folder / "s").mkdir()
        (folder / "s" / "tune.json").write_text(text)

    return make


def newer(folder):
    opened("s", ABOUT)
    path = folder / "s" / "tune.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))


def without_journal(folder):
    opened("s", ABOUT)
    (folder / "s" / "journal.log").unlink()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (a_file, "'s' is a file; a study is kept in a folder. Name another one"),
        (strangers, "'s' holds no study but other files. Name a new folder"),
        (damaged("{"), "'s/tune.json' is damaged. Restore it from a copy, or begin a new study in another folder"),
        (damaged('{"format": 1}'), "'s/tune.json' is damaged. "),
        (damaged("[" * 10**5), "'s/tune.json' is damaged. "),
        (newer, "the study 's' was made by a newer Gatewise. Upgrade it: pip install -U gatewise"),
        (without_journal, "'s' holds files of another study than 's'. "),
    ],
)
def test_what_cannot_be_a_study(here, make, told):
    make(here)
    with pytest.raises(OptionError) as refused:
        opened("s", ABOUT)
    assert str(refused.value).startswith(told)


def test_only_a_study_that_exists_can_be_shown(here):
    with pytest.raises(OptionError, match="there is no study in 's'"):
        opened("s", None)
    assert files(here) == {}
    assert not (here / "s").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///study.db", "a study is not kept in SQLite, whose locks fail on the network file systems "),
        ("redis://localhost", "a study is kept in a folder or in PostgreSQL, not in 'redis'"),
        ("mysql+pymysql://u:p@h/d", "a study is kept in a folder or in PostgreSQL, not in 'mysql'"),
        ("postgresql://u:p@h:port/d", "the URL of the database cannot be read; it has the form postgresql://USER:"),
        ("://", "a study is kept in a folder or in PostgreSQL, not in ''"),
    ],
)
def test_other_databases_are_refused(here, url, told):
    with pytest.raises(OptionError) as refused:
        opened(url, ABOUT)
    assert str(refused.value).startswith(told)
    assert len(str(refused.value).splitlines()) == 1
    assert files(here) == {}


@pytest.mark.parametrize(
    ("where", "package", "extra"),
    [("s", "optuna", "tune"), ("postgresql://localhost/d", "psycopg", "tune-postgres")],
)
def test_what_is_missing_is_named_before_anything_is_written(here, monkeypatch, where, package, extra):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(package), *sys.meta_path])
    with pytest.raises(MissingExtra, match=rf"pip install 'gatewise\[{extra}\]'"):
        opened(where, ABOUT)
    assert list(here.iterdir()) == []


class Missing:
    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_study_is_begun_by_one_at_a_time(here):
    (here / "s").mkdir()
    with Lock(here / "s" / "tune.json.lock"):
        other = Thread(target=opened, args=("s", ABOUT))
        other.start()
        other.join(0.5)
        assert other.is_alive()
        assert b"study_name" not in (here / "s" / "journal.log").read_bytes()
    other.join(60)
    assert opened("s", None).document == ABOUT


BEGINS = """
import sys, time
from pathlib import Path
from gatewise.errors import OptionError
from gatewise.tuning.storage import opened
import optuna

while not Path("go").exists():
    time.sleep(0.001)
try:
    study = opened("s", {"seed": int(sys.argv[1]) % 2}).study
except OptionError as error:
    print(error)
else:
    print(study.ask().number)
"""


def test_of_workers_that_begin_a_study_at_once_the_first_says_what_it_is_of(here):
    workers = [
        subprocess.Popen([sys.executable, "-c", BEGINS, str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(4)
    ]
    (here / "go").touch()
    said = [worker.communicate(timeout=60)[0].strip() for worker in workers]
    seed = opened("s", None).document["seed"]
    same, others = said[seed::2], said[1 - seed :: 2]
    assert sorted(same) == ["0", "1"]
    assert set(others) == {
        f"the study 's' was begun differently: seed was {seed} and is {1 - seed}. Give it the same again, or name "
        "another one"
    }


def test_a_study_that_was_just_begun_is_forgotten(here):
    found = opened("s", ABOUT, command=["gatewise", "fit"])
    assert opened("s", None).command == found.command == ("gatewise", "fit")
    found.study.ask()
    with found.lease(0):
        pass
    opened("s", ABOUT).forget()  # who joined it does not
    assert (here / "s").exists()
    found.forget()
    assert [*here.iterdir()] == []


@pytest.mark.parametrize("how", ["ended", "run by somebody"])
def test_a_study_in_which_something_was_found_is_not_forgotten(here, how):
    found = opened("s", ABOUT)
    trial = found.study.ask()
    with opened("s", ABOUT).lease(0):
        if how == "ended":
            found.study.tell(trial, 0.5)
        found.forget()
    found = opened("s", None)
    assert len(found.study.trials) == 1
