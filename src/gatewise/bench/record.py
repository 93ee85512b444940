"""The file of a measurement, which also records the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..files import atomic

_PACKAGES = ("gatewise", "torch", "numpy", "lightning", "onnxruntime", "jax", "keras")
_CHECKOUT = Path(__file__).parents[3]


def document(question: str, command: str, answer: Any) -> dict[str, Any]:
    """The answer, with what is needed to interpret it."""
    return {"question": question, "command": command, "answer": answer, "measured": setting()}


def save(document: Any, path: str | os.PathLike[str]) -> None:
    """Write a document atomically as JSON."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def setting() -> dict[str, Any]:
    """Machine, versions, commit and date."""
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        **({"commit": _commit()} if (_CHECKOUT / ".git").exists() else {}),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: found for package in _PACKAGES if (found := _version(package))},
    }


def _commit() -> str:
    ask = ["git", "rev-parse", "--short", "HEAD"]
    head = subprocess.run(ask, cwd=_CHECKOUT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "src"], cwd=_CHECKOUT, check=False).returncode
    return head.stdout.strip() + (" with changes" if changed else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    stripped = {key.strip(): value.strip() for key, value in fields.items()}
    return " ".join(stripped.get(key, "") for key in ("vendor_id", "model name", "cpu family", "model")).strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
