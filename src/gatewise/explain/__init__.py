"""Why a model answers as it does, and how far that can be relied on. The package itself is what users call:

report = gatewise.explain("model.gatewise", "rows.csv", row=3)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Explain(ModuleType):
    """Python makes the package an attribute of `gatewise` as soon as a module of it is imported: so it has to be
    callable, as the function of its name is."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from .explaining import explain

        return explain(*args, **options)


sys.modules[__name__].__class__ = _Explain
