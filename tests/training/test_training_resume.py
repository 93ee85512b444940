"""A resumed run ends with the bits of one that was never interrupted, wherever it was interrupted."""

import pytest
import torch
from safetensors import safe_open
from training_toy import Toy, Workshop, at_call, interrupt

from gatewise.training import checkpoint as checkpoints


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(module, outcome, lines, checkpoint tensors) of the run that nothing interrupted."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    workshop = Workshop(tmp_path_factory.mktemp("whole"))
    module = Toy()
    outcome = workshop.train(module)
    torch.set_num_threads(threads)
    return module, outcome, timeless(workshop.lines()), checkpoints.read(workshop.checkpoint)[1]


def timeless(lines):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def assert_same_end(workshop, module, outcome, whole):
    want_module, want_outcome, want_lines, want_tensors = whole
    for (name, got), want in zip(module.state_dict().items(), want_module.state_dict().values(), strict=True):
        assert torch.equal(got, want), name
    assert (outcome.reason, outcome.step, outcome.best_step, outcome.best_loss) == (
        want_outcome.reason,
        want_outcome.step,
        want_outcome.best_step,
        want_outcome.best_loss,
    )
    assert timeless(workshop.lines()) == want_lines
    tensors = checkpoints.read(workshop.checkpoint)[1]
    assert tensors.keys() == want_tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, want_tensors[name]), name


# Passes are 9 steps, stretches 6, 26 steps in all: the first step, mid stretch, the step before a validation is due,
# just after one, the end of a pass, where pass and stretch end together, and the last step.
@pytest.mark.parametrize("step", [1, 4, 6, 7, 9, 12, 18, 23, 25, 26])
def test_interrupted_once(workshop, whole, step):
    interrupted = workshop.train(Toy(on_training=at_call(step)))
    assert (interrupted.reason, interrupted.step) == ("interrupted", step)
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)


@pytest.mark.parametrize("steps", [(4, 2), (6, 6), (3, 5), (6, 1), (12, 13), (1, 25)])
def test_interrupted_twice(workshop, whole, steps):
    first, second = steps
    workshop.train(Toy(on_training=at_call(first)))
    again = workshop.train(Toy(on_training=at_call(second)), resume=True)
    assert (again.reason, again.step) == ("interrupted", first + second)
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)


def test_interrupted_while_validating_and_again_while_catching_up(workshop, whole):
    def during(call, toy):
        if call in (0, 12):  # 0: the validation that a resumed run begins with
            interrupt()

    for _ in range(2):
        outcome = workshop.train(Toy(on_validation=during), resume=workshop.checkpoint.exists())
        assert (outcome.reason, outcome.step, outcome.best_step) == ("interrupted", 12, 6)
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)


def test_interrupted_while_sampling(workshop, whole):
    outcome = workshop.train(Toy(), on_evaluation=lambda step: interrupt() if step == 18 else None)
    assert (outcome.reason, outcome.step) == ("interrupted", 18)
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)


def test_interrupted_at_every_step(workshop, whole):
    outcome = workshop.train(Toy(on_training=at_call(1)))
    while outcome.reason == "interrupted":
        module = Toy(on_training=at_call(1))
        outcome = workshop.train(module, resume=True)
    assert_same_end(workshop, module, outcome, whole)


def test_killed_between_checkpoints_goes_back_to_the_last_and_drops_later_lines(workshop, whole):
    def die():
        raise MemoryError

    with pytest.raises(MemoryError):
        workshop.train(Toy(on_training=at_call(16, run=die)))
    with workshop.metrics.open("a") as file:
        file.write('{"kind": "train", "step": 1')  # a line that the crash cut short
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)


def test_a_checkpoint_by_the_clock_is_one_like_any_other(workshop, whole):
    def die():
        raise MemoryError

    with pytest.raises(MemoryError):
        workshop.train(Toy(on_training=at_call(16, run=die)), checkpoint_seconds=0)
    assert checkpoints.read(workshop.checkpoint)[0]["counters"]["step"] == 15
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)


def test_resuming_a_finished_run_only_loads_its_best_weights(workshop, whole):
    workshop.train(Toy())
    before = workshop.checkpoint.read_bytes()
    module = Toy()
    assert_same_end(workshop, module, workshop.train(module, resume=True), whole)
    assert module.calls == 0
    assert workshop.checkpoint.read_bytes() == before


def test_resuming_past_an_early_stop_stays_stopped(workshop):
    plan = workshop.plan(steps=400, learning_rate=0.9, clip=None, patience=2)
    stopped = workshop.train(Toy(), plan)
    again = workshop.train(Toy(), plan, resume=True)
    assert again.reason == stopped.reason == "early stop"
    assert again.best_loss == stopped.best_loss


def test_early_stop_at_a_validation_that_was_still_due(workshop):
    plan = workshop.plan(steps=400, learning_rate=0.9, clip=None, patience=2)
    stopped = workshop.train(Toy(), plan)
    interrupted = workshop.train(Toy(on_training=at_call(stopped.step)), plan)
    assert interrupted.reason == "interrupted"
    module = Toy()
    again = workshop.train(module, plan, resume=True)
    assert (again.reason, again.step, again.best_loss) == ("early stop", stopped.step, stopped.best_loss)
    assert module.calls == 0


def test_seconds_add_up_over_sessions(workshop):
    first = workshop.train(Toy(on_training=at_call(20)))
    assert workshop.train(Toy(), resume=True).seconds > first.seconds
    seconds = [line["seconds"] for line in workshop.lines()]
    assert seconds == sorted(seconds)


def test_a_fresh_start_begins_record_and_checkpoint_anew(workshop):
    workshop.train(Toy())
    workshop.train(Toy(on_training=at_call(1)))
    assert [line["step"] for line in workshop.lines()] == [1]
    with safe_open(workshop.checkpoint, "pt") as file:
        assert not [name for name in file.keys() if name.startswith("best.")]  # noqa: SIM118


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_larger_model_on_several_threads(workshop, precision):
    torch.set_num_threads(2)
    plan = workshop.plan(precision=precision)
    whole = Toy(width=500)
    outcome = workshop.train(whole, plan)
    lines = timeless(workshop.lines())
    workshop.train(Toy(width=500, on_training=at_call(6)), plan)
    workshop.train(Toy(width=500, on_training=at_call(8)), plan, resume=True)
    module = Toy(width=500)
    assert workshop.train(module, plan, resume=True).best_loss == outcome.best_loss
    assert timeless(workshop.lines()) == lines
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), whole.parameters(), strict=True))
