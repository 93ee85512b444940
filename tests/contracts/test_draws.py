"""Whatever draws at random says from which generator: `docs/architecture.md`, "Random numbers"."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "gatewise"
FILES = sorted(
    path for folder in ("engine", "nn", "tasks", "training", "runtime") for path in (ROOT / folder).rglob("*.py")
)

OF_TORCH = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "normal", "bernoulli", "multinomial"}
OF_TENSORS = {"multinomial", "bernoulli_", "random_", "uniform_", "normal_", "exponential_", "geometric_", "cauchy_"}
NEVER = {"manual_seed", "seed_everything", "set_rng_state", "alpha_dropout", "feature_dropout"}


def stray(source):
    """The lines that draw from the generator of the process, or change it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value), node.func.attr
            draws = name in OF_TORCH if owner == "torch" else name in OF_TENSORS and owner != "nn.init"
            if (
                (draws and not any(keyword.arg == "generator" for keyword in node.keywords))
                or (owner.endswith(("functional", "nn", "F", "torch")) and name.lower().endswith("dropout"))
                or (name in NEVER and "Generator" not in owner)
            ):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_draw_names_its_generator(path):
    assert stray(path.read_text()) == [], f"{path}: hand on `randomness.generator(device)`"


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("torch.rand(3)", 1),
        ("torch.rand(3, generator=generator())", 0),
        ("shares.multinomial(1)[:, 0]", 1),
        ("torch.empty(3).random_(0, None, generator=own)", 0),
        ("torch.empty(3).random_(0, None)", 1),
        ("nn.functional.dropout(x, 0.1, True)", 1),
        ("self.dropout = nn.Dropout(0.3)", 1),
        ("self.dropout = Dropout(0.3)", 0),
        ("nn.init.normal_(weight)", 0),  # while a network is built, `built` gives it one
        ("torch.manual_seed(3)", 1),
        ("torch.Generator().manual_seed(3)", 0),
        ("rng.normal(0, 1)", 0),
    ],
)
def test_stray_draws_are_seen(line, count):
    assert len(stray(line)) == count
