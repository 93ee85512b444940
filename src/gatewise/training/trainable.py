"""What the training loop asks of a model and of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Trainable(Protocol):
    """A `torch.nn.Module` that knows its loss.

    Attributes:
        carried: Tensors that pass from one training step to the next (truncated back-propagation), without a
            gradient; an empty list if nothing does. The loop reads it for checkpoints and around validations, and
            assigns what it read before. A property with a setter will do.
    """

    carried: list[Tensor]

    def training_loss(self, batch: Any) -> Tensor:
        """Mean loss of the batch per target, in nats: a scalar with a gradient."""
        ...

    def validation_sums(self, batch: Any) -> tuple[Tensor, int]:
        """Summed loss of the batch in nats (a scalar), and how many targets it sums over."""
        ...

    def begin(self, split: str) -> None:
        """A pass over "train" or "validation" starts: forget the carried state."""
        ...

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The optimiser's groups, `{"params": [...], "weight_decay": ...}`; biases usually get no decay."""
        ...


class Batches(Protocol):
    """Batches by number, so that the step alone decides what is learned from.

    Training step s takes `at(s)`, pass number s // len, index s % len within it; a shuffle is seeded by the pass.
    Validation takes `at(0)` to `at(len - 1)`. `at` must not draw from torch's global generator, and may be asked
    for a batch one step early.
    """

    def __len__(self) -> int:
        """Batches per pass, at least 1."""
        ...

    def at(self, step: int) -> Any:
        """The batch of this step: tensors, or tuples, lists, dicts or dataclasses of them."""
        ...
