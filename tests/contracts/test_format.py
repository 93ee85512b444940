"""A model file is what `docs/format.md` says, read here with nothing but the standard library."""

import hashlib
import json
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from gatewise.runtime import network

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "format.md").read_text()
MODELS = sorted((ROOT / "tests" / "tasks" / "models").glob("*.model"))
NUMPY = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U32": "<u4", "U8": "|u1", "BOOL": "|b1"}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_container_and_its_digest(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    document = json.loads(header.pop("__metadata__")["gatewise"])
    assert document["format"] == 1
    given = document.pop("sha256")
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name, tensor in sorted(header.items()):
        start, end = tensor["data_offsets"]
        digest.update(json.dumps([name, NUMPY[tensor["dtype"]], tensor["shape"]]).encode())
        digest.update(data[8 + size :][start:end])
    assert digest.hexdigest() == given


def test_the_page_names_every_layer_with_weights():
    kinds = {
        name
        for name, kind in vars(network).items()
        if isinstance(kind, type)
        and kind.__module__ == network.__name__
        and is_dataclass(kind)
        and not issubclass(kind, network._Weightless)
    }
    of_trees = {"Block", "Repeated", "Chain", "Weight", "Constant"}
    rows = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE))))
    assert kinds - of_trees <= rows
