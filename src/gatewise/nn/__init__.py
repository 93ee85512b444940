"""Layers: drop-in torch modules."""

from .recurrent import GRU, LSTM, Recurrent

__all__ = ["GRU", "LSTM", "Recurrent"]
