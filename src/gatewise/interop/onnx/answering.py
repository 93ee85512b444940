"""An ONNX file that was read, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import ModelFileError
from ..formats import Asked
from .reading import read_whole


def start() -> None:
    """Import onnxruntime. ModuleNotFoundError if it is not installed."""
    import onnxruntime  # noqa: F401


def answers(path: str, asked: Asked) -> tuple[Callable[[Any], Any], str]:
    """A function of x as `chain.run` takes it, and onnxruntime with its version."""
    import onnxruntime

    found = read_whole(path)
    (name, axes), (output, shown) = found.input, found.output
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a kind for each of its codes
        raise ModelFileError(f"'{path}': onnxruntime refuses it ({_line(error)})") from error
    kind = next(each.type for each in session.get_inputs() if each.name == name)
    dtype = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}.get(kind, np.float32)

    def run(x: Any) -> Any:
        rows = x.shape[1]
        given = np.asarray(x if axes.startswith("T") else x.swapaxes(0, 1), dtype)
        zeros = {state: np.zeros([size or rows for size in shape], np.float32) for state, shape in found.states.items()}
        try:
            [y] = session.run([output], {name: given, **zeros})
        except Exception as error:
            raise ModelFileError(f"'{path}': onnxruntime does not run it ({_line(error)})") from error
        return y.swapaxes(0, 1) if shown.startswith("BT") else y

    return run, f"onnxruntime {onnxruntime.__version__}"


def _line(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.200}"
