"""How this process was started: alone, or by `torchrun` as one of several. Read from its environment, without torch."""

from __future__ import annotations

import os


def started() -> bool:
    """Whether this is one of several processes that train one model."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def restarted() -> bool:
    """Whether `torchrun` started the processes again, after one of them died."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
