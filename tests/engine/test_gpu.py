"""Every engine that runs on a GPU, on one, against the reference loop in float64 on the CPU. `make gpu` runs these."""

import pytest
import torch
from table import (
    CELLS,
    FAMILY,
    ODD,
    STANDARD,
    assert_all_close,
    authority,
    draw,
    ragged,
    restarts,
    run_and_differentiate,
    tolerance,
)

from gatewise.engine import aten, compiled, reference, scan
from gatewise.engine import triton as ours

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

OPTIONS = {
    "plain": dict,
    "lengths": lambda: {"lengths": ragged(ODD)},
    "all": lambda: {"reverse": True, "lengths": ragged(ODD), "resets": restarts(ODD), "history": True},
}


def triton_as(on_chip):
    def recurrence(cell, x, state, weights, **options):
        return ours.recurrence(cell, x, state, weights, on_chip=on_chip, **options)

    return recurrence


def shown(recurrence):
    """As `run_and_differentiate` calls it, of an engine that shows everything."""

    def run(cell, x, state, weights, history=False, **options):
        return recurrence(cell, x, state, weights, **options)

    return run


def fused(cell, x, state, weights, history=False, resets=None, **options):
    y, last = aten.recurrence(cell, x, state, weights, **options)
    return [y], last


ENGINES = {
    "reference": shown(reference.recurrence),
    "scan": shown(scan.recurrence),
    "compiled": shown(compiled.recurrence),
    "one-launch": triton_as(True),
    "step-by-step": triton_as(False),
    "aten": fused,
}


def rows():
    for cell in CELLS:
        for engine in ENGINES:
            for option in OPTIONS:
                if engine == "aten" and (option == "all" or not aten.fits(cell, None, False)):
                    continue
                if engine == "scan" and not scan.fits(cell):
                    continue
                if engine in ("reference", "compiled") and cell not in FAMILY:
                    continue
                if engine == "one-launch" and "M" in cell.carry_sizes:
                    continue  # its tiles take more than a program has
                yield pytest.param(cell, engine, option, id=f"{cell.name}-{engine}-{option}")


@pytest.mark.parametrize(("cell", "engine", "option"), [*rows()])
def test_float32_matches_the_reference(cell, engine, option):
    """With products in float32, not in TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    check(cell, engine, option, torch.float32)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("engine", ["one-launch", "step-by-step"])
@pytest.mark.parametrize("cell", STANDARD, ids=lambda c: c.name)
def test_bfloat16_matches_the_reference(cell, engine, option):
    check(cell, engine, option, torch.bfloat16)


def check(cell, engine, option, dtype):
    inputs, options = draw(cell, ODD, dtype), OPTIONS[option]()
    on_gpu = type(inputs)(
        inputs.x.cuda(), [s.cuda() for s in inputs.state], [w.cuda() for w in inputs.weights], inputs.size
    )
    moved = {name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    got = [(name, value.cpu()) for name, value in run_and_differentiate(ENGINES[engine], cell, on_gpu, **moved)]
    # Its exp and log are the hardware's: twice the error that CPUs are allowed.
    assert_all_close(got, authority(cell, inputs, **options), 2 * tolerance(dtype, ODD.T))
