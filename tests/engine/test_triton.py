"""The emitted Triton kernels against the reference loop, in Triton's interpreter, which runs them on numpy.

In float64, so that what differs is what a kernel computes, not how it rounds. What an interpreter cannot show, whether
the kernels compile for a GPU and fit on it, `test_triton_compiled.py` does; `test_gpu.py` needs one.

A kernel's text is kept in `golden/`. After a change that is meant, write it anew and review the difference:

    GATEWISE_WRITE_GOLDEN=1 python -m pytest tests/engine/test_triton.py
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from table import (
    CELLS,
    EMPTY,
    FAMILY,
    LARGE,
    ODD,
    ONE_UNIT,
    SINGLE_STEP,
    STANDARD,
    assert_all_close,
    assert_close,
    authority,
    draw,
    generator,
    ragged,
    restarts,
    run_and_differentiate,
    tolerance,
)

from gatewise import cells, engine
from gatewise.algebra import Cell, cell, sigmoid, tanh
from gatewise.algebra.expression import MAPS, OPERATIONS
from gatewise.algebra.regularise import drop_output, zone_out
from gatewise.engine import backends, compiled, reference
from gatewise.engine import triton as ours
from gatewise.engine.triton import emit, launch
from gatewise.engine.triton.plan import backward_plan, forward_plan
from gatewise.errors import OptionError
from gatewise.nn import LSTM

triton = pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")
if not triton.knobs.runtime.interpret:
    pytest.skip("Triton compiles here; test_gpu.py runs its kernels", allow_module_level=True)

# Units that only fill a tile up may divide by zero: what comes of it is never used.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")

OPTIONS = {
    "plain": lambda size: {},
    "ragged": lambda size: {"lengths": ragged(size)},
    "all": lambda size: {"reverse": True, "lengths": ragged(size), "resets": restarts(size), "history": True},
    "all-forward": lambda size: {"lengths": ragged(size), "resets": restarts(size), "history": True},
}
ways = pytest.mark.parametrize("on_chip", [True, False], ids=["one-launch", "step-by-step"])


def run(on_chip):
    def recurrence(cell, x, state, weights, **options):
        return ours.recurrence(cell, x, state, weights, on_chip=on_chip, **options)

    return recurrence


def same(cell, size, on_chip, dtype=torch.float64, **options):
    inputs = draw(cell, size, dtype)
    got = run_and_differentiate(run(on_chip), cell, inputs, **options)
    assert_all_close(got, authority(cell, inputs, **options), tolerance(dtype, size.T))


@ways
@pytest.mark.parametrize("option", ["plain", "all", "all-forward"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_outputs_and_gradients_match_the_reference(cell, option, on_chip):
    if cell not in FAMILY and option == "plain":
        pytest.skip("cells of one's own are crossed with all options at once")
    same(cell, ODD, on_chip, **OPTIONS[option](ODD))


@ways
@pytest.mark.parametrize("size", [ONE_UNIT, SINGLE_STEP, EMPTY, replace(LARGE, T=3)], ids=str)
@pytest.mark.parametrize("cell", STANDARD, ids=lambda c: c.name)
def test_sizes(cell, size, on_chip):
    """One unit; one step; no rows; more rows than a program has, and units beyond a power of two."""
    same(cell, size, on_chip, **OPTIONS["ragged"](size))


@ways
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
@pytest.mark.parametrize("cell", STANDARD, ids=lambda c: c.name)
def test_lower_precisions(cell, dtype, on_chip):
    same(cell, ODD, on_chip, dtype, **OPTIONS["all"](ODD))


@ways
def test_what_is_drawn_at_random_is_an_input(on_chip):
    lstm = cells.find("lstm")
    regularised = zone_out(drop_output(lstm), (True, True))
    random = generator("masks")
    extras = [torch.rand(ODD.T, ODD.B, ODD.H, generator=random, dtype=torch.float64).round() for _ in range(3)]
    inputs = draw(lstm, ODD)
    got = run_and_differentiate(run(on_chip), regularised, inputs, extras=extras)
    assert_all_close(got, authority(regularised, inputs, extras=extras), 1e-13)


@ways
def test_nothing_in_the_padding_reaches_a_result(on_chip):
    inputs, lengths = draw(cells.find("peephole"), ODD), ragged(ODD)
    padded = torch.arange(ODD.T)[:, None] >= lengths
    spoilt = replace(inputs, x=torch.where(padded[:, :, None], torch.nan, inputs.x))
    lstm = cells.find("peephole")
    clean = run_and_differentiate(run(on_chip), lstm, inputs, lengths=lengths)
    assert_all_close(run_and_differentiate(run(on_chip), lstm, spoilt, lengths=lengths), clean, 0.0)


@ways
def test_a_sequence_may_be_cut_in_two(on_chip):
    lstm = cells.find("lstm")
    inputs = draw(lstm, replace(ODD, T=6, B=19), torch.float32)
    x, state, weights = inputs.x, inputs.state, inputs.weights
    [y], last = ours.recurrence(lstm, x, state, weights, on_chip=on_chip)
    [first], between = ours.recurrence(lstm, x[:2], state, weights, on_chip=on_chip)
    [second], end = ours.recurrence(lstm, x[2:], between, weights, on_chip=on_chip)
    assert_close(torch.cat([first, second]), y, 1e-6, "two calls")
    assert_close(end[1], last[1], 1e-6, "their state")


def test_second_derivatives_are_the_reference_loop_s():
    lstm = cells.find("peephole")
    inputs = draw(lstm, replace(ODD, T=2, B=2, D=2, H=2))

    def outputs(x, *rest):
        [y], last = ours.recurrence(lstm, x, rest[:2], rest[2:])
        return y, *last

    leaves = [t.requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]
    assert torch.autograd.gradgradcheck(outputs, leaves, fast_mode=True)


def test_one_tensor_may_come_twice():
    lstm = cells.find("lstm")
    inputs = draw(lstm, ODD)
    found = []
    for backend in (ours, reference):
        h = inputs.state[0].clone().requires_grad_()
        every, _ = backend.recurrence(lstm, inputs.x, [h, h], inputs.weights)
        every[0].sum().backward()
        found.append(h.grad)
    assert_close(found[0], found[1], 1e-13, "dL/dh")


# A kernel has names of its own: T, tl, at, row, sigmoid, h_next, U_i_on.
@cell(carry="row T", pack="at tl")
def awkward_names(x, row_prev, T_prev, sigmoid_, range_, U_at_on):
    at = sigmoid(sigmoid_.at @ x + range_.at @ row_prev)
    tl = tanh(sigmoid_.tl @ x + range_.tl @ row_prev + U_at_on)
    t = at * tl
    inside = T_prev * at + t
    return tanh(inside), inside


@ways
def test_a_cell_may_use_the_names_that_a_kernel_has(on_chip):
    same(awkward_names, ODD, on_chip, **OPTIONS["all"](ODD))


def test_a_strangers_labels_are_no_program():
    """The cell of a model file may be called anything."""
    document = cells.find("lstm").to_json() | {"name": "f():\n    raise SystemExit\ndef g"}
    strange = Cell.from_json(document)
    same(strange, ODD, True)
    assert [emit.identifier(label) for label in ("U.i", "2 é")] == ["U_i", "_2__"]


def test_large_layers_run_step_by_step():
    """By the shared memory that a program of a GPU has."""

    def stays(name, hidden, dtype):
        layer = launch.Layer(
            *(cells.find(name), 5, 4, cells.find(name).sizes(8, hidden), dtype, torch.device("cpu"), False, ()),
            inside=None,
            fresh=None,
        )
        return launch.stays_on_chip(layer)

    assert stays("lstm", 64, torch.float32)
    assert not stays("lstm", 128, torch.float32)  # four matrices of 64 kB
    assert stays("lstm", 128, torch.bfloat16)
    assert not stays("lstm", 256, torch.bfloat16)
    assert not stays("mlstm", 128, torch.bfloat16)  # matrices in the state


def test_every_operation_has_its_text():
    assert set(emit.TEXT) == {*OPERATIONS, *MAPS, "fma"}


def test_the_text_of_a_kernel_is_golden():
    plans = {"forward": forward_plan, "backward": backward_plan}
    text = "\n".join(
        emit.recurrence_text(plan(cells.find("peephole")), f"peephole_{name}") for name, plan in plans.items()
    )
    path = Path(__file__).parent / "golden" / "peephole_triton.txt"
    if os.environ.get("GATEWISE_WRITE_GOLDEN"):
        path.write_text(text)
    rewrite = "GATEWISE_WRITE_GOLDEN=1 python -m pytest tests/engine/test_triton.py"
    assert text == path.read_text(), f"the kernels changed. If that is meant, run: {rewrite}"


# The switch.


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # the compiler's
@pytest.mark.parametrize("name", ["triton", "compiled", "reference"])
def test_the_engine_that_is_named_makes_single_steps(name, monkeypatch):
    monkeypatch.setattr(compiled, "_compile", lambda f, **options: torch.compile(f, backend="eager", **options))
    compiled._function.cache_clear()
    lstm = cells.find("lstm")
    inputs = draw(lstm, ODD)
    want = reference.step(lstm, inputs.x[0], inputs.state, inputs.weights)
    monkeypatch.setattr(backends, "chosen", name)
    for got, wanted in zip(engine.step(lstm, inputs.x[0], inputs.state, inputs.weights), want, strict=True):
        assert_close(got, wanted, 1e-13, name)
    compiled._function.cache_clear()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own
def test_torch_func_passes_by_the_engine_that_is_named(monkeypatch):
    lstm = cells.find("lstm")
    inputs = draw(lstm, ODD)

    def output(x):
        return engine.recurrence(lstm, x, inputs.state, inputs.weights)[0][0]

    want = torch.func.jvp(output, (inputs.x,), (inputs.x,))
    monkeypatch.setattr(backends, "chosen", "triton")
    for got, wanted in zip(torch.func.jvp(output, (inputs.x,), (inputs.x,)), want, strict=True):
        assert_close(got, wanted, 1e-13, "jvp")


def test_the_engine_that_is_named_runs_layers(monkeypatch):
    torch.manual_seed(1)
    layer = LSTM(3, 5, num_layers=2, bidirectional=True)
    x, lengths = torch.randn(4, 3, 3), torch.tensor([2, 4, 0])
    want, (h, c) = layer(x, lengths=lengths)
    calls = []
    one = ours.launch.run
    monkeypatch.setattr(ours.launch, "run", lambda *arguments: (calls.append(1), one(*arguments)))
    for named in ("triton", "reference", "aten"):
        monkeypatch.setattr(backends, "chosen", named)
        got, (h_got, c_got) = layer(x, lengths=lengths)
        for name, a, b in (("y", got, want), ("h", h_got, h), ("c", c_got, c)):
            assert_close(a, b, 1e-6, f"{named}: {name}")
    assert len(calls) == 4  # two layers, two directions


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # the compiler's
def test_the_compiled_reference(monkeypatch):
    """By the compiler that only records and differentiates; what inductor makes of it is PyTorch's."""
    torch._dynamo.reset()
    monkeypatch.setattr(compiled, "_compile", lambda f, **options: torch.compile(f, backend="aot_eager", **options))
    compiled._function.cache_clear()
    for name in ("lstm", "mlstm"):
        inputs = draw(cells.find(name), ODD)
        options = OPTIONS["all-forward"](ODD)
        options.pop("history")

        def recurrence(cell, x, state, weights, history=False, **options):
            return compiled.recurrence(cell, x, state, weights, **options)

        got = run_and_differentiate(recurrence, cells.find(name), inputs, **options)
        assert_all_close(got, authority(cells.find(name), inputs, **options), 1e-13)
    compiled._function.cache_clear()
    torch._dynamo.reset()


