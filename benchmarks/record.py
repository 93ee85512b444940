"""Where and with what something was measured, and the file that says so."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
PACKAGES = ("gatewise", "torch", "numpy", "lightning")


def write(name: str, question: str, answer: Any) -> Path:
    """Write `results/NAME.json`: the answer, and what is needed to judge it."""
    path = RESULTS / f"{name}.json"
    command = f"python -m benchmarks.{name.partition('-')[0]} {name.partition('-')[2]}".strip()
    document = {"question": question, "command": command, "answer": answer, "measured": setting()}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def setting() -> dict[str, Any]:
    """Machine, versions, commit and day."""
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: found for package in PACKAGES if (found := _version(package))},
    }


def _commit() -> str:
    ask = ["git", "rev-parse", "--short", "HEAD"]
    head = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "src"], cwd=ROOT, check=False).returncode
    return head.stdout.strip() + (" with changes" if changed else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    stripped = {key.strip(): value.strip() for key, value in facts.items()}
    return " ".join(stripped.get(key, "") for key in ("vendor_id", "model name", "cpu family", "model")).strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
