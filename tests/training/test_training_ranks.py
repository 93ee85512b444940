"""Training by several ranks, which are threads here: `tests/ranks/` has real processes."""

import itertools
import json

import numpy as np
import pytest
import torch
from ranks_in_threads import run_ranks
from training_toy import Toy, Workshop, at_call

from gatewise import sharing
from gatewise.errors import OptionError, RankError
from gatewise.ranks import Part, computing, current, deal, each_row, of_rows, same_of_all, share, total
from gatewise.sharing import each, first_on_each_machine
from gatewise.training import Silent, TrainingStopped


def trained(tmp_path, size, steps=26, resume=False, checkpoints=(), **options):
    """Outcome and module of each rank, which train in folders of their own."""

    def one(rank):
        folder = tmp_path / f"{rank}"
        folder.mkdir(exist_ok=True)
        module = modules[rank]
        workshop = Workshop(folder)
        return workshop.train(module, workshop.plan(steps=steps), resume=resume, **options), module

    modules = [Toy() for _ in range(size)]
    return run_ranks(size, one)


def lines(folder):
    return [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_several_ranks_follow_the_losses_of_one(tmp_path, size):
    [(alone, single)] = trained(tmp_path / "alone", 1) if (tmp_path / "alone").mkdir() is None else []
    found = trained(tmp_path, size)
    for outcome, module in found:
        assert outcome.best_step == alone.best_step
        assert outcome.best_loss == pytest.approx(alone.best_loss, rel=1e-5)
        for one, other, first in zip(module.parameters(), single.parameters(), found[0][1].parameters(), strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)
            assert torch.equal(one, first)
    for one, other in zip(lines(tmp_path / "alone" / "0"), lines(tmp_path / "0"), strict=True):
        assert one["kind"] == other["kind"]
        assert other["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)
        assert other["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)


def test_only_the_first_rank_writes_files(tmp_path):
    trained(tmp_path, 2)
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"run.checkpoint", "run.jsonl"}
    assert not list((tmp_path / "1").iterdir())


def test_the_same_number_of_ranks_gives_the_same_bits(tmp_path):
    weights = []
    for place in range(2):
        (tmp_path / f"{place}").mkdir()
        weights.append([w.detach().clone() for w in trained(tmp_path / f"{place}", 2)[0][1].parameters()])
    assert all(map(torch.equal, *weights))


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2), (3, 2)])
def test_a_run_is_resumed_by_any_number_of_ranks(tmp_path, before, after):
    """The carried state of all rows is in the checkpoint, and the validation that was due is made."""
    (tmp_path / "whole").mkdir()
    whole = trained(tmp_path / "whole", 1)[0][1]

    stopped = trained(tmp_path, before, halts=lambda share, loss: share > 0.3)
    assert {outcome.reason for outcome, _ in stopped} == {"halted"}
    for _, module in trained(tmp_path, after, resume=True):
        for one, other in zip(module.parameters(), whole.parameters(), strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_a_rank_cannot_write_stops_all(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "run.checkpoint").mkdir()  # in its place
    reasons = []

    def one(rank):
        folder = tmp_path / f"{rank}"
        folder.mkdir(exist_ok=True)
        with pytest.raises(TrainingStopped, match=r"cannot write .*0/run.checkpoint") as caught:
            Workshop(folder).train(Toy())
        reasons.append(caught.value.outcome.reason)

    run_ranks(2, one)
    assert reasons == ["cannot write"] * 2


def test_a_loss_that_is_no_number_stops_all(tmp_path):
    def one(rank):
        folder = tmp_path / f"{rank}"
        folder.mkdir()
        toy = Toy(at_call(3, run=lambda: toy.embedding.weight.data.fill_(float("nan"))) if rank == 1 else None)
        with pytest.raises(TrainingStopped, match="became nan"):
            Workshop(folder).train(toy)

    run_ranks(2, one)


def test_more_ranks_than_rows_are_refused(tmp_path):
    with pytest.raises(OptionError, match="a batch has 4 rows, which are fewer than the 5 processes"):
        trained(tmp_path, 5)


def test_ranks_that_are_given_different_things_say_which():
    def one(rank):
        with pytest.raises(RankError, match=r"rank 1 .*: threads was 0 and is 1"):
            same_of_all(current(), {"threads": rank})

    run_ranks(2, one)


def test_what_fails_on_one_rank_fails_on_all():
    def one(rank):
        with pytest.raises((OptionError, RankError)) as caught, current().agreeing():
            fail_if(rank == 1)
        return str(caught.value)

    assert run_ranks(3, one) == ["rank 1: hidden_size is 0", "hidden_size is 0", "rank 1: hidden_size is 0"]


def fail_if(wrong):
    if wrong:
        raise OptionError("hidden_size is 0")


def test_items_are_divided_and_their_results_known_to_all():
    calls = []

    def square(number):
        calls.append(number)
        return number**2

    assert run_ranks(3, lambda _: current().map(square, range(7))) == [[n**2 for n in range(7)]] * 3
    assert sorted(calls) == [*range(7)]
    assert run_ranks(2, lambda _: each(square, range(3))) == [[0, 1, 4]] * 2
    assert each(square, range(3)) == [0, 1, 4]


def test_items_are_computed_as_if_alone():
    """What an item divides would be told to ranks that compute other items."""
    assert (
        run_ranks(2, lambda _: each(lambda n: each(lambda m: n * m, range(n)), range(4)))
        == [[[], [0], [0, 2], [0, 3, 6]]] * 2
    )


def test_ranks_with_different_items_say_so():
    def one(rank):
        with pytest.raises(
            RankError, match="rank 1 has 4 things to compute, and rank 0 3: they do not have the same data"
        ):
            each(lambda n: n, range(3 + rank))

    run_ranks(2, one)


def test_an_item_that_fails_on_one_rank_fails_on_all_and_is_told_once():
    def one(rank):
        with pytest.raises((OptionError, RankError)) as caught, current().agreeing():
            each(lambda n: fail_if(n == 3), range(5))
        return str(caught.value)

    assert run_ranks(2, one) == ["rank 1: hidden_size is 0", "hidden_size is 0"]


def test_rows_draw_what_they_draw_in_the_whole_batch():
    def draw(shape):
        return torch.rand(*shape, generator=torch.Generator().manual_seed(1))

    whole = of_rows(draw, (3, 5, 2))
    with computing(Part(torch.tensor([1, 4]), 5)):
        assert torch.equal(of_rows(draw, (3, 2, 2)), whole[:, [1, 4]])
        assert torch.equal(of_rows(draw, (2, 5), axis=0), draw((5, 5))[[1, 4]])
        with pytest.raises(ValueError, match="has not the 2 rows"):
            of_rows(draw, (3, 5, 2))


def test_a_row_of_several_columns_draws_for_each():
    def draw(shape):
        return torch.rand(*shape, generator=torch.Generator().manual_seed(1))

    whole = draw((10, 3)).view(5, 2, 3)
    with computing(Part(torch.tensor([1, 4]), 5)), each_row(2):
        assert torch.equal(of_rows(draw, (4, 3)), whole[[1, 4]].flatten(0, 1))
        with each_row(1):
            assert torch.equal(of_rows(draw, (4, 3)), whole[[1, 4]].flatten(0, 1))
    with each_row(2):
        assert torch.equal(of_rows(draw, (10, 3)), draw((10, 3)))


def test_shares_of_a_mean_add_up_to_it():
    values = torch.tensor([1.0, 2.0, 4.0, 9.0])
    rows = [torch.tensor([0, 2, 3]), torch.tensor([1]), torch.tensor([0])]

    def one(rank):
        with computing(Part(rows[rank], 4, counts=rank < 2)):
            own = values[rows[rank]]
            return float(share(len(own)) * own.mean()), share(0)

    found = run_ranks(3, one)
    assert sum(part for part, _ in found) == 4.0
    assert [none for _, none in found] == [0.0] * 3
    assert share(3) == 1.0


def test_a_rank_without_rows_counts_nothing():
    def one(rank):
        with computing(Part(torch.tensor([0]), 1, counts=rank == 0)):
            return total(7), total(torch.tensor([1.0, 2.0])).tolist()

    assert run_ranks(2, one) == [(7, [1.0, 2.0])] * 2
    assert total(7) == 7


def test_work_is_dealt_evenly():
    """The heaviest rank has at most 4/3 of what the best way of dealing gives it (Graham 1969); all rows are dealt."""
    random = np.random.default_rng(1)
    for size, rows in itertools.product((2, 3), (3, 6, 8)):
        work = random.integers(1, 30, rows).tolist()
        dealt = deal(work, size)
        assert sorted(place for places in dealt for place in places) == [*range(rows)]
        heaviest = max(sum(work[place] for place in places) for places in dealt)
        best = min(
            max(sum(w for w, rank in zip(work, ranks, strict=True) if rank == own) for own in range(size))
            for ranks in itertools.product(range(size), repeat=rows)
        )
        assert heaviest <= 4 / 3 * best
    assert deal([1.0] * 4, 2) == deal([9.0] * 4, 2) == [[0, 2], [1, 3]]


def test_another_number_of_ranks_is_said(tmp_path):
    class Notes(Silent):
        def __init__(self):
            self.told = []

        def note(self, text):
            self.told.append(text)

    trained(tmp_path, 2, halts=lambda share, loss: share > 0.3)
    notes = Notes()
    trained(tmp_path, 1, resume=True, progress=notes, identity={"task": "toy", "data": {"sha": "abc"}, "threads": 2})
    assert notes.told[0].startswith("begun with 2 processes, goes on with 1")


def test_one_process_of_a_machine_makes_what_the_others_find(monkeypatch):
    """Ranks 0 and 2 are the first of their machines."""
    monkeypatch.setattr(sharing, "lowest_here", lambda: current().rank in (0, 2))
    order = []
    assert run_ranks(4, lambda rank: first_on_each_machine(lambda: order.append(rank) or rank)) == [0, 1, 2, 3]
    assert {*order[:2]} == {0, 2}
    assert first_on_each_machine(lambda: "alone") == "alone"
