"""The rate is found by a race, the weights may be averaged, and a run that diverges goes back: all of it resumes."""

import io
import math

import pytest
import torch
from test_training_failures import Broken
from test_training_resume import assert_same_end, timeless
from torch import nn
from training_toy import Toy, at_call

from gatewise.errors import ModelFileError
from gatewise.training import Lines, TrainingStopped, race
from gatewise.training import checkpoint as checkpoints
from gatewise.training.history import by_name
from gatewise.training.plan import Plan
from gatewise.training.schedule_free import ScheduleFree, share

STEPS = 96  # the fewest that a race takes part in: six of each rate


def raced(workshop, **changes):
    return workshop.plan(**{"steps": STEPS, "evaluate_every": 20, "race": True, **changes})


def losses(plan, found):
    """The results of a race in which each exponent has this loss."""
    results = []
    while (exponent := race.upcoming(plan, results)) is not None:
        results.append((exponent, found(exponent)))
    return results


# What a race does, by its results.

PLAN = Plan(steps=1600, evaluate_every=100, learning_rate=1e-3, race=True)


def test_a_rate_that_is_better_than_both_beside_it_wins():
    results = losses(PLAN, lambda exponent: exponent**2)
    assert [exponent for exponent, _ in results] == [0, 1, -1]
    plan = race.plan_after(PLAN, results)
    assert (plan.learning_rate, plan.begun, plan.steps) == (1e-3, 100, 1600 - 2 * 100)
    assert not plan.race


@pytest.mark.parametrize("best", [-3, -2, 2, 3, 4])
def test_it_widens_until_the_best_lies_inside(best):
    results = losses(PLAN, lambda exponent: abs(exponent - best))
    tried = {exponent for exponent, _ in results}
    assert race.winner(results) == best
    assert {best - 1, best + 1} <= tried or len(results) == race.PART // 2
    assert race.plan_after(PLAN, results).learning_rate == pytest.approx(1e-3 * 3.0**best)


def test_it_never_takes_more_than_half_of_the_steps():
    results = losses(PLAN, lambda exponent: -exponent)
    assert len(results) == 8
    assert race.plan_after(PLAN, results).steps >= 800


def test_where_learning_only_harms_rates_do_not_fall_for_ever():
    assert min(losses(PLAN, lambda exponent: exponent)) == (-4, -4)


def test_no_rate_above_ten_is_tried():
    high = Plan(steps=1600, evaluate_every=100, learning_rate=2.0, race=True)
    assert max(race.rate_of(high, exponent) for exponent, _ in losses(high, lambda exponent: -exponent)) == 6


def test_where_all_diverge_only_lower_ones_are_tried():
    results = losses(PLAN, lambda exponent: math.inf)
    assert [exponent for exponent, _ in results] == [0, -1, -2, -3, -4, -5, -6, -7]


def test_of_equal_losses_the_lower_rate_wins():
    assert race.winner([(0, 1.0), (1, 1.0), (-1, 2.0)]) == 0


def test_too_few_steps_are_no_race():
    short = Plan(steps=95, evaluate_every=5, learning_rate=1e-3, race=True)
    assert race.upcoming(short, []) is None
    assert race.plan_after(short, []).steps == 95


# What a run with a race does.


@pytest.mark.parametrize("schedule", ["cosine", "schedule-free"])
def test_the_winner_of_a_race_is_the_run_that_had_its_rate_from_the_start(workshop, schedule):
    # Half a cosine to the end of the plan is not one to the end of what the race leaves.
    plan = raced(workshop, schedule=schedule, learning_rate=0.002, final_rate=1.0)
    module = Toy()
    outcome = workshop.train(module, plan)
    settled = race.plan_after(plan, [(race_exponent(rate, plan), loss) for rate, loss in outcome.race])
    assert outcome.learning_rate == settled.learning_rate == min(outcome.race, key=lambda raced: raced[1])[0] != 0.002
    assert outcome.step == settled.steps == STEPS - 6 * (len(outcome.race) - 1)
    alone = Toy()
    # `begun` puts the validations where the race puts them.
    by_rate = workshop.train(alone, settled, checkpoint=workshop.folder / "other", history=workshop.folder / "lines")
    assert by_rate.best_loss == outcome.best_loss
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), alone.parameters(), strict=True))


def race_exponent(rate, plan):
    return round(math.log(rate / plan.learning_rate, 3))