def test_a_compiler_that_fails_is_an_error_of_one_line(monkeypatch):
    """As PyTorch's does where there is none for C++."""

    def backend(graph, inputs):
        raise FileNotFoundError("no C++ compiler")

    torch._dynamo.reset()
    monkeypatch.setattr(compiled, "_compile", lambda f, **options: torch.compile(f, backend=backend, **options))
    compiled._function.cache_clear()
    inputs = draw(cells.find("lstm"), ODD)
    with pytest.raises(OptionError, match=r"cannot compile cell 'lstm' here: .*no C\+\+ compiler\. Unset it"):
        compiled.recurrence(cells.find("lstm"), inputs.x, inputs.state, inputs.weights)
    compiled._function.cache_clear()
    torch._dynamo.reset()


def test_an_engine_that_cannot_run_a_layer_is_an_error(monkeypatch):
    monkeypatch.setattr(backends, "chosen", "scan")
    with pytest.raises(OptionError, match="GATEWISE_ENGINE=scan cannot run cell 'lstm' here: the cell is not linear"):
        LSTM(3, 5)
    lstm = cells.find("lstm")
    inputs = draw(lstm, ODD)
    monkeypatch.setattr(backends, "chosen", "aten")
    with pytest.raises(OptionError, match="GATEWISE_ENGINE=aten cannot run cell 'lstm' here: PyTorch has no layer"):
        engine.recurrence(lstm, inputs.x, inputs.state, inputs.weights, resets=restarts(ODD))


def test_kernels_that_could_run_nowhere_are_refused_before_a_training_writes_anything(monkeypatch):
    monkeypatch.setattr(backends, "chosen", "triton")
    monkeypatch.setattr(ours, "_interprets", lambda: False)
    with pytest.raises(OptionError, match=r"on a CUDA GPU, or with TRITON_INTERPRET=1 .*, and here is neither"):
        LSTM(3, 5)


def test_so_is_compiling_without_a_compiler(monkeypatch):
    monkeypatch.setattr(backends, "chosen", "compiled")
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "/no/compiler")}),
        pytest.raises(OptionError, match=r"torch.compile found no C\+\+ compiler"),
    ):
        LSTM(3, 5)


def test_an_unknown_engine_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "gatewise", "bench", "--quick"],
        capture_output=True,
        text=True,
        env={**os.environ, "GATEWISE_ENGINE": "tritn"},
    )
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    names = "auto, native, aten, chunkwise, scan, triton, compiled, reference"
    assert line == f"gatewise: no engine named 'tritn'. GATEWISE_ENGINE may be {names}"
