"""What a trained network does with its input: every gate of every step, its memory, and what its parts are for."""

from .traces import Trace, trace, trace_layer

__all__ = ["Trace", "trace", "trace_layer"]
