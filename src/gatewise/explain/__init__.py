"""What a trained network does with its input: every gate of every step, its memory, and what its parts are for."""

from .decomposition import Decomposition, decompose, interaction
from .memory import Ledger, Memory, Rewriting, ages, half_lives, keep_and_write, ledger, life_lines, memories, rewriting
from .relevance import Relevance, linear_relevance, relevance
from .traces import Trace, trace, trace_layer

__all__ = [
    "Decomposition",
    "Ledger",
    "Memory",
    "Relevance",
    "Rewriting",
    "Trace",
    "ages",
    "decompose",
    "half_lives",
    "interaction",
    "keep_and_write",
    "ledger",
    "life_lines",
    "linear_relevance",
    "memories",
    "relevance",
    "rewriting",
    "trace",
    "trace_layer",
]
