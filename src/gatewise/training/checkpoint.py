"""Everything a run needs to resume, in one safetensors file. No pickle: reading an untrusted file runs no code.

Tensors lie in the file under their names; the rest is one JSON document in its metadata. A digest over all of it
detects damage; it is no signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..document import differences
from ..errors import ModelFileError
from ..files import atomic

FORMAT = 5  # 1 had no digest, 2 no race and no recoveries, 3 no pace, 4 no rehearsal in it
KEY = "gatewise_checkpoint"


def write(path: Path, document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: Where; what was there stays until the new file is complete and flushed to disk.
        document: Plain JSON values.
        tensors: By name; on any device, of any layout.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    body, separate = plain({"format": FORMAT, **document}), _separate(tensors)
    text = json.dumps({**body, "sha256": _digest(body, separate)}, allow_nan=False)
    with atomic(path) as temporary:
        try:
            save_file(separate, temporary, {KEY: text})
        except SafetensorError as error:
            raise _as_os_error(error, path) from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and tensors (on the CPU, in memory of their own) that `write` was given.

    Raises:
        ModelFileError: There is no such file, or it is damaged, foreign, or written by another version of Gatewise.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                raise ModelFileError(f"{path} is not a checkpoint of Gatewise. Start again without resuming.")
            document = json.loads(metadata[KEY])
            version = document["format"]
            if version > FORMAT:
                raise ModelFileError(
                    f"{path} was written by a newer Gatewise (checkpoint format {version}; this one reads up to "
                    f"{FORMAT}). Upgrade it: pip install -U gatewise"
                )
            if version < FORMAT:
                raise ModelFileError(f"{path} was written by an older Gatewise. Start again without resuming.")
            # Cloned, because a matrix product on memory of another alignment may round differently.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no mapping
        if document.pop("sha256") != _digest(document, tensors):
            raise damaged(path, "its digest does not match its content")
        return document, tensors
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no checkpoint at {path}. Start without resuming.") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise damaged(path, error) from error


def damaged(path: Path, why: object) -> ModelFileError:
    """The error for a file that holds less, or other things, than a checkpoint must."""
    reason = " ".join(str(why).split())
    return ModelFileError(f"{path} is damaged or no checkpoint at all ({reason}). Start again without resuming.")


def require_same(path: Path, stored: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse to resume with other options or data than the checkpoint's.

    Raises:
        ModelFileError: Names each differing key with both values.
    """
    if found := differences(stored, given):
        raise ModelFileError(
            f"cannot resume from {path}, which was made differently: {'; '.join(found)}. "
            "Give it the same again, or start afresh without resuming."
        )


def plain(value: Any) -> Any:
    """A JSON value as it is read back from a file: tuples become lists, keys text."""
    return json.loads(json.dumps(value))


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU, no two in one storage, as safetensors wants them."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    return separate


def _digest(document: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """sha256 of the document, and of name, type, shape and bytes of each tensor, sorted by name."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _as_os_error(error: SafetensorError, path: Path) -> OSError:
    """safetensors wraps what the system said ("... (os error 28)") in an exception of its own; unwrap it."""
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        number = int(found[1])
        return OSError(number, os.strerror(number), str(path))
    return OSError(f"{path}: {error}")
