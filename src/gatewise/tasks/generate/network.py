"""How the networks of `generate`, of text and of numbers, are trained."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ...nn.regularisation import activation_penalty, temporal_activation_penalty
from ...runtime.network import Block
from ...runtime.sequence_model import forward
from ..network import Network
from .architecture import Regularisation


class SequenceModel(Network):
    """Predicts each step of a sequence from all before it.

    Args:
        block: See `architecture`.
        regularisation: `forget_bias` is added to the bias of the forget gate before training, so that the cell starts
            by remembering (Gers et al. 2000, Jozefowicz et al. 2015). The penalties are the weights in the training
            loss of the mean square of the layers' output, and of its change from step to step (Merity et al. 2017).

    Shape:
        inputs: (T, B) ids, or (T, B, input_size).
        state: As a `Recurrent` returns it; zeros if omitted.
        lengths: (B,) steps of each sequence; all of them if omitted.
        returns: (T, B, output_size), and the last state.
    """

    def __init__(self, block: Block, regularisation: Regularisation):
        super().__init__(block)
        self.layers.open_forget_gates(regularisation.forget_bias)
        nn.init.zeros_(self.output.bias)
        self.activation_penalty = regularisation.activation_penalty
        self.temporal_activation_penalty = regularisation.temporal_activation_penalty

    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        return forward(self, inputs, state, lengths)

    def penalised(self, loss: Tensor, y: Tensor, dropped: Tensor) -> Tensor:
        """The training loss with the penalties on the layers' output, `dropped` being what dropout left of it."""
        if self.activation_penalty:
            loss = loss + activation_penalty(dropped.float(), self.activation_penalty)
        if self.temporal_activation_penalty:
            loss = loss + temporal_activation_penalty(y.float(), self.temporal_activation_penalty)
        return loss

    def carried_state(self) -> Any:
        """The last state of the batch before, as layers take it; None if there was none."""
        return tuple(self.carried) or None

    def carry(self, state: Any) -> None:
        """Keep a state for the next batch; gradients do not pass."""
        self.carried = [one.detach().float() for one in (state if isinstance(state, tuple) else (state,))]
