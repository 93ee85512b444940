"""A model file predicts in an interpreter that has neither torch nor what else only training needs.

Each old model (`test_old_models.py`) is asked there what it was asked then, in Python, and on the command line.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from test_old_models import NAMES

CONVERTED = ("classify", "detect", "forecast", "tag")
NAMES = [name for name in NAMES if name.startswith(CONVERTED)]
ABSENT = ("torch", "lightning", "sklearn", "matplotlib", "scipy", "pandas")

CHILD = f"""
import json, sys, tempfile
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path[:0] = {[str(Path(__file__).parent)]!r}
import gatewise
from test_old_models import MODELS, compare, opened
"""


def child(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", CHILD + code], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_said(name):
    child(f"""
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    story = json.loads((MODELS / "{name}.json").read_text())
    model = gatewise.load(opened("{name}", folder))
    compare(model, story, folder)
    model.save(folder / "again")
    compare(gatewise.load(folder / "again"), story, folder)
""")
