"""PyTorch's files are read without running anything that is in them."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from damaged_files import complaints

from gatewise.errors import ModelFileError
from gatewise.interop.pickles import load, state_dict


@pytest.fixture
def weights():
    torch.manual_seed(0)
    half = torch.randn(4, 3).to(torch.bfloat16)
    odd = {"turned": torch.randn(3, 5).T, "part": torch.randn(9)[2:5], "half": half, "small": torch.randn(2).half()}
    return {**torch.nn.LSTM(3, 4, 2, bidirectional=True).state_dict(), **odd, "double": torch.randn(2, 2).double()}


def equal(found, wanted):
    assert list(found) == list(wanted)
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name].float().numpy())


def test_weights_are_those_that_torch_reads(tmp_path, weights):
    torch.save(weights, tmp_path / "new.pt")
    torch.save(weights, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": weights, "lr": 0.1}, tmp_path / "checkpoint.pt")
    for name in ("new.pt", "old.pt", "checkpoint.pt"):
        equal(state_dict(tmp_path / name)[0], weights)


def test_checkpoints_of_lightning_say_so(tmp_path, weights):
    held = {
        "pytorch-lightning_version": "2.6.6",
        "state_dict": weights,
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"betas": (0.9, 0.999)}]}],
        "score": np.float32(0.5),
        "device": torch.device("cpu"),
    }
    torch.save(held, tmp_path / "last.ckpt")
    found, library = state_dict(tmp_path / "last.ckpt")
    equal(found, weights)
    assert library == "lightning 2.6.6"


class Runs:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def archive(path, program, members=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/data.pkl", program)
        for name, data in members:
            file.writestr(f"a/data/{name}", data)


def tensor(shape, strides, storage="FloatStorage", offset=0):
    """The pickle of one tensor under a name."""

    class Program(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", getattr(torch, storage), "0", "cpu", 4) if value == "numbers" else None

    class Made:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, ("numbers", offset, shape, strides, False, {})

    file = io.BytesIO()
    Program(file, 2).dump({"weight": Made()})
    return file.getvalue()


def test_a_program_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = pickle.dumps({"weight": Runs()}, 2)
    archive("bad.pt", program)
    (tmp_path / "bare.pt").write_bytes(program)
    torch.save(torch.nn.LSTM(2, 3), "whole.pt")
    for name, says in {
        "bad.pt": "an object of 'posix.system'",
        "bare.pt": "an object of 'posix.system'",
        "whole.pt": "an object of 'torch.nn.modules.rnn.LSTM'",
    }.items():
        with pytest.raises(ModelFileError, match=says):
            load(name)
    assert not (tmp_path / "harmed").exists()


PROGRAMS = {
    "an instruction of others": (b"\x80\x02}cos\nsystem\n(S'x'\ntR.", "instruction STRING"),
    "a memo without end": (b"\x80\x02}r\xff\xff\xff\x7f.", "remembers 2,147,483,647 values"),
    "a tuple as a key": (b"\x80\x02})K\x01s.", "a key of the type tuple"),
    "more bytes than there are": (b"\x80\x02X\xff\xff\xff\x7fab.", "damaged"),
    "no end": (b"\x80\x02}", "damaged"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_weights_do_not_need_are_refused(tmp_path, name):
    program, says = PROGRAMS[name]
    archive(tmp_path / "bad.pt", program)
    with pytest.raises(ModelFileError, match=says):
        state_dict(tmp_path / "bad.pt")


def doubled(times):
    """The instructions of a tuple of two tuples, each of which is that very tuple one level below."""
    return b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(times))


@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_twice_in_itself_sixty_times_is_refused_at_once(tmp_path, legacy):
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storageX\x03\0\0\0<f4X\x01\0\0\x000tQK\0"
    program = b"\x80\x02" + doubled(60) + rebuild + b"h\x3c)tR."
    if legacy:
        beginning = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})]
        wide = b"\x80\x02]q\x00]q\x01(" + b"h\x00" * 100_000 + b"e]q\x02(" + b"h\x01" * 100_000 + b"e."
        (tmp_path / "bad.pt").write_bytes(b"".join([*beginning, wide, pickle.dumps([], 2)]))
    else:
        archive(tmp_path / "bad.pt", program)
    says = "not a dictionary" if legacy else "a tensor has a shape"
    with pytest.raises(ModelFileError, match=says):
        state_dict(tmp_path / "bad.pt")


@pytest.mark.parametrize("kind", ["O", "V0", "<f4,<f4", "M8[s]"])
def test_numbers_are_of_the_types_that_torch_has(tmp_path, kind):
    program = tensor((2,), (1,)).replace(b"ctorch\nFloatStorage\n", b"X%c\0\0\0%b" % (len(kind), kind.encode()))
    archive(tmp_path / "bad.pt", program, [("0", bytes(64))])
    with pytest.raises(ModelFileError, match="something other than the numbers of tensors"):
        state_dict(tmp_path / "bad.pt")


def test_many_tensors_of_the_same_numbers_are_no_more_than_the_file(tmp_path):
    numbers = torch.arange(10_000.0)
    torch.save({"first": numbers, "tied": numbers}, tmp_path / "tied.pt")
    tied, _ = state_dict(tmp_path / "tied.pt")
    np.testing.assert_array_equal(tied["tied"], tied["first"])
    torch.save({f"{n}": numbers[n:] for n in range(20)}, tmp_path / "bad.pt")
    with pytest.raises(ModelFileError, match="would have more numbers than it"):
        state_dict(tmp_path / "bad.pt")


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((1 << 40,), (0,), 0),
        ((2, 3), (3, 1), 0),
        ((4,), (1,), 1),
        ((2,), (-1,), 3),
        ((2,), (1, 1), 0),
        ((-2,), (1,), 0),
    ],
)
def test_tensors_stay_within_their_numbers(tmp_path, shape, strides, offset):
    archive(tmp_path / "bad.pt", tensor(shape, strides, offset=offset), [("0", np.zeros(4, "<f4").tobytes())])
    with pytest.raises(ModelFileError, match="a tensor"):
        state_dict(tmp_path / "bad.pt")
    archive(tmp_path / "good.pt", tensor((2, 2), (2, 1)), [("0", np.arange(4, dtype="<f4").tobytes())])
    np.testing.assert_array_equal(state_dict(tmp_path / "good.pt")[0]["weight"], [[0, 1], [2, 3]])


def test_archives_are_as_torch_makes_them(tmp_path):
    archive(tmp_path / "bomb.pt", b"0" * 10_000_000, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="compressed"):
        load(tmp_path / "bomb.pt")
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as file:
        for name in ("a/data.pkl", "a/constants.pkl", "a/code/net.py"):
            file.writestr(name, b"")
    with pytest.raises(ModelFileError, match="program of TorchScript"):
        load(tmp_path / "script.pt")
    torch.save(torch.randn(3), tmp_path / "one.pt")
    with pytest.raises(ModelFileError, match="holds one tensor, not a dictionary"):
        state_dict(tmp_path / "one.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(ModelFileError, match="holds no weights by name, only epoch"):
        state_dict(tmp_path / "none.pt")


def files(folder):
    model = torch.nn.Sequential(torch.nn.LSTM(3, 2))
    torch.save(model.state_dict(), folder / "new.pt")
    torch.save({"state_dict": model.state_dict()}, folder / "old.pt", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    save_file(model.state_dict(), folder / "a.safetensors")
    return [folder / name for name in ("new.pt", "old.pt", "a.safetensors")]


def test_damaged_files_are_refused(tmp_path):
    assert complaints(tmp_path, files(tmp_path), 25) == ""


@pytest.mark.slow
def test_many_damaged_files_are_refused(tmp_path):
    assert complaints(tmp_path, files(tmp_path), 400) == ""
