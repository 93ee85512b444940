"""Networks as steps, for tests of exporters."""

import shutil
import zlib

import numpy as np
import pytest

from gatewise.runtime.layers import network_of
from gatewise.runtime.network import Block, Linear, Recurrent, checked
from gatewise.runtime.recorder import CARRIED, Recorder
from gatewise.runtime.recording import Examples, StepModel
from gatewise.tasks.stepwise import with_rounded

COMPILER = next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None)
NODE = shutil.which("node")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
needs_node = pytest.mark.skipif(NODE is None, reason="no node here")

D, H, STEPS = 5, 24, 30


def forward(net, x, state):
    """Arithmetic, layers, a linear layer."""
    ops = net.ops
    wide = ops.concatenate([ops.arcsinh(x), ops.relu(x[..., 1:3] * np.float32(2) - x[..., 3:])])
    y, state = net.layers(wide, state)
    return net.head(y), state


def step_model(cell, rounded=lambda matrix: matrix, **layers):
    """A network of layers of a cell, with weights by chance, and what the runtime makes of steps by chance."""
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    part = Recurrent(cell=cell, input_size=D + 2, hidden_size=H, **layers)
    block = Block({"layers": part, "head": Linear(part.proj_size or H, 3)})
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in block.weights()}
    weights = with_rounded(checked(block, weights), rounded)
    x = rng.normal(0, 1, (STEPS, 1, D)).astype(np.float32)
    recorder = Recorder()
    y, _ = forward(recorder.net(block, weights), recorder.number("x", 1, 1, D), CARRIED)
    found, _ = forward(network_of(block, weights), x, None)
    return StepModel(
        recording=recorder.recording(y=y),
        examples=Examples("by chance", {"x": x[:, 0]}, {"y": found[:, 0]}),
        title=f"Layers of {cell.name}.",
        meaning=["x  anything"],
        digest="none",
        page={"kind": "labels", "names": [], "classes": [], "targets": []},
    )


def written(texts, folder):
    """The folder with these files."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder
