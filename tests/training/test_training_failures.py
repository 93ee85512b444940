"""Losses that are not finite, disks that are full."""

import math

import pytest
import torch
from training_toy import Toy, at_call

from gatewise.errors import TrainingError
from gatewise.training import TrainingStopped
from gatewise.training import checkpoint as checkpoints
from gatewise.training.history import History


def stop(workshop, module, **options):
    with pytest.raises(TrainingStopped) as caught:
        workshop.train(module, **options)
    assert isinstance(caught.value, TrainingError)
    assert "\n" not in str(caught.value)
    return str(caught.value), caught.value.outcome


class Broken(Toy):
    """Loses its numbers at one step."""

    def __init__(self, step, value=math.nan, where="loss"):
        super().__init__()
        self.step, self.value, self.where = step, value, where

    def training_loss(self, batch):
        loss = super().training_loss(batch)
        if self.calls != self.step or self.where == "validation":
            return loss
        if self.where == "gradient":  # finite loss, infinite slope
            return loss + (self.head.bias[0] * 0).sqrt()
        return loss * self.value

    def validation_sums(self, batch):
        total, count = super().validation_sums(batch)
        return (total * math.nan, count) if self.where == "validation" and self.calls >= self.step else (total, count)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_without_numbers_never_reaches_weights_or_checkpoint(workshop, where):
    module, want = Broken(15, where=where), Toy()
    text, outcome = stop(workshop, module)
    assert "step 15" in text
    assert "learning_rate=0.0067" in text
    assert f"{workshop.checkpoint} (step 12)" in text
    assert ("loss became nan" if where == "loss" else "gradient norm became") in text
    assert (outcome.reason, outcome.step, outcome.best_step) == ("not a number", 14, 12)
    workshop.train(want, workshop.plan(), checkpoint=workshop.folder / "other")
    document, tensors = checkpoints.read(workshop.checkpoint)
    assert document["counters"]["step"] == 12
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert all(torch.equal(tensors[f"best.{name}"], p) for name, p in module.named_parameters())


def test_infinity_is_no_number_either(workshop):
    assert "loss became inf at step 7" in stop(workshop, Broken(7, math.inf))[0]


def test_from_the_very_first_step_it_is_the_data(workshop):
    text, outcome = stop(workshop, Broken(1))
    assert "step 1, before anything was learned" in text
    assert "data" in text
    assert "learning rate" not in text
    assert outcome.best_loss is None


def test_a_validation_loss_without_numbers(workshop):
    text, outcome = stop(workshop, Broken(12, where="validation"))
    assert "validation loss is nan after step 12" in text
    assert outcome.best_step == 6


def test_weights_without_numbers_never_get_into_a_checkpoint(workshop):
    module = Toy()

    def lose_a_weight_without_a_gradient(batch):
        module.calls += 1
        if module.calls == 9:
            module.head.bias.data.fill_(math.nan)
        return module.layer.bias_ih_l0.square().sum()

    module.training_loss = lose_a_weight_without_a_gradient
    text, _ = stop(workshop, module, checkpoint_seconds=0)
    assert "head.bias holds values that are not finite after step 9" in text
    assert checkpoints.read(workshop.checkpoint)[0]["counters"]["step"] == 8


def test_a_learning_rate_that_explodes_is_named(workshop):
    text, _ = stop(workshop, Toy(), plan=workshop.plan(learning_rate=1e38, warmup=0, clip=None, steps=300))
    assert "learning_rate=3.3e+37" in text
    assert "clip=1.0" in text


def test_a_full_disk_under_the_record(workshop, monkeypatch):
    opened = History.__init__

    def on_a_full_disk(self, path, keep):
        opened(self, path, keep)
        self.lines = 0

    def write(self, **values):
        self.lines += 1
        if self.lines == 8:
            self._file.close()
            self._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
        real(self, **values)

    real = History.write
    monkeypatch.setattr(History, "__init__", on_a_full_disk)
    monkeypatch.setattr(History, "write", write)
    module = Toy()
    text, outcome = stop(workshop, module)
    assert f"cannot write {workshop.metrics}: No space left on device" in text
    assert (outcome.reason, outcome.best_step) == ("cannot write", 6)
    monkeypatch.undo()
    assert workshop.train(Toy(), resume=True).reason == "finished"


def test_a_folder_that_is_not_there_shows_before_training(workshop):
    module = Toy()
    text, outcome = stop(workshop, module, checkpoint=workshop.folder / "no" / "where")
    assert "No such file or directory" in text
    assert "choose another folder" in text
    assert (module.calls, outcome.step) == (0, 0)


def test_an_error_of_the_data_is_not_taken_for_a_full_disk(workshop):
    def unreadable():
        raise OSError("the tape is torn")

    with pytest.raises(OSError, match="the tape is torn"):
        workshop.train(Toy(on_training=at_call(3, run=unreadable)))
