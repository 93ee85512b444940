"""What the tests of the algebra and the engine cross with one another: cells, backends, dtypes, sizes.

A new file in `cells/` is tested by existing; a new backend is a row in `BACKENDS`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gatewise import cells
from gatewise.algebra import Cell, cell, exp, log, maximum, minimum, relu, sigmoid, softplus, tanh
from gatewise.engine import aten, native, operators, reference, scan

# Cells as a user may write them. Each is here for one thing that the family's own cells do not do.


@cell(carry="h c n m", pack="i f g o")
def stabilised(x, h_prev, c_prev, n_prev, m_prev, W, U, b):
    """Four carried values, exponential gates, a division."""
    i = W.i @ x + U.i @ h_prev + b.i
    f = W.f @ x + U.f @ h_prev + b.f
    m = maximum(f + m_prev, i)
    i_small = exp(i - m)
    f_small = exp(f + m_prev - m)
    c = f_small * c_prev + i_small * tanh(W.g @ x + U.g @ h_prev + b.g)
    n = f_small * n_prev + i_small
    h = sigmoid(W.o @ x + U.o @ h_prev + b.o) * c / (n + 1)
    return h, c, n, m


@cell(carry="h c", pack="a b")
def every_operation(x, h_prev, c_prev, W, U, v):
    """All that is left: relu, softplus, log, minimum, -, differences of products."""
    a = softplus(W.a @ x - U.a @ h_prev) + 0.5
    b = relu(0.3 - W.b @ x) - minimum(U.b @ h_prev, v.a)
    c = log(a) / a - (-b) * 0.25 + 0.5 * c_prev
    h = tanh(c + v.b)
    return h, c


@cell(carry="h c", pack="n")
def used_twice(x, h_prev, c_prev, W, U, V):
    """One matrix on two vectors, and one product that two expressions read."""
    s = U.n @ h_prev
    c = tanh(W.n @ x + s + V @ c_prev)
    h = tanh(U.n @ c_prev + s * c)
    return h, c


@cell(carry="h c", pack="a b")
def sum_used_twice(x, h_prev, c_prev, W, U, V):
    """A sum of products that is read as it is, and again inside another sum of products."""
    s = W.a @ x + U.a @ h_prev
    z = s + V @ c_prev + W.b @ x
    c = tanh(z) * s
    h = sigmoid(z + U.b @ h_prev) * c
    return h, c


@cell(carry="h", pack="n g")
def named_in_parts(x, h_prev, W, U, b):
    """Names for what is only part of a sum."""
    from_x = W.n @ x
    from_h = U.n @ h_prev + b.n
    n = from_x + from_h
    g = W.g @ x
    shifted = h_prev + b.g
    h = tanh(n) * sigmoid(g + shifted)
    return h


@cell(carry="h", pack="n")
def scaled_input(x, h_prev, W, U, s):
    """The input is used unit by unit: vectors of D values in a program of H."""
    scaled = s * tanh(x) * x
    h = tanh(W.n @ scaled + U.n @ h_prev)
    return h


@cell(carry="h", pack="n d")
def learned_decay(x, h_prev, W, U, p):
    """A value made of weights alone, and a product of weights alone."""
    decay = sigmoid(p.d)
    h = decay * h_prev + tanh(W.n @ x + U.n @ p.n)
    return h


@cell(carry="h c")
def delayed(x, h_prev, c_prev, W):
    """A state that is handed on untouched, and one that is replaced whole."""
    c = W @ x
    return c_prev, c


@cell(carry="h c", pack="n")
def the_same_twice(x, h_prev, c_prev, W, U):
    """One value under two carried names; h_prev is never read."""
    h = tanh(W.n @ x + U.n @ c_prev)
    return h, h


@cell(carry="h", pack="n")
def linear(x, h_prev, W, U, b):
    """No program at all: the state is the accumulator."""
    h = W.n @ x + U.n @ h_prev + b.n
    return h


@cell(carry="h", pack="a b")
def three_stages(x, h_prev, W, U, V, b):
    """Products of products."""
    first = tanh(W.a @ x + U.a @ h_prev + b.a)
    second = V @ (U.b @ first) + W.b @ x
    h = tanh(second + first)
    return h


@cell(carry="h[P] c", pack="i")
def projected_twice(x, h_prev, c_prev, W, U, P, Q):
    """A projection that goes on inside the step, and one back."""
    c = tanh(W.i @ x + U.i @ h_prev) + 0.5 * c_prev
    small = P @ c
    h = tanh(small) + 0.1 * (P @ (Q @ small))
    return h, c


@cell(carry="h c d", pack="f g o")
def triangle(x, h_prev, c_prev, d_prev, W, b):
    """Linear in itself and in what is known without it: c, then d from c before, then h."""
    f = sigmoid(W.f @ x + b.f)
    c = (c_prev - W.g @ x) * f - (-c_prev * 0.25 - 1) / (2 + f)
    d = 0.5 - (d_prev - tanh(c_prev)) * f
    h = sigmoid(W.o @ x + b.o) * tanh(c) + d
    return h, c, d


FAMILY = [cells.find(name) for name in cells.NAMES]
# Crossed with everything. The others take the same paths, for all backends but PyTorch's are general: mixtures do.
STANDARD = [cells.find(name) for name in ("lstm", "lstmp", "gru")]
HOMEMADE = [value for value in list(globals().values()) if isinstance(value, Cell)]
CELLS = [*FAMILY, *HOMEMADE]
NATIVE = [cell for cell in CELLS if native.runs(cell)]


@dataclass(frozen=True)
class Size:
    T: int
    B: int
    D: int
    H: int
    P: int

    def __str__(self) -> str:
        return "-".join(f"{name}{value}" for name, value in vars(self).items())


ONE_UNIT = Size(T=3, B=2, D=1, H=2, P=1)  # two with a projection: P must be below H
ODD = Size(T=4, B=3, D=3, H=7, P=5)
SINGLE_STEP = Size(T=1, B=2, D=4, H=3, P=2)
EMPTY = Size(T=3, B=0, D=4, H=3, P=2)
LARGE = Size(T=20, B=17, D=33, H=70, P=19)
SIZES = [ONE_UNIT, ODD, SINGLE_STEP, EMPTY, LARGE]


@dataclass(frozen=True)
class Inputs:
    """A layer's arguments, and the gradients that arrive at its results."""

    x: Tensor
    state: list[Tensor]
    weights: list[Tensor]
    size: Size

    def to(self, dtype: torch.dtype) -> Inputs:
        return replace(
            self,
            x=self.x.to(dtype),
            state=[s.to(dtype) for s in self.state],
            weights=[w.to(dtype) for w in self.weights],
        )


