"""What the page of other libraries shows is what happens."""

import re
from pathlib import Path

import numpy as np
import torch

from gatewise.cli import main
from gatewise.interop import import_model
from gatewise.interop.layouts import LAYOUTS
from gatewise.interop.pickles import _INSTRUCTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exchange.md").read_text()


def module_of_the_page():
    return re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]


def test_the_commands_and_the_module_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    table, layer, out = torch.nn.Embedding(6, 3), torch.nn.LSTM(3, 4), torch.nn.Linear(4, 2)
    parts = {"emb": table, "lstm": layer, "out": out}
    weights = {f"{name}.{own}": value for name, part in parts.items() for own, value in part.state_dict().items()}
    torch.save(weights, "weights.pt")
    Path("words.txt").write_text("<unk>\nan\nhour\nand\nhalf\njoy\n")
    [block] = [own for own in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "import weights" in own]
    for line in block.splitlines():
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
        assert main(words[1:]) == 0, line
    names = {}
    exec(module_of_the_page(), names)
    x = torch.randint(6, (7, 3))
    with torch.no_grad():
        found, wanted = names["TorchChain"]("mood.safetensors")(x), out(layer(table(x))[0][-1])
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-6)
    assert import_model("mood.safetensors", "again.gatewise").proof.difference < 1e-6


def test_the_module_of_the_page_is_the_one_that_proves():
    source = (ROOT / "src" / "gatewise" / "interop" / "torch_chain.py").read_text()
    assert module_of_the_page().strip() == source.strip()
    assert "gatewise" not in {
        name.partition(".")[0] for name in re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE)
    }


def test_the_table_of_layouts_is_the_one_that_readers_use():
    rows = re.findall(r"^\| ([\w ]+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| (plain)? \| ([^|]*) \|$", PAGE, re.MULTILINE)
    shown = {row[0]: [cell.strip() for cell in row[1:]] for row in rows[1:]}
    assert shown.keys() == LAYOUTS.keys()
    for name, layout in LAYOUTS.items():
        gates = [" ".join(layout.gates.get(kind, "")) for kind in ("lstm", "gru", "gru_2014")]
        plain = "plain" if "rnn" in layout.gates else ""
        assert shown[name] == [*gates, plain, ", ".join(layout.two_biases) or "none"]


def test_the_page_counts_instructions():
    assert f"knows the {len(_INSTRUCTIONS)} instructions" in PAGE
