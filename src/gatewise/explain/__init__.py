"""What a trained network does with its input: every gate of every step, its memory, and what its parts are for."""

from .memory import Ledger, Memory, Rewriting, ages, half_lives, keep_and_write, ledger, life_lines, memories, rewriting
from .traces import Trace, trace, trace_layer

__all__ = [
    "Ledger",
    "Memory",
    "Rewriting",
    "Trace",
    "ages",
    "half_lives",
    "keep_and_write",
    "ledger",
    "life_lines",
    "memories",
    "rewriting",
    "trace",
    "trace_layer",
]
