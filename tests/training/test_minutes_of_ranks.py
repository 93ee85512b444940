"""`minutes` of several ranks whose clocks differ: the first one's decides for all. The ranks are threads here."""

import io
import signal
import time

import pytest
import torch
from ranks_in_threads import run_ranks
from training_toy import Toy, Workshop

from gatewise.errors import ModelFileError, OptionError
from gatewise.ranks import current
from gatewise.tasks import Generator, budgeting
from gatewise.training import Before, Budget, Silent

TEXT = "to be or not to be, that is the question\n" * 60
SIZES = {"embedding_size": 4, "batch_size": 4, "chunk_length": 16, "num_layers": 1, "threads": 1}


@pytest.fixture
def apart(monkeypatch):
    """Clocks of the ranks, which are an hour apart, go on by each look at them, and that by other amounts."""
    now = [3600.0 * rank for rank in range(3)]

    def look():
        rank = current().rank
        now[rank] += 0.01 * (1 + 7 * rank)
        return now[rank]

    monkeypatch.setattr(time, "monotonic", look)
    return now


def weights_of(module):
    return [weight.detach().clone() for weight in module.parameters()]


def test_a_run_ends_with_the_time_of_the_first_rank(tmp_path, apart):
    rehearsals, seconds, modules = [], 4.0, [Toy(), Toy()]

    def rehearse(weights, steps):
        rehearsals.append((current().rank, steps))
        for _ in range(30):
            time.monotonic()

    def one(rank):
        (tmp_path / f"{rank}").mkdir()
        ranks = current()
        given = Budget(
            seconds=seconds,
            started=ranks.tick(),
            after=0.3,
            step=0.005,
            validation=0.02,
            most=10**6,
            rehearse=rehearse,
            clock=ranks.clock,
        )
        return Workshop(tmp_path / f"{rank}").train(modules[rank], budget=given), weights_of(modules[rank])

    (first, own), (second, others) = run_ranks(2, one)
    assert first == second
    assert first.step == first.planned > 26
    assert first.outside + first.seconds + 0.3 == pytest.approx(seconds, rel=0.05)
    assert [rank for rank, _ in sorted(rehearsals)] == [0, 1]
    assert len({steps for _, steps in rehearsals}) == 1
    assert all(map(torch.equal, own, others))


def fitted(tmp_path, rank, **options):
    path = tmp_path / f"{rank}" / "model.gatewise"
    path.parent.mkdir(exist_ok=True)
    more = {name: options.pop(name) for name in ("resume", "progress") if name in options}
    return Generator(**SIZES, **options).fit(io.StringIO(TEXT), output=path, **more)


def test_all_ranks_choose_and_plan_alike(tmp_path, apart, monkeypatch):
    """By the clock of the second rank, 8 times as fast, a smaller preset would be chosen, or none fit."""
    asked, preset_for = [], budgeting.preset_for

    def chosen(wanted, left):
        asked.append((wanted, left))
        return preset_for(wanted, left)

    monkeypatch.setattr(budgeting, "preset_for", chosen)
    found = run_ranks(2, lambda rank: fitted(tmp_path, rank, minutes=0.1, patience=None))
    assert len(set(asked)) == 1
    assert found[0].sized_as == found[1].sized_as
    assert found[0].outcome_ == found[1].outcome_
    assert all(map(torch.equal, weights_of(found[0].model_), weights_of(found[1].model_)))
    assert found[0].outcome_.outside + found[0].outcome_.seconds == pytest.approx(6.0, rel=0.05)
    assert not list((tmp_path / "1").iterdir())


def test_too_short_a_time_is_refused_by_all(tmp_path, apart):
    said = []

    def one(rank):
        with pytest.raises(OptionError, match="less than it takes") as caught:
            fitted(tmp_path, rank, minutes=1e-4)
        said.append(str(caught.value))

    run_ranks(2, one)
    assert len(set(said)) == 1


class Interrupting(Silent):
    def step(self, step, loss):
        if step == 30:
            signal.raise_signal(signal.SIGINT)


def test_two_ranks_go_on_with_what_one_left_of_its_time(tmp_path, apart):
    stopped = fitted(tmp_path, 0, minutes=0.1, patience=None, progress=lambda *_: Interrupting())
    assert stopped.outcome_.reason == "interrupted"
    found = run_ranks(2, lambda rank: fitted(tmp_path, rank, minutes=0.1, patience=None, resume=True))
    assert found[0].outcome_ == found[1].outcome_
    assert found[0].outcome_.outside > stopped.outcome_.outside
    assert found[0].outcome_.outside + found[0].outcome_.seconds == pytest.approx(6.0, rel=0.05)


def test_a_checkpoint_that_is_not_there_stops_all(tmp_path, apart):
    """The first rank alone would have it."""
    with pytest.raises(ModelFileError, match=r"model\.gatewise\.checkpoint"):
        run_ranks(2, lambda rank: fitted(tmp_path, rank, minutes=0.1, resume=True))


@pytest.mark.parametrize("size", [2, 3])
def test_a_network_is_validated_by_all_ranks_before_it_goes_on(tmp_path, size):
    validation = Workshop(tmp_path).validation
    [alone] = run_ranks(1, lambda _: Before.of(Toy(), validation))
    modules = [Toy() for _ in range(size)]
    found = run_ranks(size, lambda rank: Before.of(modules[rank], validation))
    assert all(before.loss == found[0].loss == pytest.approx(alone.loss, rel=1e-6) for before in found)
    assert all(module.training and not module.carried for module in modules)
