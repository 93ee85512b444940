"""A study in a real PostgreSQL server: the same promises as in a folder."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from postgres_server import running
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from gatewise.errors import OptionError, TrainingError
from gatewise.tuning.leases import GRACE
from gatewise.tuning.processes import Process, this_process, written
from gatewise.tuning.records import DEFAULT, Records
from gatewise.tuning.storage import opened

pytest.importorskip("psycopg")

ABOUT = {"task": "classify", "data": {"rows": 270}, "version": "0.1.0"}
ELSEWHERE = Process("elsewhere", "another boot", 7, 7)


@pytest.fixture(scope="module")
def server():
    with running() as url:
        yield url


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def name(request):
    return request.node.name


def engine(url):
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)


def optunas(url):
    """Optuna's own storage."""
    return optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"), {"poolclass": NullPool})


def write(url, number, owner, age):
    """A lease with a sign of life some seconds ago."""
    values = {"study": about()["study"], "number": number, "owner": written(owner) if owner else "", "age": age}
    change = """INSERT INTO gatewise_leases
        SELECT :study, :number, :owner, clock_timestamp() - make_interval(secs => :age)
        ON CONFLICT (study, number) DO UPDATE SET owner = excluded.owner, beat = excluded.beat"""
    with engine(url).begin() as connection:
        connection.execute(text(change), values)


def about():
    return json.loads(next(Path().glob("*.tune/tune.json")).read_text())


def test_a_study_goes_on_where_it_was(server, here, name, capfd):
    first = opened(server, ABOUT, name)
    trial = first.study.ask()
    with first.lease(0):
        assert first.holds(0)
        assert first.abandoned() == []
        first.study.tell(trial, 0.5)
    again = opened(server.replace("postgresql:", "postgres:"), ABOUT, name)
    assert again.study.best_value == 0.5
    assert str(again.folder) == f"{name}.tune"
    assert opened(server, None, name).document == ABOUT
    assert "secret" not in str(about())
    assert capfd.readouterr() == ("", "")


def test_who_joins_sees_the_rungs_that_were_written(server, name):
    first, second = (Records(opened(server, ABOUT, name)) for _ in range(2))
    number = first.add(DEFAULT, {"x": 1}, 0)
    curve = [[(k + 1) / 200, 9.0 / (k + 1)] for k in range(200)]  # of many validations
    with first.storage.lease(number):
        first.note(number, {"curve": curve, "score": curve[-1][1], "share": 1.0, "seconds": 1.0})
        first.finish(number, curve[-1][1])
    assert second.of(number) == first.of(number)
    assert second.of(number).places == (0.125, 0.25, 0.5)
    assert second.of(number).curve == curve


def test_a_study_that_was_just_begun_is_forgotten(server, here, name):
    found = opened(server, ABOUT, name, command=["gatewise", "fit"])
    assert opened(server, None, name).command == ("gatewise", "fit")
    found.study.ask()
    with found.lease(0):
        pass
    found.forget()
    assert [*here.iterdir()] == []
    with pytest.raises(OptionError, match="there is no study"):
        opened(server, None, name)


def test_another_worker_goes_on_with_what_was_given_up(server, name):
    first, second = opened(server, ABOUT, name), opened(server, ABOUT, name)
    first.study.ask()
    with pytest.raises(KeyboardInterrupt), first.lease(0):
        raise KeyboardInterrupt
    assert second.abandoned() == [0]
    assert second.take(0)
    assert first.abandoned() == []
    assert not first.take(0)
    with second.lease(0):
        second.study.tell(0, 1.0)
    assert opened(server, None, name).study.get_trials()[0].value == 1


def test_a_lease_is_over_after_a_minute(server, name):
    found = opened(server, ABOUT, name)
    found.study.ask()
    for owner in (ELSEWHERE, None, this_process()):
        for age, over in ((0, False), (GRACE - 2, False), (GRACE + 1, True)):
            write(server, 0, owner, age)
            assert found.abandoned() == [0] * over
            assert found.take(0) is over
            assert found.take(0) is False


def test_the_lease_of_a_dead_process_of_this_machine_is_over_at_once(server, name):
    found = opened(server, ABOUT, name)
    found.study.ask()
    write(server, 0, replace(this_process(), start=1), 0)
    assert found.abandoned() == [0]


def test_a_trial_without_a_lease_is_given_a_minute_from_when_it_is_seen(server, name):
    found = opened(server, ABOUT, name)
    found.study.ask()
    found.study.ask()
    assert found.abandoned() == []
    assert found.abandoned() == []
    write(server, 0, None, GRACE + 1)
    assert found.abandoned() == [0]
    with found.lease(1):
        assert found.holds(1)


