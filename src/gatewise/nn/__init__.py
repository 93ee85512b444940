"""Layers: drop-in torch modules, and the LSTM's kin of more dimensions; attention over what they return."""

from .attention import AdditiveAttention, LocalAttention, MultiplicativeAttention, ScaledDotProductAttention
from .convolutional import ConvLSTM
from .crf import CRF
from .lstm import GRU, LSTM
from .multidimensional import MultiDimensionalLSTM
from .recurrent import Recurrent
from .regularisation import activation_penalty, temporal_activation_penalty

__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "AdditiveAttention",
    "ConvLSTM",
    "LocalAttention",
    "MultiDimensionalLSTM",
    "MultiplicativeAttention",
    "Recurrent",
    "ScaledDotProductAttention",
    "activation_penalty",
    "temporal_activation_penalty",
]
