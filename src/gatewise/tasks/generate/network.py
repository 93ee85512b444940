"""What the networks of `generate`, of text and of numbers, have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import Tensor, nn

from ...algebra import Cell
from ...nn.regularisation import activation_penalty, temporal_activation_penalty
from ...nn.stack import Stack
from ..network import Network
from .predictor import forward

if TYPE_CHECKING:
    from .options import GenerateOptions


class LayerSizes(Protocol):
    """What `Sizing`, of text or of numbers, says of the layers."""

    @property
    def hidden_size(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def proj_size(self) -> int: ...
    @property
    def dropout(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Regularisation:
    """How the layers are initialised and regularised; see `GenerateOptions`."""

    variational: bool = False
    forget_bias: float = 1.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_dropout: float = 0.0
    activation_penalty: float = 0.0
    temporal_activation_penalty: float = 0.0

    @classmethod
    def of(cls, options: GenerateOptions) -> Self:
        return cls(
            variational=options.variational_dropout,
            forget_bias=float(options.forget_bias),
            recurrent_dropout=float(options.recurrent_dropout),
            zoneout=float(options.zoneout),
            weight_dropout=float(options.weight_dropout),
            activation_penalty=float(options.activation_penalty),
            temporal_activation_penalty=float(options.temporal_activation_penalty),
        )


class SequenceModel(Network):
    """Predicts each step of a sequence from all before it.

    Args:
        cell: The recurrent cell.
        input_size: Features that the layers read at each step.
        output_size: Numbers from which the next step is predicted.
        sizes: Of the layers; and the dropout probability of a value between layers or before the output.
        regularisation: With `variational`, one dropout mask for all steps of a chunk instead of one per step (Gal &
            Ghahramani 2016). `forget_bias` is added to the bias of the forget gate before training, so that the cell
            starts by remembering (Gers et al. 2000, Jozefowicz et al. 2015). The penalties are the weights in the
            training loss of the mean square of the layers' output, and of its change from step to step (Merity et al.
            2017). For the others see `Recurrent`.
        embedding: Makes features of the inputs; if omitted, these are the features.

    Shape:
        inputs: (T, B) ids, or (T, B, input_size).
        state: As a `Recurrent` returns it; zeros if omitted.
        lengths: (B,) steps of each sequence; all of them if omitted.
        returns: (T, B, output_size), and the last state.
    """

    def __init__(
        self,
        *,
        cell: Cell,
        input_size: int,
        output_size: int,
        sizes: LayerSizes,
        regularisation: Regularisation,
        embedding: nn.Module | None = None,
    ):
        super().__init__()
        self.embedding = nn.Identity() if embedding is None else embedding
        self.layers = Stack(
            cell,
            input_size,
            sizes.hidden_size,
            sizes.num_layers,
            proj_size=sizes.proj_size,
            recurrent_dropout=regularisation.recurrent_dropout,
            zoneout=regularisation.zoneout,
            weight_dropout=regularisation.weight_dropout,
        )
        self.layers.rate, self.layers.variational = sizes.dropout, regularisation.variational
        self.layers.open_forget_gates(regularisation.forget_bias)
        self.output = nn.Linear(sizes.proj_size or sizes.hidden_size, output_size)
        nn.init.zeros_(self.output.bias)
        self.activation_penalty = regularisation.activation_penalty
        self.temporal_activation_penalty = regularisation.temporal_activation_penalty

    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        return forward(self, {"inputs": inputs, "lengths": lengths}, state)

    def dropout(self, y: Tensor) -> Tensor:
        """The layers' output, some of it zeroed in training."""
        return self.layers.between_layers(y)

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