def test_the_history_tells_of_the_race(workshop):
    outcome = workshop.train(Toy(), raced(workshop))
    lines = [line for line in workshop.lines() if line["kind"] == "race"]
    assert workshop.lines()[: len(lines)] == lines
    assert [(line["learning_rate"], line["validation_loss"]) for line in lines] == [*map(pytest.approx, outcome.race)]
    evaluations = by_name(workshop.metrics)
    assert evaluations["step"][:3] == [6, 26, 46]
    assert evaluations["val_loss"][0] == min(loss for _, loss in outcome.race)


def test_the_user_is_told_what_won(workshop):
    told = io.StringIO()
    outcome = workshop.train(Toy(), raced(workshop), progress=Lines(stream=told))
    (line,) = [line for line in told.getvalue().splitlines() if line.startswith("learning rate")]
    assert line.startswith(f"learning rate {outcome.learning_rate:.2g}: the best after 6 steps of each")
    for rate, loss in outcome.race:
        assert f"{rate:.2g} ({loss:.4g})" in line
    assert f"step {STEPS}/{STEPS}" in told.getvalue()


class Steep(Toy):
    """Diverges at once if its rate is high."""

    def training_loss(self, batch):
        loss = super().training_loss(batch)
        far = max(p.abs().max().item() for p in self.parameters()) > 4
        return loss * math.nan if far else loss


def test_a_rate_that_diverges_loses(workshop):
    plan = raced(workshop, learning_rate=0.9, clip=None)
    module = Steep()
    outcome = workshop.train(module, plan)
    assert None in dict(outcome.race).values()
    assert outcome.learning_rate < 0.9 * 3
    assert outcome.reason == "finished"
    assert all(p.isfinite().all() for p in module.parameters())
    for step in (2, 8, 14):  # before, in and after a rate that diverges
        workshop.train(Steep(on_training=at_call(step)), plan)
        again = Steep()
        assert workshop.train(again, plan, resume=True).race == outcome.race
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), module.parameters(), strict=True))


def test_where_every_rate_diverges_training_stops(workshop):
    class Hopeless(Toy):
        def training_loss(self, batch):
            return super().training_loss(batch) * (1 if self.calls == 1 else math.nan)

    with pytest.raises(TrainingStopped, match="at every learning rate"):
        workshop.train(Hopeless(), raced(workshop))


def test_data_that_hold_no_numbers_are_no_matter_of_the_rate(workshop):
    with pytest.raises(TrainingStopped, match="before anything was learned"):
        workshop.train(Broken(1), raced(workshop))


# Resuming.

KINDS = {
    "schedule-free": {"schedule": "schedule-free"},
    "race": {"race": True},
    "both": {"race": True, "schedule": "schedule-free", "recoveries": 3},
}


@pytest.fixture(scope="module", params=list(KINDS))
def whole(request, tmp_path_factory):
    """The plan's changes and the run that nothing interrupted."""
    from training_toy import Workshop

    torch.set_num_threads(1)
    workshop = Workshop(tmp_path_factory.mktemp("whole"))
    module, changes = Toy(), {"steps": STEPS, "evaluate_every": 20, **KINDS[request.param]}
    outcome = workshop.train(module, workshop.plan(**changes))
    tensors = checkpoints.read(workshop.checkpoint)[1]
    return changes, (module, outcome, timeless(workshop.lines()), tensors)


# The first rate, its last step, the next rate's first and a later one, the race's last, and after it.
@pytest.mark.parametrize("steps", [(1,), (6,), (7, 3), (15, 4), (24, 1), (31, 20), (90, 6)])
def test_interrupted(workshop, whole, steps):
    changes, want = whole
    plan = workshop.plan(**changes)
    for count in steps:
        outcome = workshop.train(Toy(on_training=at_call(count)), plan, resume=workshop.checkpoint.exists())
        assert outcome.reason == "interrupted"
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, plan, resume=True), want)


def test_interrupted_again_and_again(workshop, whole):
    changes, want = whole
    plan = workshop.plan(**changes)
    outcome = workshop.train(Toy(on_training=at_call(4)), plan)
    while outcome.reason == "interrupted":
        module = Toy(on_training=at_call(4))
        outcome = workshop.train(module, plan, resume=True)
    assert_same_end(workshop, module, outcome, want)


def test_interrupted_while_validating(workshop, whole):
    from training_toy import interrupt

    changes, want = whole
    plan = workshop.plan(**changes)
    seen = []

    def during(call, toy):
        seen.append(call)
        if len(seen) in (2, 5):
            interrupt()

    for _ in range(2):
        assert workshop.train(Toy(on_validation=during), plan, resume=workshop.checkpoint.exists()).reason != "finished"
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, plan, resume=True), want)


