"""How the network of `generate` for numbers is trained."""

from __future__ import annotations

from torch import Tensor, nn

from ....ranks import total
from ....runtime.network import Block
from ..architecture import Regularisation
from ..network import SequenceModel
from .examples import Batch
from .mixture import Layout, summed_loss

_AXES = (1, 1, 0, 2, 1, 0)  # of the sequences in each array of a `Batch`


class TrajectoryModel(SequenceModel):
    """Predicts the next step from all before it. T steps, B sequences.

    Args:
        block: See `numbers_architecture`.
        regularisation: See `SequenceModel`.
        layout: Of its output.
        log_scale: Added to the loss of each step, so that it is of the values before scaling.

    Shape:
        inputs: (T, B, features), see `Examples`.
        state: As a `Recurrent` returns it; zeros if omitted.
        returns: (T, B, layout.size), and the last state.
    """

    def __init__(self, block: Block, regularisation: Regularisation, *, layout: Layout, log_scale: float):
        super().__init__(block, regularisation)
        self.layout, self.log_scale = layout, log_scale
        nn.init.normal_(self.output.bias[tuple(layout.parts)[1]])  # means apart, or all Gaussians would learn the same
        nn.init.zeros_(self.output.weight[tuple(layout.parts)[5]])  # ends as lengths tell

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        y, _ = self.layers(batch.inputs, lengths=batch.lengths)
        dropped = self.dropout(y)
        nats, count = self._nats(self.output(dropped), batch)
        return self.penalised(nats / max(1, total(count)), y, dropped)

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        """Long sequences come piece after piece: the state is that of the batch before, unless this one is fresh."""
        output, state = self(batch.inputs, None if batch.fresh else self.carried_state(), batch.lengths)
        self.carry(state)
        return self._nats(output, batch)

    def work(self, batch: Batch) -> list[float]:
        found: list[float] = batch.work.tolist()
        return found

    def rows(self, batch: Batch, places: Tensor) -> Batch:
        own = [array.index_select(axis, places.to(array.device)) for array, axis in zip(batch, _AXES, strict=False)]
        return Batch._make([*own, batch.fresh])

    def _nats(self, output: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Summed loss of all that is predicted, and how much that is."""
        nats, count = summed_loss(self.ops, output.float(), self.layout, batch, self.log_scale)
        return nats, int(count)
