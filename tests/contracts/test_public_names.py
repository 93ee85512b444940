"""The names that users import."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import gatewise

ROOT = Path(gatewise.__file__).parent
PACKAGES = [
    "gatewise",
    "gatewise.algebra",
    "gatewise.bench",
    "gatewise.decoding",
    "gatewise.explanation",
    "gatewise.metrics",
    "gatewise.nn",
    "gatewise.training",
]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_documented(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        if name != "__version__":
            assert inspect.getdoc(value), f"{package}.{name} has no docstring"


def test_editors_see_the_names_that_users_get():
    """The `if TYPE_CHECKING:` block repeats `_HOME`."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module.split(".")[0] for node in block.body for alias in node.names}
    assert seen == gatewise._HOME


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LSTN'"):
        _ = gatewise.LSTN


def test_the_version_is_the_one_of_the_package():
    from importlib.metadata import version

    assert gatewise.__version__ == version("gatewise")


def test_every_module_says_what_it_is():
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), f"{path.relative_to(ROOT)} has no docstring"