def test_a_model_interrupted_in_its_race_has_the_leaders_weights(workshop):
    plan = raced(workshop, schedule="schedule-free")
    module = Toy(on_training=at_call(20))
    workshop.train(module, plan)
    best = checkpoints.read(workshop.checkpoint)[1]
    assert all(torch.equal(p, best[f"kept.leader.best.{name}"]) for name, p in module.named_parameters())


def test_a_checkpoint_of_a_race_that_was_tampered_with(workshop):
    plan = raced(workshop)
    workshop.train(Toy(on_training=at_call(20)), plan)
    document, tensors = checkpoints.read(workshop.checkpoint)
    document["counters"]["race"][1][0] = 7
    checkpoints.write(workshop.checkpoint, document, tensors)
    with pytest.raises(ModelFileError, match="a rate of the race is 7, where 1 comes next"):
        workshop.train(Toy(), plan, resume=True)
    document["counters"]["race"][1][0] = 1
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("kept.start")}
    checkpoints.write(workshop.checkpoint, document, kept)
    with pytest.raises(ModelFileError, match="lacks counters or weights"):
        workshop.train(Toy(), plan, resume=True)


def test_a_checkpoint_of_before_is_refused_in_one_line(workshop):
    workshop.train(Toy(on_training=at_call(8)))
    document, tensors = checkpoints.read(workshop.checkpoint)
    checkpoints.write(workshop.checkpoint, {**document, "format": 2}, tensors)
    with pytest.raises(ModelFileError, match=r"was written by an older Gatewise\. Start again without resuming\.$"):
        workshop.train(Toy(), resume=True)


# Schedule-free.


