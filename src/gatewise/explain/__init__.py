"""What a trained network does with its input: every gate of every step, its memory, and what its parts are for."""

from .decomposition import Decomposition, decompose, interaction
from .effects import Effect, gate_effects
from .memory import Ledger, Memory, Rewriting, ages, half_lives, keep_and_write, ledger, life_lines, memories, rewriting
from .relevance import Relevance, linear_relevance, relevance
from .traces import Held, Trace, trace, trace_layer

__all__ = [
    "Decomposition",
    "Effect",
    "Held",
    "Ledger",
    "Memory",
    "Relevance",
    "Rewriting",
    "Trace",
    "ages",
    "decompose",
    "gate_effects",
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
