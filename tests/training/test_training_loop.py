"""What one uninterrupted training does."""

import io
import math
import os
import random
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from torch import nn
from training_toy import WIDTH, Tokens, Toy

from gatewise.errors import DataError
from gatewise.nn import LSTM
from gatewise.training import Lines, Silent
from gatewise.training.history import by_name


def by_hand(workshop, plan):
    """The same training in plain PyTorch: the authority that the loop is judged by."""
    module = Toy()
    torch.manual_seed(plan.seed)
    optimizer = torch.optim.AdamW(module.parameter_groups(plan.weight_decay), betas=plan.betas, fused=True)
    best_loss, losses = math.inf, []
    for step in range(plan.steps):
        if step % len(workshop.training) == 0:
            module.begin("train")
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        module.train()
        optimizer.zero_grad()
        module.training_loss(workshop.training.at(step)).backward()
        if plan.clip is not None:
            nn.utils.clip_grad_norm_(module.parameters(), plan.clip)
        optimizer.step()
        if plan.evaluates_at(step + 1):
            carried = module.carried
            module.eval()
            module.begin("validation")
            with torch.no_grad():
                sums = [module.validation_sums(workshop.validation.at(i)) for i in range(len(workshop.validation))]
            module.carried = carried
            losses.append(sum(total.double().item() for total, _ in sums) / sum(count for _, count in sums))
            if losses[-1] < best_loss:
                best_loss, best = losses[-1], {k: v.clone() for k, v in module.state_dict().items()}
    return best, losses


@pytest.mark.parametrize("clip", [0.3, None])
def test_it_learns_the_same_bits_as_a_loop_written_by_hand(workshop, clip):
    plan = workshop.plan(clip=clip, learning_rate=0.2, steps=40)
    module = Toy()
    outcome = workshop.train(module, plan)
    best, losses = by_hand(workshop, plan)
    assert [line["validation_loss"] for line in workshop.lines() if line["kind"] == "evaluation"] == losses
    assert outcome.best_loss == min(losses) < losses[0]
    assert outcome.best_step < 40, "the best weights are meant to be others than the last ones"
    assert all(torch.equal(tensor, best[name]) for name, tensor in module.state_dict().items())
    assert not module.training


def test_the_record_has_a_line_per_evaluation_and_some_between(workshop):
    outcome = workshop.train(Toy(), workshop.plan(steps=40, evaluate_every=15))
    lines = workshop.lines()
    assert [(line["kind"], line["step"]) for line in lines] == [
        *(("train", step) for step in (3, 6, 9, 12)),
        ("evaluation", 15),
        *(("train", step) for step in (18, 21, 24, 27)),
        ("evaluation", 30),
        *(("train", step) for step in (33, 36, 39)),
        ("evaluation", 40),
    ]
    last = lines[-1]
    assert set(last) == {
        "kind", "step", "epoch", "train_loss", "validation_loss", "learning_rate", "gradient_norm", "seconds"
    }  # fmt: skip
    assert last["epoch"] == 40 / 9
    assert last["learning_rate"] == pytest.approx(0.002)
    assert asdict(outcome) == {
        "reason": "finished",
        "step": 40,
        "best_step": last["step"],
        "best_loss": last["validation_loss"],
        "seconds": outcome.seconds,
        "learning_rate": 0.02,
        "race": (),
        "recoveries": 0,
        "planned": 40,
        "full": False,
        "outside": 0.0,
    }
    assert outcome.seconds >= last["seconds"] > 0


def test_what_is_measured_on_training_data_is_not_called_validation(workshop):
    stream = io.StringIO()
    plan = workshop.plan(steps=20, evaluate_every=10)
    workshop.train(Toy(), plan, held_out=False, progress=Lines("tokens", 8, stream))
    evaluations = [line for line in workshop.lines() if line["kind"] == "evaluation"]
    assert all("evaluation_loss" in line and "validation_loss" not in line for line in evaluations)
    assert [*by_name(workshop.metrics)] == ["epoch", "step", "loss", "evaluation_loss", "learning_rate"]
    assert "on training data " in stream.getvalue()
    assert "val " not in stream.getvalue()


def test_patience_stops_early_with_the_best_weights(workshop):
    outcome = workshop.train(Toy(), workshop.plan(steps=400, learning_rate=0.9, clip=None, patience=2))
    evaluations = [line for line in workshop.lines() if line["kind"] == "evaluation"]
    assert outcome.reason == "early stop"
    assert outcome.step == evaluations[-1]["step"] == outcome.best_step + 2 * 6 < 400
    assert outcome.best_loss == min(line["validation_loss"] for line in evaluations)


def test_each_pass_begins_once_and_carries_over_validation(workshop):
    module = Toy()
    carried = []
    module._on_training = lambda call, toy: carried.append(len(toy.carried))
    workshop.train(module, workshop.plan(steps=20))
    # Passes of 9 batches: only steps 0, 9 and 18 start from nothing, though validations follow 6, 12, 18 and 20.
    assert [step for step, length in enumerate(carried) if length == 0] == [0, 9, 18]
    assert module.begun.count("validation") == 4


