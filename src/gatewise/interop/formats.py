"""Which reader takes a file: told by what is in it, whatever it is called."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module

from ..errors import ModelFileError, OptionError, extras_named
from .chain import Chain

_PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PROTOBUF = (b"\x08",)  # field 1 of an ONNX model, its version of the format, comes first in practice
MOST_BYTES = 8 << 30  # of a file; and of what is unpacked of one


@dataclass(frozen=True)
class Asked:
    """What a file may not say, as the user says it.

    Attributes:
        nonlinearity: Of a plain recurrent network of torch: "tanh" or "relu".
        reads: What the layers behind the recurrent ones read, of files of weights alone: "steps", the "last" step, the
            last state, which is "end", or the "mean" or "max" of all steps. None: not asked yet.
        activation: Behind the linear layers of such files whose outputs other layers read.
        layers: Names of its layers, in the order in which they run, where that of the file is another one.
    """

    nonlinearity: str | None = None
    reads: str | None = None
    activation: str | None = None
    layers: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        called: What it is, for people.
        reader: The module of `interop` that has `read(path, asked) -> Chain`.
        runner: The one that has `start()`, which imports the library itself, and `answers(path, asked)`: a function of
            x that computes with it, as `chain.run` does with ours, and the library with its version.
        packages, install: What `start` needs, and how to get it.
    """

    called: str
    reader: str
    runner: str
    packages: tuple[str, ...]
    install: str

    def read(self, path: str, asked: Asked) -> Chain:
        """The chain that the file is. ModelFileError or OptionError, on one line, if it is none."""
        with extras_named():
            found: Chain = import_module(f".{self.reader}", __package__).read(path, asked)
        return found


FORMATS = {
    "torch": Format("weights of PyTorch", "read_torch", "run_torch", ("torch",), "pip install 'gatewise[train]'"),
    "safetensors": Format(
        "weights in safetensors", "read_torch", "run_torch", ("torch",), "pip install 'gatewise[train]'"
    ),
    "keras": Format(
        "a model of Keras 3",
        "read_keras",
        "run_keras",
        ("keras", "jax", "tensorflow", "torch"),
        "pip install keras jax",
    ),
    "h5": Format(
        "an HDF5 file of Keras",
        "read_keras",
        "run_keras",
        ("keras", "jax", "tensorflow", "torch"),
        "pip install keras jax",
    ),
    "onnx": Format("an ONNX model", "onnx.reading", "onnx.answering", ("onnxruntime",), "pip install onnxruntime"),
}


OF_WEIGHTS = ("torch", "safetensors")  # those that do not say how their layers are connected


def format_of(path: str) -> str:
    """A key of `FORMATS`.

    Raises:
        ModelFileError: There is no such file, it is a folder, or none of these.
    """
    if os.path.isdir(path):
        saved = os.path.exists(os.path.join(path, "saved_model.pb"))
        how = "is a SavedModel of TensorFlow. Load it with Keras and save it as .keras first: model.save('model.keras')"
        raise ModelFileError(f"'{path}' {how if saved else 'is a folder, where a file is wanted'}")
    try:
        with open(path, "rb") as file:
            head, size = file.read(4096), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ModelFileError(f"'{path}' cannot be read: {error.strerror or error}") from error
    if size > MOST_BYTES:
        raise ModelFileError(f"'{path}' has {size:,} bytes. Models of more than {MOST_BYTES:,} are not read")
    # Before the others: the length of its header may begin as a pickle or a protobuf does.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        return "safetensors"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if head.startswith(b"PK"):
        return _in_zip(path)
    if head.startswith(_PICKLED):
        return "torch"
    if head.startswith(_PROTOBUF) and size > 8:
        return "onnx"
    raise ModelFileError(f"'{path}' is {_called_otherwise(head)}, and none of: {', '.join(_NAMES)}")


_NAMES = (".keras and .h5 of Keras", ".pt, .pth and .ckpt of PyTorch", ".safetensors", ".onnx")


def _in_zip(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelFileError(f"'{path}' is a damaged archive ({error}). Copy or download it again") from error
    if "config.json" in names:
        return "keras"
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    raise ModelFileError(f"'{path}' is an archive of neither Keras nor PyTorch")


def _called_otherwise(head: bytes) -> str:
    if not head:
        return "empty"
    return "a file that nothing here recognises"


def chosen(name: str) -> Format:
    """The row of a format. OptionError if there is none."""
    if name not in FORMATS:
        raise OptionError(f"there is no format '{name}', only {', '.join(FORMATS)}")
    return FORMATS[name]
