"""Models from and for other libraries: read, written, and run there, to prove that they compute the same."""

from .importing import import_model

__all__ = ["import_model"]
