"""Networks of every cell, recorded and printed as C and JavaScript, against the runtime's layers."""

import shutil
import zlib

import numpy as np
import pytest

from gatewise import cells
from gatewise.export import c
from gatewise.export.proof import prove_c
from gatewise.runtime.layers import network_of
from gatewise.runtime.network import Block, Linear, Recurrent, checked
from gatewise.runtime.recording import CARRIED, Examples, Recorder, StepModel

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler here")

D, H, STEPS = 5, 24, 30


def stepped(cell, **layers):
    """A network of layers of a cell between arithmetic and a linear layer, with weights by chance."""
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    part = Recurrent(cell=cell, input_size=D + 2, hidden_size=H, **layers)
    block = Block({"layers": part, "head": Linear(part.proj_size or H, 3)})
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in block.weights()}
    x = rng.normal(0, 1, (STEPS, 1, D)).astype(np.float32)

    def forward(net, x, state):
        ops = net.ops
        wide = ops.concatenate([ops.arcsinh(x), ops.relu(x[..., 1:3] * np.float32(2) - x[..., 3:])])
        y, state = net.layers(wide, state)
        return net.head(y), state

    recorder = Recorder()
    parts = recorder.network(block, checked(block, weights))
    y, _ = forward(parts, recorder.number("x", 1, 1, D), CARRIED)
    found, _ = forward(network_of(block, weights), x, None)
    return StepModel(
        recording=recorder.recording(y=y),
        examples=Examples("by chance", {"x": x[:, 0]}, {"y": found[:, 0]}),
        title=f"Layers of {cell.name}.",
        meaning=["x  anything"],
        digest="none",
    )


def written(model, kind, folder):
    for name, text in c.sources(model, kind).items():
        (folder / name).write_text(text)
    return folder


@needs_compiler
@pytest.mark.parametrize("name", cells.NAMES)
def test_every_cell_in_c_is_the_runtime_s(name, tmp_path):
    cell = cells.find(name)
    model = stepped(cell, num_layers=2, proj_size=8 if cell.projected else 0)
    assert prove_c(written(model, "float32", tmp_path)) <= 1e-5
