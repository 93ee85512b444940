"""Pages that are one file each: what all of them share, and how one is put together."""

from .assembling import assembled, parts

__all__ = ["assembled", "parts"]
