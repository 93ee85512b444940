"""The functions of `export/maths.c` against numpy in float64."""

import ctypes
import subprocess
from importlib.resources import files

import numpy as np
import pytest
from export_examples import COMPILER, needs_compiler

EXACT = {
    "exp": np.exp,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "tanh": np.tanh,
    "log": np.log,
    "sqrt": np.sqrt,
    "softplus": lambda v: np.logaddexp(v, 0),
    "arcsinh": np.arcsinh,
    "relu": lambda v: np.maximum(v, 0),
}


@pytest.fixture(scope="module")
def maths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maths")
    text = files("gatewise.export").joinpath("maths.c").read_text().replace("static float", "float")
    (folder / "maths.c").write_text(f"#include <stdint.h>\n{text}")
    command = [COMPILER, "-std=c99", "-O2", "-fPIC", "-shared", "-o", "maths.so", "maths.c"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "maths.so"))


def call(maths, name, values):
    function = getattr(maths, f"gw_{name}")
    function.restype = ctypes.c_float
    function.argtypes = [ctypes.c_float]
    return np.array([function(float(v)) for v in values])


@needs_compiler
@pytest.mark.parametrize("name", EXACT)
def test_functions_are_within_their_bound(maths, name):
    rng = np.random.default_rng(0)
    v = np.concatenate([rng.uniform(-1, 1, 4000), rng.uniform(-30, 30, 4000), rng.uniform(-87, 88, 1000), [0.0]])
    if name in ("log", "sqrt"):
        v = np.concatenate([np.exp(v), [1e-40, 3e38]])
    if name == "arcsinh":
        v = np.concatenate([v, [1e12, -1e30]])
    v = v.astype(np.float32)
    exact = EXACT[name](v.astype(np.float64))
    off = np.abs(call(maths, name, v) - exact) / np.maximum(1, np.abs(exact))
    assert off.max() <= 2e-7 + 3e-8 * (name in ("log", "softplus", "arcsinh"))


@needs_compiler
def test_functions_at_and_beyond_the_ends(maths):
    inf, nan = np.inf, np.nan
    assert call(maths, "exp", [inf, -inf, 100, -200]).tolist() == [inf, 0, inf, 0]
    assert call(maths, "sigmoid", [inf, -inf, 200, -200]).tolist() == [1, 0, 1, 0]
    assert call(maths, "tanh", [inf, -inf]).tolist() == [1, -1]
    assert call(maths, "log", [inf, 0]).tolist() == [inf, -inf]
    assert call(maths, "sqrt", [inf, 0]).tolist() == [inf, 0]
    assert np.isnan(call(maths, "log", [-1])).all()
    assert np.isnan(call(maths, "sqrt", [-1])).all()
    assert call(maths, "known", [inf, nan, 1]).tolist() == [0, 0, 1]
    for name in EXACT.keys() - {"relu"}:
        assert np.isnan(call(maths, name, [nan])).all(), name
