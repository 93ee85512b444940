"""The compiled part of the engine."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from ..errors import GatewiseError, OptionError, suggest

_NAME = "gatewise.native._native"


def _load() -> ModuleType:
    """Import it, from the folder that the environment variable GATEWISE_NATIVE names, if any: another build's."""
    folder = os.environ.get("GATEWISE_NATIVE")
    if folder is None:
        try:
            return importlib.import_module(_NAME)
        except ImportError as error:
            raise GatewiseError(
                f"the native engine cannot be loaded ({error}). In a clone, `make native` builds it; else install "
                "gatewise again"
            ) from error
    files = sorted(Path(folder).glob("_native*.so"))
    spec = importlib.util.spec_from_file_location(_NAME, files[0]) if files else None
    if spec is None or spec.loader is None:
        raise GatewiseError(f"GATEWISE_NATIVE names {folder!r}, but there is no _native*.so in it")
    module = sys.modules[_NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _choose_instruction_set(module: ModuleType) -> None:
    """The one that the environment variable GATEWISE_ISA names, if any, instead of the machine's best."""
    name = os.environ.get("GATEWISE_ISA")
    known = module.instruction_sets()
    if name and name not in known:
        raise OptionError(suggest("instruction set", name, known, f"GATEWISE_ISA may be {', '.join(known)} here."))
    if name:
        module.use(name)


_native = _load()
_choose_instruction_set(_native)
