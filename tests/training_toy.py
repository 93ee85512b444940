"""A small model with everything that makes resuming hard: dropout, carried state, a tied weight, a buffer."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.randomness import Dropout
from gatewise.ranks import total
from gatewise.training import Outcome, Plan, train

VOCABULARY, WIDTH, BATCH, TIME = 7, 8, 4, 6


class Toy(nn.Module):
    """Next-token model whose state passes from step to step.

    Args:
        on_training, on_validation: Called with the number of the call, so that a test can interrupt or break there.
    """

    def __init__(
        self,
        on_training: Callable[[int, Toy], None] | None = None,
        on_validation: Callable[[int, Toy], None] | None = None,
        width: int = WIDTH,
    ):
        super().__init__()
        torch.manual_seed(5)
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.layer = nn.LSTM(width, width)
        self.dropout = Dropout(0.3)
        self.head = nn.Linear(width, VOCABULARY)
        self.head.weight = self.embedding.weight
        self.register_buffer("seen", torch.zeros(1))
        self.carried: list[Tensor] = []
        self.begun: list[str] = []
        self.calls = 0
        self._on_training, self._on_validation = on_training, on_validation

    def begin(self, split: str) -> None:
        self.begun.append(split)
        self.carried = []

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        matrices = [p for p in self.parameters() if p.ndim > 1]
        vectors = [p for p in self.parameters() if p.ndim < 2]
        return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]

    def training_loss(self, batch: Tensor) -> Tensor:
        assert self.training
        self.calls += 1
        if self._on_training:
            self._on_training(self.calls, self)
        self.seen += 1
        return self._loss(batch) / total(TIME * batch.shape[1])

    def validation_sums(self, batch: Tensor) -> tuple[Tensor, int]:
        assert not self.training
        assert not torch.is_grad_enabled()
        # What a module keeps from here (packed weights, say) must still do for training.
        assert not torch.is_inference_mode_enabled()
        if self._on_validation:
            self._on_validation(self.calls, self)
        return self._loss(batch), TIME * batch.shape[1]

    def work(self, batch: Tensor) -> list[float]:
        return [TIME] * batch.shape[1]

    def rows(self, batch: Tensor, places: Tensor) -> Tensor:
        return batch[:, places]

    def _loss(self, batch: Tensor) -> Tensor:
        state = (self.carried[0], self.carried[1]) if self.carried else None
        y, state = self.layer(self.dropout(self.embedding(batch[:-1])), state)
        self.carried = [part.detach() for part in state]
        return nn.functional.cross_entropy(self.head(y).reshape(-1, VOCABULARY), batch[1:].reshape(-1), reduction="sum")


class Tokens:
    """Random batches, each decided by its step."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def at(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 10_000 + step)
        start = torch.randint(VOCABULARY, (1, BATCH), generator=generator)
        noise = torch.randint(2, (TIME + 1, BATCH), generator=generator)
        return (start + torch.arange(TIME + 1)[:, None] + noise) % VOCABULARY


class Workshop:
    """A folder to train in, with small data and a small plan."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.checkpoint = folder / "run.checkpoint"
        self.metrics = folder / "run.jsonl"
        self.training, self.validation = Tokens(9, seed=1), Tokens(3, seed=2)

    def plan(self, **changes: Any) -> Plan:
        usual: dict[str, Any] = {"steps": 26, "evaluate_every": 6, "learning_rate": 0.02, "warmup": 4, "seed": 3}
        return Plan(**{**usual, **changes})

    def train(self, module: nn.Module, plan: Plan | None = None, **options: Any) -> Outcome:
        usual: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "history": self.metrics,
            "identity": {"task": "toy", "data": {"sha": "abc"}},
        }
        return train(module, self.training, self.validation, plan or self.plan(), **{**usual, **options})

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.metrics.read_text().splitlines()]


def interrupt(*_: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def at_call(*numbers: int, run: Callable[[], Any] = interrupt) -> Callable[[int, Toy], None]:
    """For `Toy`: do something in these training calls, Ctrl-C if nothing else is said."""
    return lambda call, toy: run() if call in numbers else None
