"""Drop-in replacements of `torch.nn.LSTM` and `torch.nn.GRU`: `Recurrent` with a cell chosen, and torch's arguments."""

from __future__ import annotations

from typing import Unpack

import torch

from ..algebra import Cell
from .recurrent import Options, Recurrent


class LSTM(Recurrent):
    """Long short-term memory: `torch.nn.LSTM`, with `lengths`, `resets`, cell states and a choice of cells.

    Options, weights, initial values and `state_dict` are those of `torch.nn.LSTM`; see `Recurrent` for the shapes.

    Args:
        cell: Another cell of the family, by name or as a `Cell`; `lstm`, or with a proj_size `lstmp`, if omitted.

    Example:
        >>> layer = LSTM(40, 128, num_layers=2, bidirectional=True)
        >>> y, (h, c) = layer(x, lengths=lengths)

    Source: Gers, Schmidhuber & Cummins (2000). Equations: cells/lstm.py, cells/lstmp.py.
    """

    _default_cells = ("lstm", "lstmp")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        cell: Cell | str | None = None,
        **options: Unpack[Options],
    ):
        if cell is None:
            cell = "lstmp" if proj_size else "lstm"
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
            **options,
        )


class GRU(Recurrent):
    """Gated recurrent unit: `torch.nn.GRU`, with `lengths` and `resets`.

    Options, weights, initial values and `state_dict` are those of `torch.nn.GRU`; see `Recurrent` for the shapes.

    Example:
        >>> layer = GRU(40, 128)
        >>> y, h = layer(x)

    Source: Cho et al. (2014). Equations: cells/gru.py.
    """

    _default_cells = ("gru",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,  # torch.nn.GRU knows it too, to refuse it
        **options: Unpack[Options],
    ):
        super().__init__(
            "gru",
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
            **options,
        )