def test_a_held_lease_is_touched_and_a_lost_one_left_alone(server, name):
    found = opened(server, ABOUT, name, beat=0.05)
    found.study.ask()
    with found.lease(0):
        write(server, 0, this_process(), 3600)
        until = time.monotonic() + 20
        while found.abandoned():
            assert time.monotonic() < until
            time.sleep(0.05)
        write(server, 0, ELSEWHERE, 3600)
        time.sleep(0.2)
        assert not found.holds(0)
        assert found.abandoned() == [0]
    write(server, 0, ELSEWHERE, 0)
    with pytest.raises(OptionError, match="trial 0 is run by process 7 on elsewhere already"), found.lease(0):
        pass


def test_a_study_of_something_else_is_refused(server, here, name):
    opened(server, ABOUT, name)
    with pytest.raises(OptionError, match=f"the study '{name}.tune' was begun differently: version was"):
        opened(server, {**ABOUT, "version": "2"}, name)
    (here / f"{name}.tune").rename(here / "away")  # as on another machine
    told = rf"the study '{name}' in postgresql://gatewise:\*\*\*@127.0.0.1:\d+/postgres was begun differently: version"
    with pytest.raises(OptionError, match=told):
        opened(server, {**ABOUT, "version": "2"}, name)
    assert opened(server, ABOUT, name).folder.is_dir()


def test_files_of_another_study_are_not_mixed_in(server, here, name):
    """The database was made anew, and the folder is still the old one's."""
    opened(server, ABOUT, name)
    optuna.delete_study(study_name=name, storage=optunas(server))
    with pytest.raises(OptionError, match=f"'{name}.tune' holds files of another study than '{name}' in "):
        opened(server, ABOUT, name)
    with pytest.raises(OptionError, match="there is no study"):
        opened(server, None, name)


def test_a_study_of_optuna_is_not_taken_for_ours(server, name):
    study = optuna.create_study(study_name=name, storage=optunas(server))
    study.tell(study.ask(), 1)
    with pytest.raises(OptionError, match=r"was not made by Gatewise\. Name another one"):
        opened(server, ABOUT, name)


def test_only_a_study_that_exists_can_be_shown(server, here, name):
    with pytest.raises(OptionError, match=f"there is no study '{name}' in postgresql://gatewise"):
        opened(server, None, name)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url.replace("/postgres", "/nowhere"), 'database "nowhere" does not exist'),
        (lambda url: "postgresql://u:secret@127.0.0.1:1/d", "[Cc]onnection refused"),
    ],
)
def test_no_connection(server, here, name, change, told):
    with pytest.raises(OptionError, match=told) as refused:
        opened(change(server), ABOUT, name)
    assert len(str(refused.value).splitlines()) == 1
    assert "secret" not in str(refused.value)
    assert list(here.iterdir()) == []


def test_a_lost_database_is_told_in_one_line(name):
    with running() as url:
        found = opened(url, ABOUT, name)
        trial = found.study.ask()
    told = r"^postgresql://gatewise:\*\*\*@127.0.0.1:\d+/postgres: .*refused.*\. The same command goes on"
    for calls in (lambda: found.study.tell(trial, 1), lambda: found.study.ask(), lambda: found.take(0)):
        with pytest.raises(TrainingError, match=told), found.failures_told():
            calls()


WORKS = """
import json, sys
from gatewise.tuning.storage import opened

storage = opened(sys.argv[1], {"seed": 1}, "s")
input()
print(json.dumps([number for number in range(8) if storage.take(number)]), flush=True)
input()
"""


@pytest.mark.slow
def test_of_processes_that_begin_and_take_the_same_trials_one_has_each(server, here):
    """In a database that has no tables yet."""
    with engine(server).connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("CREATE DATABASE fresh"))
    url = server.replace("/postgres", "/fresh")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", WORKS, url], **pipes) for _ in range(3)]
    found = opened(url, {"seed": 1}, "s")
    for number in range(8):
        assert found.study.ask().number == number
        write(url, number, ELSEWHERE, GRACE + 1)
    for each in workers:
        each.stdin.write("\n")
        each.stdin.flush()
    taken = [number for each in workers for number in json.loads(each.stdout.readline())]
    assert sorted(taken) == list(range(8))
    for each in workers:  # not before: what a dead one took may be taken again
        each.communicate("\n", timeout=60)
        assert each.returncode == 0
