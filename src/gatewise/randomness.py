"""Random numbers of a training run: from generators of its own, so that runs in several threads do not mix.

PyTorch has one generator for a whole process, and two threads that draw from it take numbers from one another. Here a
run has its own, and inside `drawing` whatever this thread draws comes from them: layers and networks ask `generator`
for it. Outside of a run that is None, PyTorch's own, so that `torch.manual_seed` decides, as for layers of torch.nn.

A run draws the numbers that PyTorch's generator would give after `torch.manual_seed(seed)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .ranks import of_rows

T = TypeVar("T")


class Generators:
    """The generators of a run, one for each kind of device, all begun with one seed."""

    def __init__(self, seed: int):
        self._seed = seed
        self._made: dict[str, torch.Generator] = {}
        self.at("cpu")

    def at(self, device: torch.device | str) -> torch.Generator:
        kind = torch.device(device).type
        if kind not in self._made:
            self._made[kind] = torch.Generator(kind).manual_seed(self._seed)
        return self._made[kind]

    def states(self) -> dict[str, Tensor]:
        """By kind of device, as uint8."""
        return {kind: made.get_state() for kind, made in self._made.items()}

    def restore(self, states: Mapping[str, Tensor]) -> None:
        """Go on from these states; that of a device which is not there is ignored.

        Raises:
            KeyError, TypeError, RuntimeError: They are no states.
        """
        self.at("cpu").set_state(states["cpu"])
        if "cuda" in states and torch.cuda.is_available():
            self.at("cuda").set_state(states["cuda"])


_current: ContextVar[Generators | None] = ContextVar("generators", default=None)  # of this thread


@contextmanager
def drawing(generators: Generators) -> Iterator[None]:
    """Inside, this thread draws from these generators."""
    before = _current.set(generators)
    try:
        yield
    finally:
        _current.reset(before)


def generator(device: torch.device | str = "cpu") -> torch.Generator | None:
    """What to draw from on this device: the run's generator, or None, PyTorch's own, outside of a run."""
    if torch.compiler.is_compiling():  # a graph holds no generator
        return None
    current = _current.get()
    return None if current is None else current.at(device)


def built(seed: int, build: Callable[[], T]) -> T:
    """What `build` makes, its initial weights drawn with this seed: those of torch.nn's own layers too."""
    generators = Generators(seed)
    with drawing(generators), _Initialising(generators):
        return build()


class _Initialising(TorchFunctionMode):
    """Gives a generator to functions that were called without one, as torch.nn's layers call theirs.

    Only while a network is built: a step of training would pay for every call of PyTorch's.
    """

    def __init__(self, generators: Generators):
        super().__init__()
        self._generators = generators

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "generator" in kwargs and kwargs["generator"] is None:
            kwargs = {**kwargs, "generator": self._generators.at("cpu")}
        return function(*args, **kwargs)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """As `torch.nn.functional.dropout`, which takes no generator; the same bits on a CPU."""
    own = generator(x.device)
    if own is None or not training or rate == 0:
        return nn.functional.dropout(x, rate, training)
    kept = of_rows(lambda shape: _empty(tuple(shape), x).bernoulli_(1 - rate, generator=own), x.shape)
    return x * kept.div_(1 - rate)


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """As `torch.empty_like`, of another shape: its numbers lie in memory, where they are drawn in order, as those of
    `like` do."""
    if shape == like.shape:
        return torch.empty_like(like)
    strides = like.stride()
    order = sorted(range(like.dim()), key=lambda axis: -strides[axis])
    lying = like.new_empty([shape[axis] for axis in order])
    return lying.permute([order.index(axis) for axis in range(like.dim())])


class Dropout(nn.Dropout):
    """As `torch.nn.Dropout`, from the generator of the run."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)