def test_sampling_after_an_evaluation_disturbs_nothing(workshop):
    module, quiet = Toy(), Toy()

    def sample(step):
        assert not module.training
        torch.rand(step)
        module.carried = [torch.ones(3)]
        return f"passage {step}"

    workshop.train(module, on_evaluation=sample)
    lines = [{**line, "seconds": 0} for line in workshop.lines()]
    workshop.train(quiet)
    assert lines == [{**line, "seconds": 0} for line in workshop.lines()]
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), quiet.parameters(), strict=True))


def test_the_seed_decides_and_the_callers_generators_go_on(workshop):
    norms = set()
    for seed in (0, 0, 1):
        module = Toy()
        before = torch.get_rng_state(), random.getstate()
        workshop.train(module, workshop.plan(seed=seed, steps=4))
        norms.add(workshop.lines()[-1]["gradient_norm"])
        assert torch.equal(torch.get_rng_state(), before[0])
        assert random.getstate() == before[1]
    assert len(norms) == 2


def test_it_says_nothing_and_leaves_nothing_behind(workshop, capfd, monkeypatch, recwarn):
    monkeypatch.chdir(workshop.folder)
    workshop.train(Toy())
    assert capfd.readouterr() == ("", "")
    assert sorted(os.listdir(workshop.folder)) == ["run.checkpoint", "run.jsonl"]
    assert not recwarn.list


def test_mixed_precision_learns(workshop):
    module = Toy()
    module.layer = LSTM(WIDTH, WIDTH)  # torch's own has no bfloat16 on a CPU without AVX-512
    workshop.train(module, workshop.plan(precision="bf16-mixed"))
    losses = [line["validation_loss"] for line in workshop.lines() if line["kind"] == "evaluation"]
    assert losses[-1] < losses[0]
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_batches_of_any_nesting_arrive_as_they_are(workshop):
    class Nested(Tokens):
        def at(self, step):
            return {"x": (super().at(step), [step])}

    class Reader(Toy):
        def training_loss(self, batch):
            return super().training_loss(batch["x"][0])

        def validation_sums(self, batch):
            return super().validation_sums(batch["x"][0])

    plain = workshop.train(Toy())
    workshop.training, workshop.validation = Nested(9, seed=1), Nested(3, seed=2)
    assert workshop.train(Reader()).best_loss == plain.best_loss


def test_a_frozen_part_may_stay_in_evaluation_mode(workshop):
    class Frozen(Toy):
        def train(self, mode=True):
            super().train(mode)
            self.dropout.eval()
            return self

    assert workshop.train(Frozen()).reason == "finished"


@pytest.mark.parametrize("split", ["training", "validation"])
def test_too_little_data_is_named(workshop, split):
    setattr(workshop, split, Tokens(0, seed=1))
    with pytest.raises(DataError, match=f"no {split} batch"):
        workshop.train(Toy())
    assert os.listdir(workshop.folder) == []


def test_progress_hears_of_everything(workshop, capsys):
    workshop.train(Toy(), progress=Lines("tokens", 24, sys.stdout), on_evaluation=lambda step: "a\nb")
    text = capsys.readouterr().out
    assert text.count(" val ") == 5
    assert text.count("| a\n| b\n") == 5
    assert "step 26/26" in text


def test_the_package_is_light():
    used = "from gatewise.training import Plan, Lines; from gatewise.plots.loss_curve import plot"
    code = f"import sys, gatewise.training; {used}; print(sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"'torch'", "'lightning'", "'matplotlib'", "'rich'"} & set(found.strip("[]\n").split(", "))


def test_public_names_are_there():
    import gatewise.training as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = package.nothing


class Told(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_the_end_is_told_with_its_reason_and_what_is_kept(workshop):
    told = Told()
    outcome = workshop.train(Toy(), progress=told)
    assert outcome.reason == "finished"
    [note] = told.notes
    assert note.startswith("finished after step 26 of 26 (epoch 2.89). Kept are the best weights: of step ")
    assert (
        f"of step {outcome.best_step} (epoch {outcome.best_step / 9:.3g}), validation {outcome.best_loss:.4g}." in note
    )


def test_an_early_stop_says_how_long_it_waited(workshop):
    told = Told()
    outcome = workshop.train(Toy(), workshop.plan(steps=400, learning_rate=0.5, patience=2), progress=told)
    assert outcome.reason == "early stop"
    [note] = told.notes
    wanted = f"stopped early after step {outcome.step} of 400 (epoch {outcome.step / 9:.3g}): "
    assert note.startswith(f"{wanted}none of the last 2 validations was better (patience 2). Kept are the best weights")
    assert outcome.step - outcome.best_step == 12  # two validations, of six steps each
