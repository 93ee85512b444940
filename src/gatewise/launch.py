"""How this process was started: alone, or by `torchrun` as one of several. Read from its environment, without torch."""

from __future__ import annotations

import os
import socket


def started() -> bool:
    """Whether this is one of several processes that train one model."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def restarted() -> bool:
    """Whether `torchrun` started this process again, after one of them died. It may not say so on every machine."""
    return _number("TORCHELASTIC_RESTART_COUNT") > 0


def restarts_left() -> bool:
    """Whether `torchrun` starts the processes again if one of them dies."""
    return _number("TORCHELASTIC_RESTART_COUNT") < _number("TORCHELASTIC_MAX_RESTARTS")


def machine() -> str:
    """What those processes have in common that are started by one `torchrun`, or are on one machine."""
    return f"{socket.gethostname()} {os.environ.get('GROUP_RANK', '')}"


def lowest_here(lowest: int = 0) -> bool:
    """Whether of the processes of this machine that live this is the first.

    Args:
        lowest: Number on this machine of the first one that lives.
    """
    return os.environ.get("LOCAL_RANK", str(lowest)) == str(lowest)


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else 0