def trained(optimizer, steps=40, rate=0.03, warmup=0):
    """A small regression in float64; calls `optimizer(groups)`."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    made = optimizer(
        [
            {"params": list(network[0].parameters()), "weight_decay": 0.05},
            {"params": list(network[2].parameters()), "weight_decay": 0.0},
        ]
    )
    x = torch.randn(200, 3).double()
    for step in range(steps):
        if isinstance(made, ScheduleFree):
            for group in made.param_groups:
                group["lr"] = rate * min(1, (step + 1) / max(1, warmup))
        made.zero_grad()
        (network(x) - x.sum(1, keepdim=True).sin()).square().mean().backward()
        made.step()
    return network, made


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_it_is_the_authors_optimizer(warmup):
    schedulefree = pytest.importorskip("schedulefree")

    def theirs(groups):
        made = schedulefree.AdamWScheduleFree(groups, lr=0.03, betas=(0.9, 0.99), warmup_steps=warmup)
        made.train()
        return made

    def ours(groups):
        return ScheduleFree(groups, lr=0.03, betas=(0.9, 0.99), warmup=warmup)

    network, made = trained(ours, warmup=warmup)
    wanted, other = trained(theirs)
    for p, want in zip(network.parameters(), wanted.parameters(), strict=True):
        assert torch.allclose(p, want, rtol=0, atol=1e-12)
    other.eval()
    averages = [average for _, average in made.averages()]
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(averages, wanted.parameters(), strict=True))


def test_it_is_the_published_equations_by_hand():
    p = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    rate, beta1, beta2, decay, eps = 0.1, 0.8, 0.9, 0.01, 1e-8
    optimizer = ScheduleFree([{"params": [p], "weight_decay": decay}], lr=rate, betas=(beta1, beta2), warmup=0, eps=eps)
    x = z = y = p.detach().numpy().copy()
    v = 0 * y
    for n in range(1, 6):
        p.grad = 2 * p.detach() + 1
        optimizer.step()
        g = 2 * y + 1
        v = beta2 * v + (1 - beta2) * g**2
        z = z - rate * (g / ((v / (1 - beta2**n)) ** 0.5 + eps) + decay * y)
        x = (1 - 1 / n) * x + z / n
        y = (1 - beta1) * z + beta1 * x
        assert p.detach().numpy() == pytest.approx(y, abs=1e-14)
    assert optimizer.averages()[0][1].numpy() == pytest.approx(x, abs=1e-14)


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_shares_are_those_of_a_weighted_mean(warmup):
    weights = [min(1.0, n / max(1, warmup)) ** 2 for n in range(1, 20)]
    for n in range(1, 20):
        assert share(n, warmup) == pytest.approx(weights[n - 1] / sum(weights[:n]))


def test_a_rate_after_the_warm_up_stays(workshop):
    plan = workshop.plan(schedule="schedule-free")
    assert [plan.rate(step) for step in (0, 3, 4, 25)] == [0.005, 0.02, 0.02, 0.02]


def test_validation_sees_the_average_and_training_goes_on_from_where_it_was(workshop):
    seen = []

    def weights(toy):
        return toy.layer.weight_hh_l0.detach().clone()

    module = Toy(
        on_training=lambda call, toy: seen.append(("train", weights(toy))),
        on_validation=lambda call, toy: seen.append(("validation", weights(toy))),
    )
    workshop.train(module, workshop.plan(schedule="schedule-free", steps=12))
    tensors = checkpoints.read(workshop.checkpoint)[1]
    kinds = [kind for kind, _ in seen]
    assert kinds == ["train"] * 6 + ["validation"] * 3 + ["train"] * 6 + ["validation"] * 3
    assert not torch.equal(seen[-1][1], tensors["model.layer.weight_hh_l0"])
    averages = [tensor for name, tensor in tensors.items() if name.startswith("optimizer.") and name.endswith(".x")]
    assert sum(torch.equal(average, seen[-1][1]) for average in averages) == 1


# Going back.


class Once(Broken):
    """Loses its numbers at one call, and only then."""


@pytest.mark.parametrize("schedule", ["cosine", "schedule-free"])
@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("step", [15, 18])  # within a stretch, and its last step
def test_a_loss_that_is_no_number_once_goes_back_to_the_last_validation(workshop, where, schedule, step):
    told = io.StringIO()
    plan = workshop.plan(recoveries=2, schedule=schedule)
    module = Once(step, where=where)
    outcome = workshop.train(module, plan, progress=Lines(stream=told))
    assert (outcome.reason, outcome.step, outcome.recoveries) == ("finished", 26, 1)
    assert outcome.learning_rate == pytest.approx(0.02 / 3)
    (line,) = [line for line in told.getvalue().splitlines() if "back to" in line]
    assert f"became nan at step {step}: back to step 12, with a third of the learning rate (0.00667)." in line
    evaluations = by_name(workshop.metrics)
    assert evaluations["step"] == [6, 12, 18, 24, 26]
    assert evaluations["learning_rate"][-1] == pytest.approx(plan.rate(25) / 3)
    assert all(p.isfinite().all() for p in module.parameters())


def test_a_validation_that_is_no_number_goes_back_too(workshop):
    class Blind(Toy):
        def validation_sums(self, batch):
            total, count = super().validation_sums(batch)
            return (total * math.nan, count) if self.calls == 18 else (total, count)

    outcome = workshop.train(Blind(), workshop.plan(recoveries=1))
    assert (outcome.reason, outcome.recoveries) == ("finished", 1)


def test_a_loss_that_shoots_up_goes_back(workshop):
    class Thrown(Toy):
        def training_loss(self, batch):
            if 12 < self.calls + 1 <= 18:
                self.head.weight.data *= 3
            return super().training_loss(batch)

    told = io.StringIO()
    outcome = workshop.train(Thrown(), workshop.plan(recoveries=1), progress=Lines(stream=told))
    assert (outcome.reason, outcome.recoveries) == ("finished", 1)
    assert "by step 18: back to step 12" in told.getvalue()


def test_outliers_in_the_batches_alone_are_no_divergence(workshop):
    class Outliers(Toy):
        def training_loss(self, batch):
            return super().training_loss(batch) * (1000 if 12 < self.calls <= 18 else 1)

    assert workshop.train(Outliers(), workshop.plan(recoveries=1)).recoveries == 0


def test_a_loss_that_stays_no_number_stops_after_a_few_times(workshop):
    class Lost(Toy):
        def training_loss(self, batch):
            return super().training_loss(batch) * (math.nan if self.calls > 14 else 1)

    with pytest.raises(TrainingStopped, match=r"learning_rate=0\.00025") as caught:
        workshop.train(Lost(), workshop.plan(recoveries=3))
    outcome = caught.value.outcome
    assert (outcome.reason, outcome.recoveries, outcome.best_step) == ("not a number", 3, 12)


@pytest.mark.parametrize("interrupted", [14, 16, 17, 22])  # call 15 loses its numbers, and 16 is step 13 again
def test_a_run_that_went_back_resumes_with_the_same_bits(workshop, interrupted):
    def broken(upto=None, done=0):
        class Counted(Toy):
            def training_loss(self, batch):
                loss = super().training_loss(batch)
                return loss * (math.nan if self.calls + done == 15 else 1)

        return Counted(on_training=at_call(upto) if upto else None)

    plan = workshop.plan(recoveries=2)
    whole = broken()
    outcome = workshop.train(whole, plan)
    lines = timeless(workshop.lines())
    workshop.train(broken(interrupted), plan)
    again = broken(done=interrupted)
    assert workshop.train(again, plan, resume=True).best_loss == outcome.best_loss
    assert timeless(workshop.lines()) == lines
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
