"""A run that is halted at validations, and resumed, ends with the bits of one that was not."""

import pytest
import torch
from training_toy import Toy, Workshop, interrupt

from gatewise.training import checkpoint as checkpoints


def told(seen, *shares):
    """Halts at the first validation from each of these shares on."""
    waiting = list(shares)

    def halts(share, loss):
        seen.append((share, loss))
        if waiting and share >= waiting[0]:
            waiting.pop(0)
            return True
        return False

    return halts


@pytest.fixture(params=[{}, {"schedule": "schedule-free"}, {"race": True, "steps": 160, "evaluate_every": 8}], ids=str)
def plan(workshop, request):
    return workshop.plan(**request.param)


def test_halted_and_resumed_to_the_same_bits(workshop, plan, tmp_path_factory):
    whole, straight = Workshop(tmp_path_factory.mktemp("whole")), Toy()
    wanted = whole.train(straight, plan, halts=told(wanted_seen := []))
    halts = told(seen := [], 0.0, 0.3, 0.7)
    sessions = 0
    while True:
        ours = Toy()
        outcome = workshop.train(ours, plan, resume=sessions > 0, halts=halts)
        sessions += 1
        if outcome.reason != "halted":
            break
    assert sessions == 4
    assert seen == wanted_seen
    assert (outcome.reason, outcome.step, outcome.best_step) == (wanted.reason, wanted.step, wanted.best_step)
    assert outcome.best_loss == wanted.best_loss
    for (name, got), want in zip(ours.state_dict().items(), straight.state_dict().values(), strict=True):
        assert torch.equal(got, want), name
    got, want = (checkpoints.read(one.checkpoint)[1] for one in (workshop, whole))
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_halts_sees_shares_and_the_best_loss_but_not_the_last_validation(workshop):
    seen = []
    outcome = workshop.train(Toy(), halts=told(seen))
    lines = [line["validation_loss"] for line in workshop.lines() if line["kind"] == "evaluation"]
    best = [min(lines[: place + 1]) for place in range(len(lines))]
    assert seen == [(step / 26, loss) for step, loss in zip((6, 12, 18, 24), best, strict=False)]
    assert outcome.reason == "finished"


def test_interrupted_after_a_validation_halts_has_seen_it(workshop, tmp_path_factory):
    """It is in the checkpoint, and does not come again."""
    Workshop(tmp_path_factory.mktemp("whole")).train(Toy(), halts=told(wanted := []))
    seen = []
    outcome = workshop.train(Toy(), halts=told(seen), on_evaluation=lambda step: interrupt() if step == 12 else None)
    assert (outcome.reason, outcome.step) == ("interrupted", 12)
    workshop.train(Toy(), resume=True, halts=told(seen))
    assert seen == wanted


def test_a_halted_run_leaves_its_best_weights(workshop):
    module = Toy()
    outcome = workshop.train(module, halts=lambda share, loss: share >= 0.5)
    assert (outcome.reason, outcome.step) == ("halted", 18)
    assert not module.training
    best = {name: value for name, value in checkpoints.read(workshop.checkpoint)[1].items() if name.startswith("best.")}
    assert best
    for name, value in best.items():
        assert torch.equal(module.state_dict()[name.removeprefix("best.")], value)
