"""The emitted kernels compile for a GPU, and are no larger there than they are taken to be. None is needed for that."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from table import FAMILY

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

PROGRAM = Path(__file__).parents[1] / "triton_compiling.py"


def compiled(cell, hidden, dtype, folder):
    done = subprocess.run(
        [sys.executable, PROGRAM, cell, str(hidden), dtype],
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def fits(cell, hidden, dtype, folder):
    for kernel in compiled(cell, hidden, dtype, folder):
        assert kernel["shared"] <= kernel["allowed"], kernel
        assert kernel["spilled"] <= 512, kernel


def test_the_kernels_of_an_lstm_compile_for_a_gpu(tmp_path):
    fits("lstm", 32, "bfloat16", tmp_path)


# Matrices in the state, of which a row has as many values as a tile of others, are for `engine/chunkwise.py`.
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", [cell.name for cell in FAMILY if "M" not in cell.carry_sizes])
def test_the_kernels_of_every_cell_compile_for_a_gpu(cell, dtype, tmp_path):
    fits(cell, 32 if dtype == "float32" else 64, dtype, tmp_path)
