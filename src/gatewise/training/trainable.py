"""What the training loop needs from a model and from its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor


class Trainable(Protocol):
    """A `torch.nn.Module` that computes its loss.

    Attributes:
        carried: Tensors that pass from one training step to the next (truncated back-propagation), without a
            gradient, the rows of the batch on axis 1; an empty list if none do. The loop reads it for checkpoints and
            before validations, and assigns what it read afterwards. A property with a setter works too.
    """

    carried: list[Tensor]

    def training_loss(self, batch: Any) -> Tensor:
        """Mean loss of the batch per target, in nats: a scalar with a gradient. What it draws at random comes from
        `randomness.generator`, which a checkpoint restores; if several processes train, for each row of the batch by
        `ranks.of_rows`. Its means are sums over `ranks.total` of what they are sums of."""
        ...

    def validation_sums(self, batch: Any) -> tuple[Tensor, int]:
        """Summed loss of the batch in nats (a scalar), and how many targets it sums over."""
        ...

    def begin(self, split: str) -> None:
        """An epoch of "train" or "validation" begins: reset the carried state."""
        ...

    def work(self, batch: Any) -> Sequence[float]:
        """How much there is to compute for each row of a batch, its steps for example; empty of a batch that has no
        rows of its own: all processes compute it together. Asked only if several processes train."""
        ...

    def rows(self, batch: Any, places: Tensor) -> Any:
        """These rows of a batch, padded as they are."""
        ...

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The optimiser's groups, `{"params": [...], "weight_decay": ...}`; biases should get no decay."""
        ...


class Batches(Protocol):
    """Batches by index, so that the step alone determines the batch.

    Training step s uses `at(s)`: epoch s // len, index s % len within it; shuffling is seeded by the epoch. Validation
    uses `at(0)` to `at(len - 1)`. `at` must not draw from the generators of the run, and may be called one step early.
    """

    def __len__(self) -> int:
        """Batches per epoch, at least 1."""
        ...

    def at(self, step: int) -> Any:
        """The batch of this step: tensors, or tuples, lists, dicts or dataclasses of them."""
        ...


@runtime_checkable
class Divisible(Batches, Protocol):
    """Batches whose rows are as much work as one another, and some of which can be made without the rest: a process of
    several then reads its own rows alone."""

    def count(self, step: int) -> int:
        """Rows of the batch of this step."""
        ...

    def at(self, step: int, rows: Sequence[int] | None = None) -> Any:
        """These rows of the batch, all if omitted."""
        ...
