"""Which engine is fastest on a GPU, for which cell and size?

python -m benchmarks.gpu: compares the results of all engines, then times them, forward alone and with the backward
pass. Without a CUDA GPU it says so and measures nothing.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gatewise import cells
from gatewise.algebra import Cell
from gatewise.engine import backends

from .record import write

SHAPES = {  # B, T, D = H
    "32 x 100, H = 64": (32, 100, 64),
    "32 x 100, H = 128": (32, 100, 128),
    "256 x 100, H = 64": (256, 100, 64),
    "32 x 100, H = 512": (32, 100, 512),
}
CELLS = ("lstm", "gru", "peephole", "layer_norm_lstm", "slstm", "mingru")
ENGINES = ("aten", "scan", "triton", "compiled", "reference")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CLOSE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float64: 1e-9}  # of the largest value
ROUNDS, WARM = 20, 3


def inputs(cell: Cell, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    """x, state and weights as a trained layer has them, the same for every engine."""
    B, T, H = shape
    sizes, random = cell.sizes(H, H, H // 2), torch.Generator().manual_seed(1)

    def normal(*size: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(size, generator=random)).to(device, dtype).requires_grad_()

    state = [torch.zeros(B, sizes[letter], dtype=dtype, device=device) for letter in cell.carry_sizes]
    weights = [normal(*parameter.shape(sizes), scale=0.7 / H**0.5) for parameter in cell.parameters]
    return normal(T, B, H), state, weights


def call(engine: str, cell: Cell, arguments: tuple[Any, ...], training: bool) -> list[Tensor]:
    """The output, and with `training` the gradients of the input and of all weights."""
    x, state, weights = arguments
    with torch.set_grad_enabled(training):
        y = backends.BACKENDS[engine].run(cell, x, state, weights, None, None, False, False, [])[0]
    return [y, *torch.autograd.grad(y.float().square().mean(), [x, *weights])] if training else [y]


def refusal(engine: str, cell: Cell, arguments: tuple[Any, ...]) -> str:
    x, state, weights = arguments
    return backends.BACKENDS[engine].refusal(cell, x, state, weights, None, False)


def milliseconds(work: Callable[[], Any], device: torch.device, rounds: int) -> dict[str, float]:
    """Median, least and most of the rounds, from an idle device to an idle device."""
    times = []
    for number in range(WARM + rounds):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        if number >= WARM:
            times.append(1e3 * (time.perf_counter() - start))
    return {"median": statistics.median(times), "least": min(times), "most": max(times)}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    name: str,
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    device: torch.device,
    engines: tuple[str, ...] = ENGINES,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Of each engine its times, forward and training, or why there are none."""
    cell, found = cells.find(name), {}
    arguments = inputs(cell, shape, dtype, device)
    torch.compiler.reset()  # each shape is compiled for itself
    want = call("reference", cell, arguments, training=True)
    for engine in engines:
        reason = refusal(engine, cell, arguments)
        if not reason:
            got = call(engine, cell, arguments, training=True)
            error = max(_error(g, w) for g, w in zip(got, want, strict=True))
            reason = "" if error <= CLOSE[dtype] else f"differs by {error:.1e}"
        if reason:
            found[engine] = {"not measured": reason}
            continue
        work = {"forward": False, "training": True}
        found[engine] = {
            kind: milliseconds(lambda t=training, e=engine: call(e, cell, arguments, t), device, rounds)
            for kind, training in work.items()
        }
    return found


def _error(got: Tensor, want: Tensor) -> float:
    scale = max(want.abs().max().item(), 1e-30)
    return (got.double() - want.double()).abs().max().item() / scale


def main() -> None:
    if not torch.cuda.is_available():
        print("there is no CUDA GPU here: nothing was measured")
        return
    device = torch.device("cuda", 0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is float32 for all
    answer: dict[str, Any] = {"gpu": torch.cuda.get_device_name(device), "milliseconds": {}}
    for name in CELLS:
        for label, shape in SHAPES.items():
            for kind, dtype in DTYPES.items():
                row = f"{name}, {label}, {kind}"
                answer["milliseconds"][row] = found = measure(name, shape, dtype, device)
                best = {e: f"{t['training']['median']:.2f}" for e, t in found.items() if "training" in t}
                print(f"{row}: training {best}", file=sys.stderr, flush=True)
                write("gpu", __doc__.partition("\n")[0], answer)  # what is measured is kept


if __name__ == "__main__":
    main()
