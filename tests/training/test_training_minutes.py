"""A run that is given a time ends with it, with its decay, whatever its steps take; by a clock that is made up."""

import json
import math
import signal
from dataclasses import asdict, replace
from itertools import pairwise
from statistics import fmean

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_training_resume import assert_same_end, timeless
from training_toy import Toy, at_call

from gatewise.errors import ModelFileError
from gatewise.training import Budget, Plan
from gatewise.training import checkpoint as checkpoints
from gatewise.training.pace import TOLERANCE, Pace, Timekeeper, begun, corrected


class Clock:
    """Stands still but while steps and validation batches of a `Timed` take their time."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Timed(Toy):
    """A toy whose steps take so many seconds.

    Args:
        takes: Gives the seconds of the step of this number, from 0.
        validation: Seconds of a validation batch.
    """

    def __init__(self, clock, takes, validation=0.1, **more):
        super().__init__(**more)
        self.clock, self.takes, self.validation, self.step = clock, takes, validation, 0

    def training_loss(self, batch):
        loss = super().training_loss(batch)
        self.clock.now += self.takes(self.step)
        self.step += 1
        return loss

    def validation_sums(self, batch):
        self.clock.now += self.validation
        return super().validation_sums(batch)


class Worse(Timed):
    """One whose validation becomes worse with each step."""

    def validation_sums(self, batch):
        return super().validation_sums(batch)[0] * 0 + self.step, 1


def budget(clock, seconds, step=1.0, validation=0.3, **more):
    return Budget(
        seconds=seconds, started=clock.now, after=2.0, step=step, validation=validation, most=10**6, clock=clock, **more
    )


def rates(plan, steps):
    return [plan.rate(step) for step in range(steps)]


# What follows from the clock.


@pytest.mark.parametrize(
    ("takes", "schedule"),
    [
        (lambda step: 1.0, "cosine"),
        (lambda step: 0.5, "cosine"),
        (lambda step: 4.0, "cosine"),
        (lambda step: 1.0 if step < 40 else 6.0, "cosine"),
        (lambda step: 1.0 if step < 40 else 0.5, "cosine"),
        (lambda step: 0.5 + step % 3, "cosine"),
        (lambda step: 1.0 if step < 40 else 3.0, "schedule-free"),
    ],
    ids=["as expected", "faster", "slower", "suddenly slower", "suddenly faster", "uneven", "schedule-free"],
)
def test_it_ends_with_its_time_and_its_decay(workshop, takes, schedule):
    clock = Clock()
    plan = workshop.plan(steps=400, evaluate_every=40, warmup=20, final_rate=0.01, schedule=schedule)
    outcome = workshop.train(Timed(clock, takes), plan, budget=budget(clock, 130))
    assert outcome.reason == "finished"
    early, late = (fmean(map(takes, steps)) for steps in (range(10), range(outcome.step - 9, outcome.step)))
    assert clock.now - 1000 + 2 * late / early == pytest.approx(130, rel=0.05)
    assert outcome.planned == outcome.step
    last = workshop.lines()[-1]
    assert (last["kind"], last["step"]) == ("evaluation", outcome.step)
    assert last["learning_rate"] == pytest.approx(0.02 * (0.01 if schedule == "cosine" else 1))
    decay = [line["learning_rate"] for line in workshop.lines() if line["step"] > 20]
    assert decay == sorted(decay, reverse=True)


def test_what_comes_after_is_left_its_time(workshop):
    clock = Clock()
    given = replace(budget(clock, 100), after=40.0, again=1.0)
    outcome = workshop.train(Timed(clock, lambda step: 1.0), workshop.plan(), budget=given)
    assert clock.now - 1000 + 40 + outcome.step * 1.0 == pytest.approx(100, rel=0.05)


def test_time_before_training_counts(workshop):
    clock = Clock()
    given = budget(clock, 100)
    clock.now += 60
    workshop.train(Timed(clock, lambda step: 1.0), workshop.plan(), budget=given)
    assert clock.now - 1000 + 2 == pytest.approx(100, rel=0.05)


def test_it_never_has_more_than_the_most_steps(workshop):
    clock = Clock()
    given = replace(budget(clock, 100), most=30)
    outcome = workshop.train(Timed(clock, lambda step: 0.1), workshop.plan(), budget=given)
    assert (outcome.step, outcome.full) == (30, True)


def test_validations_have_a_quarter_of_the_time_at_most(workshop):
    clock = Clock()
    plan = workshop.plan(steps=400, evaluate_every=20, warmup=20)
    toy = Timed(clock, lambda step: 2.0, validation=10.0)
    workshop.train(toy, plan, budget=budget(clock, 300, step=2.0, validation=30.0))
    validations = sum(line["kind"] == "evaluation" for line in workshop.lines())
    assert 2 <= validations <= 300 / 4 / 30 + 1
    assert clock.now - 1000 + 2 == pytest.approx(300, rel=0.05)


def test_a_plan_that_validates_at_its_end_alone_does_so(workshop):
    clock = Clock()
    workshop.train(Timed(clock, lambda step: 0.3), workshop.plan(evaluate_every=26), budget=budget(clock, 60))
    assert sum(line["kind"] == "evaluation" for line in workshop.lines()) == 1


def test_a_race_is_part_of_the_time(workshop):
    clock = Clock()
    plan = workshop.plan(steps=400, evaluate_every=40, race=True)
    outcome = workshop.train(Timed(clock, lambda step: 1.0), plan, budget=budget(clock, 130))
    assert len(outcome.race) >= 2
    assert clock.now - 1000 + 2 == pytest.approx(130, rel=0.05)


def test_patience_may_end_it(workshop):
    clock = Clock()
    outcome = workshop.train(Worse(clock, lambda step: 1.0), workshop.plan(patience=2), budget=budget(clock, 300))
    assert outcome.reason == "early stop"
    assert clock.now - 1000 < 290


# Measuring is rehearsed with a network that has learned.


class Measured:
    """What follows training, and takes as long as it does at this step of a module.

    Args:
        takes: Gives the seconds for so many steps.
    """

    def __init__(self, module, takes):
        self.module, self.takes, self.at = module, takes, []

    def __call__(self, weights, steps):
        assert weights["head.bias"].equal(self.module.head.bias)
        self.at.append(self.module.step)
        self.module.clock.now += self.takes(self.module.step)


@pytest.mark.parametrize(
    ("takes", "times"),
    [
        (lambda step: 8.0, 1),
        (lambda step: 30.0, 1),  # there is no room for another
        (lambda step: 1.0, 2),
        (lambda step: 20 * (1 - math.exp(-step / 20)), 2),
        (lambda step: 30 * math.exp(-step / 20) + 2, 2),
    ],
    ids=["as at first", "longer", "shorter", "grows", "shrinks"],
)
def test_measuring_that_takes_another_time_later_is_left_that_time(workshop, takes, times):
    clock = Clock()
    plan = workshop.plan(steps=400, evaluate_every=40, warmup=20, final_rate=0.01)
    module = Timed(clock, lambda step: 1.0)
    rehearse = Measured(module, takes)
    given = replace(budget(clock, 200), after=8.0, rehearse=rehearse)
    outcome = workshop.train(module, plan, budget=given)
    assert clock.now - 1000 + takes(outcome.step) == pytest.approx(200, rel=0.03)
    assert len(rehearse.at) == times
    assert rehearse.at[0] >= 0.4 * outcome.step
    assert workshop.lines()[-1]["learning_rate"] == pytest.approx(0.02 * 0.01)


def test_a_rehearsal_leaves_no_trace(workshop):
    clock = Clock()
    module = Timed(clock, lambda step: 1.0)
    outcome = workshop.train(module, workshop.plan(evaluate_every=5), budget=budget(clock, 60))
    whole = module, outcome, timeless(workshop.lines()), checkpoints.read(workshop.checkpoint)[1]

    def draws(weights, steps):
        module.dropout(torch.ones(3))
        module.carried = []
        clock.now += 2

    clock = Clock()
    module = Timed(clock, lambda step: 1.0)
    found = workshop.train(module, workshop.plan(evaluate_every=5), budget=replace(budget(clock, 62), rehearse=draws))
    assert_same_end(workshop, module, replace(found, seconds=outcome.seconds), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_a_rehearsal_drops_it_and_the_resumed_run_makes_it(workshop, number):
    def stopped(weights, steps):
        clock.now += 1
        signal.raise_signal(number)
        pytest.fail("it went on")

    clock, plan = Clock(), workshop.plan(steps=400, evaluate_every=40)
    module = Timed(clock, lambda step: 1.0)
    first = workshop.train(module, plan, budget=replace(budget(clock, 100), rehearse=stopped))
    assert first.reason == "interrupted"
    counters = checkpoints.read(workshop.checkpoint)[0]["counters"]
    assert (counters["step"], counters["pace"]["rehearsal"], counters["pace"]["after"]) == (first.step, 0.5, 2.0)
    given = budget(clock, 100)
    rehearse = Measured(Timed(clock, lambda step: 1.0), lambda step: 4.0)
    found = workshop.train(rehearse.module, plan, budget=replace(given, rehearse=rehearse), resume=True)
    assert found.reason == "finished"
    assert len(rehearse.at) > 0
    assert clock.now - 1000 + 4 == pytest.approx(100, rel=0.05)


def test_a_stop_right_before_a_rehearsal_makes_none(workshop):
    def at(takes):
        clock = Clock()
        rehearse = Measured(Timed(clock, takes), lambda step: 2.0)
        outcome = workshop.train(rehearse.module, workshop.plan(), budget=replace(budget(clock, 62), rehearse=rehearse))
        return rehearse.at, outcome.reason

    (due,), reason = at(lambda step: 1.0)
    assert reason == "finished"
    assert at(lambda step: 1.0 if step < due - 1 else signal.raise_signal(signal.SIGINT) or 1.0) == ([], "interrupted")


def test_without_room_there_is_no_rehearsal(workshop):
    clock = Clock()
    module = Timed(clock, lambda step: 1.0)
    given = replace(budget(clock, 100), after=40.0, rehearse=Measured(module, lambda step: 40.0))
    outcome = workshop.train(module, workshop.plan(), budget=given)
    assert given.rehearse.at == []
    assert clock.now - 1000 + 40 + 1 > 99 > outcome.step


# Resuming.


def test_resumed_runs_end_as_one_that_was_not_interrupted(workshop):
    def takes(step):
        return 1.0 if step < 25 else 2.5

    plan = workshop.plan(steps=200, evaluate_every=10, warmup=10)
    clock = Clock()
    module = Timed(clock, takes)
    outcome = workshop.train(module, plan, budget=budget(clock, 80))
    whole = module, outcome, timeless(workshop.lines()), checkpoints.read(workshop.checkpoint)[1]

    clock = Clock()
    for start, stop in [(0, 1), (1, 9), (9, 30), (30, None)]:  # the last goes on to the end
        calls = () if stop is None else (stop - start,)
        module = Timed(clock, takes, on_training=at_call(*calls))
        module.step = start
        found = workshop.train(module, plan, budget=budget(clock, 80), resume=start > 0)
        assert found.step == (stop or outcome.step)
        clock.now += 5000  # a night
    assert found.seconds == pytest.approx(outcome.seconds)
    assert_same_end(workshop, module, found, whole)


def test_what_earlier_sessions_spent_before_training_counts(workshop):
    clock, plan = Clock(), workshop.plan()
    given = budget(clock, 100)
    clock.now += 30
    workshop.train(Timed(clock, lambda step: 1.0, on_training=at_call(10)), plan, budget=given)
    given = budget(clock, 100)
    clock.now += 20
    second = Timed(clock, lambda step: 1.0)
    workshop.train(second, plan, budget=given, resume=True)
    assert clock.now - 1000 + 2 == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("reading", [0, 15, 30, 200])
def test_what_is_resumed_with_little_time_left_ends_soon_with_its_decay(workshop, reading):
    """However little: the best weights of before are kept unless what comes is better."""
    clock, plan = Clock(), workshop.plan(steps=400, evaluate_every=40, warmup=4, final_rate=0.01)
    given = replace(budget(clock, 100), rehearse=lambda weights, steps: None)
    first = workshop.train(Timed(clock, lambda step: 1.0, on_training=at_call(65)), plan, budget=given)
    rate, before = workshop.lines()[-1]["learning_rate"], first.best_loss
    given = replace(budget(clock, 100), rehearse=lambda weights, steps: None)
    clock.now += reading
    found = workshop.train(Timed(clock, lambda step: 1.0), plan, budget=given, resume=True)
    assert found.reason == "finished"
    assert found.step >= 66
    assert clock.now - 1000 + 2 <= max(105, 65 + reading + 2 + 1 + 4 * 0.3 * 3)
    decay = [line["learning_rate"] for line in workshop.lines() if line["step"] >= 65]
    assert decay == sorted(decay, reverse=True)
    assert decay[-1] == pytest.approx(0.02 * 0.01)
    assert rate > 10 * decay[-1]
    assert found.best_loss <= before
    assert workshop.lines()[-1]["step"] == found.step


def test_a_run_with_a_time_does_not_resume_without_one(workshop):
    clock = Clock()
    workshop.train(Timed(clock, lambda s: 1.0, on_training=at_call(5)), workshop.plan(), budget=budget(clock, 100))
    with pytest.raises(ModelFileError, match="another budget"):
        workshop.train(Toy(), workshop.plan(), resume=True)


# The rate, and the numbers of steps.


def test_the_decay_goes_on_from_where_it_is():
    plan = Plan(steps=100, evaluate_every=10, learning_rate=1.0, warmup=10, final_rate=0.0)
    longer = replace(plan, steps=150, earlier=((60, 100),))
    assert rates(longer, 61) == rates(plan, 61)
    assert longer.rate(149) == 0.0
    # Half of what was left of the decay is over in the middle of what is left.
    left = 1 - (60 - 10) / 89
    assert longer.rate(60 + 89 // 2) == pytest.approx(
        0.5 * (1 + math.cos(math.pi * (1 - left + left * (89 // 2) / 89)))
    )


@settings(deadline=None)
@given(
    steps=st.integers(30, 400),
    warmup=st.integers(0, 20),
    moves=st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.05, 5.0)), max_size=4),
    final_rate=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)
def test_the_rate_falls_evenly_to_the_final_one(steps, warmup, moves, final_rate):
    totals = [(0, steps)]
    for share, factor in moves:
        since, total = totals[-1]
        step = since + max(1, int(share * (total - since)))
        if step >= total:
            break
        totals.append((step, step + max(1, int(factor * (total - step)))))
    pace = Pace(totals, 10, 1.0, 1.0, 1.0, 1.0)
    plan = Plan(steps=steps, evaluate_every=10, learning_rate=1.0, warmup=warmup, final_rate=final_rate)
    found = corrected(begun(plan, pace), pace)
    every = rates(found, found.steps)
    assert found.steps == totals[-1][1]
    assert every[-1] <= final_rate + 1e-9
    after = every[warmup:]
    assert all(b <= a + 1e-12 for a, b in pairwise(after))
    for step, _ in totals[1:]:  # what was is not changed by what was corrected later
        until = corrected(begun(plan, replace(pace, totals=[p for p in totals if p[0] < step])), pace_until(pace, step))
        assert rates(until, step) == every[:step]


def pace_until(pace, step):
    return replace(pace, totals=[pair for pair in pace.totals if pair[0] < step])


def simulated(seconds, speed, after, *, learned=lambda step: 1.0, validation=0.0, first=None):
    """A run without a network. Returns when all is over, in parts of the time, and at which steps it rehearsed.

    Args:
        seconds: That it is given.
        speed: How many five-hundredths of the time a step takes, when so large a part of the time is over.
        after: What measuring takes, in parts of the time, where a step takes one of these.
        learned: How many times as much it takes after so many steps.
        validation: Of one, like a step.
        first: What the first steps were found to take, like a step.
    """
    clock, unit, rehearsals = Clock(), seconds / 500, []
    begin = clock.now

    def now():
        return speed((clock.now - begin) / seconds)

    def measure():
        clock.now += after * seconds * learned(step) * now()

    def rehearse():
        rehearsals.append(step)
        measure()
        return True

    given = Budget(
        seconds=seconds,
        started=clock.now,
        after=after * seconds * speed(0),
        step=unit * (first or speed(0)),
        validation=validation * unit,
        most=10**9,
        rehearse=lambda weights, steps: None,
        clock=clock,
    )
    whole = Plan(steps=1000, evaluate_every=50)
    pace, time, step = Pace.begin(whole, given), Timekeeper(given), 0
    time.open(pace)
    while step < (plan := corrected(begun(whole, pace), pace)).steps:
        clock.now += unit * now()
        step += 1
        time.step(pace, step, 0.0, plan, rehearse)
        if corrected(begun(whole, pace), pace).evaluates_at(step):
            clock.now += validation * unit * now()
            time.validation(pace)
    measure()
    return (clock.now - begin) / seconds, rehearsals


@settings(deadline=None, max_examples=40)
@given(
    seconds=st.floats(20, 1e5),
    speeds=st.lists(st.floats(0.2, 2.0), min_size=1, max_size=6),
    validation=st.floats(0.0, 3.0),
    after=st.floats(0.0, 0.01),
)
def test_whatever_steps_take_it_ends_within_its_time(seconds, speeds, validation, after):
    """The speed changes at equal parts of the time."""

    def speed(part):
        return speeds[min(len(speeds) - 1, int(part * len(speeds)))]

    ended, _ = simulated(seconds, speed, after, validation=validation)
    assert ended == pytest.approx(1, rel=0.05)


@settings(deadline=None, max_examples=40)
@example(after=0.09375, becomes=2.5, within=1.0, validation=0.0)  # leaves no room for another rehearsal
@given(
    after=st.floats(0.0, 0.1),
    becomes=st.floats(0.1, 3.0),
    within=st.floats(1.0, 100.0),
    validation=st.floats(0.0, 3.0),
)
def test_measuring_that_becomes_longer_or_shorter_is_foreseen(after, becomes, within, validation):
    """As a network learns to write what it should, decoding takes another time; here within so many steps, by half."""

    def learned(step):
        return becomes + (1 - becomes) * 0.5 ** (step / within)

    ended, rehearsals = simulated(1000, lambda part: 1.0, after, learned=learned, validation=validation)
    assert ended == pytest.approx(1, rel=0.05)
    assert 1 <= len(rehearsals) <= 4


@settings(deadline=None, max_examples=40)
@given(drift=st.floats(-0.8, 2.0), after=st.floats(0.0, 0.1), validation=st.floats(0.0, 3.0))
def test_a_machine_that_becomes_slower_or_faster_all_the_time_is_followed(drift, after, validation):
    ended, _ = simulated(1000, lambda part: 1 + drift * min(1, part), after, validation=validation)
    assert ended == pytest.approx(1, rel=0.05)


@settings(deadline=None, max_examples=40)
@given(first=st.floats(0.2, 10.0), after=st.floats(0.0, 0.1))
def test_first_steps_that_took_another_time_mislead_for_a_while_only(first, after):
    """A wrong time of a step makes what follows look shorter or longer, until it is rehearsed."""
    ended, rehearsals = simulated(1000, lambda part: 1.0, after, first=first)
    assert ended == pytest.approx(1, rel=0.05)
    assert rehearsals


# The checkpoint.


def test_a_pace_is_read_back_as_it_was():
    pace = Pace([(0, 100), (7, 90)], 10, 0.5, 0.25, 0.5, 3.0, rehearsal=0.75, timed=12, outside=4.0)
    assert Pace.from_json(json.loads(json.dumps(asdict(pace)))) == pace


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("totals", []),
        ("totals", [[1, 100]]),
        ("totals", [[0, 100], [0, 90]]),
        ("totals", [[0, 100], [50, 40]]),
        ("totals", [[0, "many"]]),
        ("every", 0),
        ("timed", 1.5),
        ("step", -1.0),
        ("validation", math.nan),
        ("first", 0.0),
        ("after", "long"),
        ("outside", math.inf),
        ("rehearsal", 1.5),
    ],
)
def test_a_pace_that_no_run_has_is_refused(name, value):
    values = {**asdict(Pace([(0, 100)], 10, 0.5, 0.25, 0.5, 3.0)), name: value}
    with pytest.raises((KeyError, TypeError, ValueError)):
        Pace.from_json(values)


def test_small_misses_are_left_alone():
    clock = Clock()
    given = budget(clock, 1000)
    plan = Plan(steps=100, evaluate_every=1000)
    pace = Pace.begin(plan, given)
    total = pace.totals[0][1]
    now = begun(plan, pace)
    pace.step *= 1 + TOLERANCE / 2
    assert not pace.correct(now, 1, 1.0, given)
    assert pace.totals == [(0, total)]
    pace.step *= 1.1
    assert pace.correct(now, 1, 1.0, given)
