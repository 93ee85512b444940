"""Thousands of random calls against the reference loop in float64: any sizes, options, strides, needs, threads.

A failing case names its number; `python -c "import test_fuzz; test_fuzz.attempt(NUMBER)"` runs it again.
"""

import os
import random
from dataclasses import dataclass, field

import pytest
import torch
from native_kit import DIVISIONS, threads
from table import NATIVE, Size, assert_close, tolerance

from gatewise import engine
from gatewise.engine import native, reference

BLOCK = 30  # cases per test
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.float32, torch.float64)


@dataclass
class Case:
    """What one number stands for."""

    number: int
    dtype: torch.dtype = torch.float32
    largest: int = 90
    longest: int = 24
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        self.random = random.Random(f"{self.number} {self.dtype}")
        self.torch = torch.Generator().manual_seed(self.random.getrandbits(60))
        self.cell = self.random.choice(NATIVE)
        T, B = self.small(1, self.longest), self.small(0, 40)
        self.size = Size(T, B, *(self.small(1, self.largest) for _ in "DHP"))
        heads = self.cell.heads
        numbers = self.cell.sizes(self.size.D, -(-self.size.H // heads) * heads, self.size.P)
        carried = [self.normal(B, numbers[letter], scale=0.5) for letter in self.cell.carry_sizes]
        if "n" in self.cell.carry:  # a normaliser, by which it divides
            carried = [value.abs() for value in carried]
        weights = [self.normal(*p.shape(numbers), scale=0.7 / numbers["H"] ** 0.5) for p in self.cell.parameters]
        self.x = self.arrange(self.normal(T, B, self.size.D))
        self.state = [self.arrange(value) for value in carried]
        self.weights = [self.arrange(value) for value in weights]
        if self.chance(0.5):
            lengths = torch.randint(0, T + 1, (B,), generator=self.torch).to(self.random.choice(WHOLE))
            self.options["lengths"] = self.arrange(lengths)
        if self.chance(0.4):
            self.options["resets"] = self.arrange(torch.rand(T, B, generator=self.torch) < 0.3)
        self.options["reverse"] = self.chance(0.4)
        self.history = self.chance(0.4)
        shown = (len(self.cell.carry) if self.history else 1) + len(self.cell.carry)
        self.needs = [self.chance(self.random.choice([0, 0.5, 1])) for _ in self.inputs()]
        self.arriving = [self.chance(0.7) for _ in range(shown)]
        self.arriving[self.random.randrange(shown)] = True
        self.gradient_seed = self.random.getrandbits(60)
        self.team = self.random.choice([1, 1, 2]), self.random.choice(list(DIVISIONS))

    def chance(self, p):
        return self.random.random() < p

    def small(self, low, high):
        """From low to high; around multiples of 16 and near the ends more often than elsewhere."""
        usual = [self.random.randint(low, high), self.random.randint(low, min(high, low + 8))]
        special = [n for n in (1, 6, 7, 12, 13, 15, 16, 17, 32, 33, 64, 65) if low <= n <= high]
        return self.random.choice([*usual, self.random.choice(special)])

    def normal(self, *shape, scale=1.0):
        return (scale * torch.randn(shape, generator=self.torch, dtype=torch.float64)).to(self.dtype)

    def arrange(self, tensor):
        """The same values at other places in memory; or the first one of an axis for all of it."""
        way, axis = self.random.choice(["", "", "axes", "inside", "every second", "same"]), -1
        if tensor.dim():
            axis = self.random.randrange(tensor.dim())
        if way == "axes":
            order = self.random.sample(range(tensor.dim()), tensor.dim())
            back = [order.index(a) for a in range(tensor.dim())]
            return tensor.permute(order).contiguous().permute(back)
        if way == "inside":
            around = tensor.new_full([n + 3 for n in tensor.shape], float("nan") if tensor.is_floating_point() else 1)
            view = around[tuple(slice(self.random.randint(0, 3), None) for _ in tensor.shape)]
            view = view[tuple(slice(0, n) for n in tensor.shape)]
            return view.copy_(tensor)
        if way == "every second" and tensor.numel():
            return torch.stack([tensor, ~tensor if tensor.dtype == torch.bool else tensor + 1], axis + 1).flatten(
                axis, axis + 1
            )[(slice(None),) * axis + (slice(None, None, 2),)]
        if way == "same" and tensor.shape[axis]:
            return tensor.narrow(axis, 0, 1).expand_as(tensor)
        return tensor

    def inputs(self):
        return [self.x, *self.state, *self.weights]

    def describe(self):
        flags = {**{k: v if isinstance(v, bool) else v.dtype for k, v in self.options.items()}, "history": self.history}
        strides = [tuple(t.stride()) for t in self.inputs()]
        return (
            f"case {self.number} {self.dtype}: {self.cell.name} {self.size} {flags} needs={self.needs} "
            f"arriving={self.arriving} team={self.team} strides={strides}"
        )


def results(case, run, dtype, nudge=0.0):
    """Outputs, then gradients of what needs one, by name."""
    noise = torch.Generator().manual_seed(7)

    def leaf(tensor, need):
        tensor = tensor.to(dtype) if dtype != tensor.dtype else tensor
        if nudge:
            tensor = tensor * (1 + nudge * torch.randn(tensor.shape, generator=noise, dtype=dtype))
        return tensor.detach().requires_grad_(need)

    leaves = [leaf(tensor, need) for tensor, need in zip(case.inputs(), case.needs, strict=True)]
    carried = 1 + len(case.state)
    every, last = run(case.cell, leaves[0], leaves[1:carried], leaves[carried:], **case.options)
    outputs = [*(every if case.history else every[:1]), *last]
    assert len(outputs) == len(case.arriving)
    found = [(f"output {i}", value.detach()) for i, value in enumerate(outputs)]
    if not any(case.needs):
        return found
    arrange = random.Random(case.gradient_seed)
    drawn = torch.Generator().manual_seed(case.gradient_seed)
    case.random = arrange  # the same strides each time
    gradients = [
        case.arrange(torch.randn(o.shape, generator=drawn, dtype=torch.float64).to(case.dtype)).to(dtype)
        for o in outputs
    ]
    pairs = [p for p, on in zip(zip(outputs, gradients, strict=True), case.arriving, strict=True) if on]
    pairs = [(output, gradient) for output, gradient in pairs if output.requires_grad]
    wanted = [tensor for tensor in leaves if tensor.requires_grad]
    names = ["x", *case.cell.carry, *(p.name for p in case.cell.parameters)]
    names = [name for name, need in zip(names, case.needs, strict=True) if need]
    grads = [None] * len(wanted)
    if pairs:
        grads = torch.autograd.grad([o for o, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
    for name, tensor, grad in zip(names, wanted, grads, strict=True):
        found.append((f"dL/d{name}", torch.zeros_like(tensor) if grad is None else grad))
    return found


def authority(case, nudge=0.0):
    return results(case, lambda *a, **o: reference.recurrence(*a, **o), torch.float64, nudge)


def plain(case):
    return results(case, lambda *a, **o: reference.recurrence(*a, **o), case.dtype)


def attempt(number, run=None, **options):
    """One case; says what is wrong with it."""
    case = Case(number, **options)

    def ours(*arguments, **given):
        return (run or native.recurrence)(*arguments, **given, history=case.history)

    with threads(*case.team):
        got = results(case, ours, case.dtype)
    want = authority(case)
    allowed, near = tolerance(case.dtype, case.size.T), None
    for i, ((name, value), (_, wanted)) in enumerate(zip(got, want, strict=True)):
        try:
            assert value.dtype == case.dtype, f"{name} is {value.dtype}"
            assert_close(value, wanted, allowed, name)
        except AssertionError as error:
            # Some of these cells divide by little, double an error at every step, or bend within rounding of a value:
            # how far does the authority move if its inputs are rounded, and how far off is it in this precision?
            near = near or [authority(case, 4 * torch.finfo(case.dtype).eps), plain(case)]
            moved = max(((other[i][1] - wanted).abs().max() / wanted.abs().max().clamp(1.0)).item() for other in near)
            if not wanted.numel() or not moved < 1e4 * torch.finfo(case.dtype).eps:
                raise AssertionError(f"{error}\n{case.describe()}") from None
            assert_close(value, wanted, allowed + 3 * moved, f"{case.describe()}\n{name}")


@pytest.mark.parametrize("block", range(10))
def test_random_calls(block):
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        attempt(number)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(150))
def test_many_random_calls(block):
    first = int(os.environ.get("GATEWISE_FUZZ", "1000000"))
    for number in range(first + block * BLOCK, first + (block + 1) * BLOCK):
        attempt(number)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("block", range(2))
def test_any_dtype_through_the_engine(dtype, block):
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        attempt(number, engine.recurrence, dtype=dtype, largest=20, longest=6)


def test_a_wrong_result_is_found():
    """That this file can fail: one value of one tensor, off by a little."""

    def slightly_wrong(*arguments, **options):
        every, last = native.recurrence(*arguments, **options)
        return every, [*last[:-1], last[-1] + 1e-4]

    number = next(n for n in range(100) if Case(n).size.B)
    attempt(number)
    with pytest.raises(
        AssertionError, match=rf"case {number} [\s\S]*relative error|relative error[\s\S]*case {number} "
    ):
        attempt(number, slightly_wrong)
