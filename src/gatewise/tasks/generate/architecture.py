"""The networks of `generate`, of text and of numbers, as options and sizes say. See `runtime.sequence_model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from ...algebra import Cell
from ...runtime.network import Block
from ...runtime.sequence_model import architecture

if TYPE_CHECKING:
    from .options import GenerateOptions
    from .text.sizing import Sizing


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

    @property
    def of_layers(self) -> dict[str, Any]:
        """Options of the layers, by name."""
        names = ("variational", "recurrent_dropout", "zoneout", "weight_dropout")
        return {name: getattr(self, name) for name in names}


def text_architecture(cell: Cell, sizes: Sizing, regularisation: Regularisation) -> Block:
    """Embedding, recurrent layers, scores of the next token.

    Args:
        sizes: If `tied`, the scores are computed with the embedding's weights, whose size must then be that of the
            layers' output.
    """
    V, E = sizes.vocabulary_size, sizes.embedding_size
    return _architecture(cell, sizes, regularisation, input_size=E, output_size=V, vocabulary_size=V, tied=sizes.tied)


def numbers_architecture(
    cell: Cell, sizes: LayerSizes, regularisation: Regularisation, *, features: int, outputs: int
) -> Block:
    """Recurrent layers over numbers, and the output that a mixture of Gaussians is made of."""
    return _architecture(cell, sizes, regularisation, input_size=features, output_size=outputs)


def _architecture(cell: Cell, sizes: LayerSizes, regularisation: Regularisation, **others: Any) -> Block:
    return architecture(
        cell=cell,
        hidden_size=sizes.hidden_size,
        num_layers=sizes.num_layers,
        proj_size=sizes.proj_size,
        dropout=sizes.dropout,
        **others,
        **regularisation.of_layers,
    )
