"""The checkpoint file, and what happens when it is not one."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from training_toy import Toy, at_call

from gatewise.errors import ModelFileError, ShapeError
from gatewise.training import checkpoint as checkpoints


def refusal(workshop, module=None, **options):
    """The one line that a resume is refused with."""
    with pytest.raises(ModelFileError) as caught:
        workshop.train(module or Toy(), resume=True, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert str(workshop.checkpoint) in text
    return text


@pytest.fixture
def interrupted(workshop):
    workshop.train(Toy(on_training=at_call(8)))
    return workshop


def test_tensors_and_document_come_back(tmp_path):
    base = torch.randn(4, 6)
    tensors = {
        "a": base,
        "transposed": base.T,  # shares storage with a
        "b": torch.arange(3, dtype=torch.uint8),
        "half": torch.randn(3).bfloat16(),
        "none": torch.empty(0, 2),
        "scalar": torch.tensor(2.5),
    }
    checkpoints.write(tmp_path / "c", {"counters": {"loss": 0.1 + 0.2, "best": None}}, tensors)
    document, found = checkpoints.read(tmp_path / "c")
    assert document["counters"] == {"loss": 0.1 + 0.2, "best": None}
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_a_tied_weight_is_stored_once(interrupted):
    names = load_file(interrupted.checkpoint).keys()
    assert "model.embedding.weight" in names
    assert "model.head.weight" not in names


def test_a_missing_checkpoint(workshop):
    assert "no checkpoint at" in refusal(workshop)


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, -1])
def test_a_truncated_checkpoint(interrupted, keep):
    data = interrupted.checkpoint.read_bytes()
    interrupted.checkpoint.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    assert "damaged" in refusal(interrupted)


@pytest.mark.parametrize(
    "data",
    [
        b"not a checkpoint, but a longer text",
        pickle.dumps({"step": 1}),
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 4) + b"{{{{",
    ],
    ids=["text", "pickle", "huge", "json"],
)
def test_a_foreign_file(workshop, data):
    workshop.checkpoint.write_bytes(data)
    assert "damaged or no checkpoint" in refusal(workshop)


def test_another_safetensors_file(workshop):
    save_file({"a": torch.zeros(2)}, workshop.checkpoint, {"format": "pt"})
    assert "not a checkpoint of Gatewise" in refusal(workshop)


def test_a_folder(workshop):
    workshop.checkpoint.mkdir()
    refusal(workshop)


def test_a_newer_format(workshop):
    save_file({"a": torch.zeros(2)}, workshop.checkpoint, {checkpoints.KEY: json.dumps({"format": 99})})
    text = refusal(workshop)
    assert "newer Gatewise" in text
    assert "99" in text
    assert "pip install -U gatewise" in text


@pytest.mark.parametrize("lost", ["generator.cpu", "optimizer.0.exp_avg", "model.layer.weight_hh_l0", "best.seen"])
def test_a_checkpoint_that_lacks_a_part(interrupted, lost):
    document, tensors = checkpoints.read(interrupted.checkpoint)
    del tensors[lost]
    checkpoints.write(interrupted.checkpoint, document, tensors)
    text = refusal(interrupted)
    assert "damaged" in text or "another model" in text


@pytest.mark.parametrize("lost", ["identity", "counters"])
def test_a_checkpoint_that_lacks_numbers(interrupted, lost):
    document, tensors = checkpoints.read(interrupted.checkpoint)
    del document[lost]
    checkpoints.write(interrupted.checkpoint, document, tensors)
    assert "damaged" in refusal(interrupted)


def test_other_options_or_data_are_each_named_with_both_values(interrupted):
    before = interrupted.checkpoint.read_bytes(), interrupted.metrics.read_bytes()
    text = refusal(
        interrupted,
        plan=interrupted.plan(learning_rate=0.5),
        identity={"data": {"sha": "xyz"}, "layers": 2},
    )
    assert 'data.sha was "abc" and is "xyz"' in text
    assert "layers was absent and is 2" in text
    assert 'task was "toy" and is absent' in text
    assert "learning_rate was 0.02 and is 0.5" in text
    assert "warmup" not in text
    assert (interrupted.checkpoint.read_bytes(), interrupted.metrics.read_bytes()) == before


def test_tuples_and_numbers_in_the_identity_compare_as_json(workshop):
    identity = {"sizes": (1, 2), "names": {3: "c"}}
    workshop.train(Toy(on_training=at_call(2)), identity=identity)
    assert workshop.train(Toy(), resume=True, identity=identity).reason == "finished"


def test_another_model_is_refused_by_the_weight_that_differs(interrupted):
    module = Toy()
    module.layer = nn.LSTM(8, 8, num_layers=2)
    assert "layer.bias_hh_l1 has shape none, here it has (32,)" in refusal(interrupted, module)


def test_one_flipped_bit_anywhere_is_noticed(interrupted):
    data = interrupted.checkpoint.read_bytes()
    places = range(0, len(data), max(1, len(data) // 97))
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        interrupted.checkpoint.write_bytes(flipped)
        refusal(interrupted)
    interrupted.checkpoint.write_bytes(data)
    assert interrupted.train(Toy(), resume=True).reason == "finished"


def test_a_checkpoint_without_a_digest_is_older(interrupted):
    document, tensors = checkpoints.read(interrupted.checkpoint)
    save_file(tensors, interrupted.checkpoint, {checkpoints.KEY: json.dumps({**document, "format": 1})})
    assert "older Gatewise" in refusal(interrupted)
    save_file(tensors, interrupted.checkpoint, {checkpoints.KEY: json.dumps(document)})
    assert "damaged" in refusal(interrupted)


MEAN = {"total": 0.0, "count": 0}


@pytest.mark.parametrize(
    "changed",
    [
        {"step": -1},
        {"step": 27},
        {"step": 8.0},
        {"step": True},
        {"step": "8"},
        {"step": 9},  # the mean since the validation is over 2 steps
        {"evaluated": 7},
        {"evaluated": 7, "since_evaluation": MEAN | {"count": 1}},  # all agree, but the plan validates at 6 and 12
        {"evaluated": 12},
        {"evaluated": 0},
        {"best_step": 0},
        {"best_step": 5},
        {"best_loss": None},
        {"best_loss": "low"},
        {"waited": 1},
        {"waited": -1},
        {"seconds": -1.0},
        {"seconds": None},
        {"norms": [1.0]},
        {"norms": [1.0] * 4 + [-1.0]},
        {"norms": ["a"] * 5},
        {"norms": None},
        {"since_line": MEAN | {"count": 3}},
        {"since_line": MEAN | {"total": "0"}},
        {"since_evaluation": MEAN},
        {"since_evaluation": [0.0, 2]},
        {"more": 1},
    ],
    ids=str,
)
def test_counters_that_no_run_has(interrupted, changed):
    """With a digest that is right: whoever changes a file on purpose can make a new one."""
    document, tensors = checkpoints.read(interrupted.checkpoint)
    assert (document["counters"]["step"], document["counters"]["evaluated"]) == (8, 6)
    document["counters"] |= changed
    checkpoints.write(interrupted.checkpoint, document, tensors)
    assert "damaged" in refusal(interrupted)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("carried.0", lambda tensor: tensor * float("nan")),
        ("carried.0", lambda tensor: tensor.long()),
        ("model.head.bias", lambda tensor: tensor.double()),
        ("model.head.bias", lambda tensor: tensor / 0),
        ("best.head.bias", lambda tensor: tensor * float("nan")),
        ("optimizer.1.exp_avg_sq", lambda tensor: -1 - tensor),
        ("optimizer.1.exp_avg_sq", lambda tensor: tensor[:1]),
        ("optimizer.1.exp_avg", lambda tensor: tensor / 0),
        ("optimizer.1.step", lambda tensor: tensor + 1),
        ("optimizer.1.step", lambda tensor: tensor[None]),
        ("generator.cpu", lambda tensor: tensor[1:]),
        ("generator.cpu", lambda tensor: tensor.float()),
    ],
)
def test_tensors_that_no_run_has(interrupted, name, change):
    document, tensors = checkpoints.read(interrupted.checkpoint)
    tensors[name] = change(tensors[name]).contiguous()
    checkpoints.write(interrupted.checkpoint, document, tensors)
    text = refusal(interrupted)
    assert "damaged" in text or "another model" in text


def test_a_carried_state_that_the_model_refuses(interrupted):
    class Particular(Toy):
        def _loss(self, batch):
            if self.carried and self.carried[0].shape[1] != batch.shape[1]:
                raise ShapeError("a state of other rows")
            return super()._loss(batch)

    document, tensors = checkpoints.read(interrupted.checkpoint)
    tensors["carried.0"] = tensors["carried.0"][:, :1].contiguous()
    checkpoints.write(interrupted.checkpoint, document, tensors)
    assert "a state of other rows" in refusal(interrupted, Particular())
