"""A cell, step by step: a short sequence through it forward and backward, as a page to click through and as text.

`page.write` takes any `Story`: the examples of `examples.py`, or a `window` of the steps of a model's layer.
"""

from .page import page, write
from .story import Head, Story, zeros
from .text import strip
from .window import window

__all__ = ["Head", "Story", "page", "strip", "window", "write", "zeros"]
