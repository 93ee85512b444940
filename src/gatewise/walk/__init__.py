"""A cell, step by step: a short sequence through it forward and backward, as a page to click through and as text.

`page.write` takes any `Story`: the examples of `examples.py`, or some steps of a layer of a model.
"""

from .page import page, write
from .story import Head, Story, zeros
from .text import strip

__all__ = ["Head", "Story", "page", "strip", "write", "zeros"]