def generator(*seed: object) -> torch.Generator:
    """Random numbers that depend on what they are for, and on nothing else."""
    return torch.Generator().manual_seed(zlib.crc32(repr(seed).encode()))


def draw(cell: Cell, size: Size, dtype: torch.dtype = torch.float64) -> Inputs:
    """Inputs of a layer, in the range that a trained one sees."""
    random = generator(cell.name, str(size))

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(shape, generator=random, dtype=torch.float64)).to(dtype)

    hidden = cell.heads * (1 if size is ONE_UNIT and not cell.projected else -(-size.H // cell.heads))
    numbers = cell.sizes(size.D, hidden, size.P)
    return Inputs(
        x=normal(size.T, size.B, size.D),
        state=[
            # What is called n is a normaliser, a sum of positive terms.
            values.abs() if name == "n" else values
            for name, letter in zip(cell.carry, cell.carry_sizes, strict=True)
            for values in [normal(size.B, numbers[letter], scale=0.5)]
        ],
        weights=[normal(*p.shape(numbers), scale=0.7 / numbers["H"] ** 0.5) for p in cell.parameters],
        size=size,
    )


def on_diagonal(cell: Cell, block: Any, matrix: Tensor) -> Tensor:
    """1 where this block of a weight has values, which for most is everywhere."""
    ones = torch.ones_like(matrix)
    if not block.diagonal:
        return ones
    rows, columns = (n // cell.heads for n in matrix.shape)
    return torch.block_diag(*[ones[:rows, :columns]] * cell.heads)


def ragged(size: Size) -> Tensor:
    """Lengths of rows: zero and full ones among them, in no order."""
    random = generator("lengths", str(size))
    lengths = torch.randint(0, size.T + 1, (size.B,), generator=random)
    lengths[:2] = torch.tensor([0, size.T])[: size.B]
    return lengths


def restarts(size: Size) -> Tensor:
    """Places where a new sequence begins."""
    return torch.rand(size.T, size.B, generator=generator("resets", str(size))) < 0.3


Results = list[tuple[str, Tensor]]
Run = Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]]


def run_and_differentiate(run: Run, cell: Cell, inputs: Inputs, history: bool = False, **options: Any) -> Results:
    """All outputs of a layer, then dL/d(each input) of a loss that reads every output, by name."""
    x = inputs.x.detach().requires_grad_()
    state = [s.detach().requires_grad_() for s in inputs.state]
    weights = [w.detach().requires_grad_() for w in inputs.weights]
    every, last = run(cell, x, state, weights, history=history, **options)
    every = every if history else every[:1]
    results = [(f"{c}[1..T]", value) for c, value in zip(cell.carry, every, strict=False)]
    results += [(f"{c}[T]", value) for c, value in zip(cell.carry, last, strict=True)]
    arriving = [
        torch.randn(value.shape, generator=generator(name), dtype=torch.float64).to(value.dtype)
        for name, value in results
    ]
    wanted = [x, *state, *weights]
    found = torch.autograd.grad([value for _, value in results], wanted, arriving, allow_unused=True)
    dx, *rest = [torch.zeros_like(w) if f is None else f for w, f in zip(wanted, found, strict=True)]
    dstate, dweights = rest[: len(state)], rest[len(state) :]
    results += [("dL/dx", dx)]
    results += [(f"dL/d{c}[0]", d) for c, d in zip(cell.carry, dstate, strict=True)]
    results += [(f"dL/d{node!r}", d) for node, d in reference.blocks(cell, dweights).items()]
    return [(name, value.detach()) for name, value in results]


def _reference(cell: Cell, x: Tensor, state: Any, weights: Any, history: bool = False, **options: Any) -> Any:
    return reference.recurrence(cell, x, state, weights, **options)


def _aten(cell: Cell, x: Tensor, state: Any, weights: Any, history: bool = False, **options: Any) -> Any:
    options.pop("resets", None)
    y, last = aten.recurrence(cell, x, state, weights, **options)
    return [y], last


def _operator(
    cell: Cell,
    x: Tensor,
    state: Any,
    weights: Any,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    history: bool = False,
) -> Any:
    results = operators.recurrence(cell.key, x, state, weights, lengths, resets, reverse, history, [])
    shown = len(cell.carry) if history else 1
    return results[:shown], results[shown:]


def _scan(cell: Cell, x: Tensor, state: Any, weights: Any, history: bool = False, **options: Any) -> Any:
    return scan.recurrence(cell, x, state, weights, **options)


BACKENDS: dict[str, Run] = {
    "reference": _reference,
    "aten": _aten,
    "scan": _scan,
    "native": native.recurrence,
    "operator": _operator,
}


@dataclass(frozen=True)
class Row:
    cell: Cell
    backend: str
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.cell.name}-{self.backend}-{str(self.dtype).removeprefix('torch.')}"

    def refusal(self, resets: Tensor | None = None, history: bool = False, **_: Any) -> str:
        """Why this backend cannot run this, or ""."""
        if self.backend == "native" and self.cell not in NATIVE:
            return "the native engine has no matrix memories"
        if "M" in self.cell.carry_sizes and self.dtype == torch.bfloat16:
            return "a division by what may be near zero multiplies bfloat16's errors without bound"
        if self.backend == "native" and self.dtype not in (torch.float32, torch.bfloat16):
            return "the native engine takes float32 and bfloat16"
        if self.backend == "aten" and not aten.fits(self.cell, resets, history):
            return "PyTorch has no layer that does this"
        if self.backend == "scan" and not scan.fits(self.cell):
            return "it is not linear in what it carries"
        return ""

    def run(self, inputs: Inputs, **options: Any) -> Results:
        return run_and_differentiate(BACKENDS[self.backend], self.cell, inputs, **options)


def rows() -> Iterator[Row]:
    for each in CELLS:
        for backend in BACKENDS:
            for dtype in (torch.float64, torch.float32, torch.bfloat16):
                row = Row(each, backend, dtype)
                pointless = backend == "reference" and dtype == torch.float64  # itself
                if each not in STANDARD and backend != "scan":
                    pointless = backend == "reference" or dtype != torch.float32
                if not row.refusal() and not pointless:
                    yield row


ROWS = list(rows())


def authority(cell: Cell, inputs: Inputs, **options: Any) -> Results:
    """The same by the reference loop in float64."""
    return run_and_differentiate(_reference, cell, inputs.to(torch.float64), **options)


def tolerance(dtype: torch.dtype, steps: int) -> float:
    """Largest error allowed, relative to the largest value of a tensor: rounding adds up over the steps."""
    return 16 * torch.finfo(dtype).eps * (2 + steps) ** 0.5


def assert_close(got: Tensor, want: Tensor, atol: float, label: str) -> None:
    """Equal within `atol` times the largest value, and finite."""
    assert got.shape == want.shape, f"{label}: shape {tuple(got.shape)} instead of {tuple(want.shape)}"
    if got.numel() == 0:
        return
    assert torch.isfinite(got).all(), f"{label} is not finite"
    scale = max(1.0, want.abs().max().item())
    error = (got.to(want.dtype) - want).abs().max().item() / scale
    assert error <= atol, f"{label}: relative error {error:.2e}, allowed {atol:.2e}"


def assert_all_close(got: Results, want: Results, atol: float) -> None:
    assert [name for name, _ in got] == [name for name, _ in want]
    for (name, value), (_, wanted) in zip(got, want, strict=True):
        assert_close(value, wanted, atol, name)
