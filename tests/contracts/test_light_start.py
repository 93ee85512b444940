"""What must not cost the import of torch."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import gatewise
from gatewise.cli import VERBS

ROOT = Path(gatewise.__file__).parent

HEAVY = ("torch", "lightning", "matplotlib", "pandas", "onnx")


def modules_after(code):
    script = f"{code}\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def loaded(code):
    return [name for name in modules_after(code) if name.partition(".")[0] in HEAVY]


@pytest.mark.parametrize(
    "code",
    [
        "import gatewise",
        "import gatewise.cells, gatewise.algebra",
        "import gatewise.native.arrays",
        "import gatewise.tasks.generate.text.predictor, gatewise.tasks.generate.numbers.predictor",
        "import gatewise.decoding.beam_search, gatewise.decoding.ctc, gatewise.decoding.stop",
        "import gatewise.tasks.transcribe.decoder, gatewise.tasks.transcribe.frames",
        "import gatewise.training",
        "from gatewise import cell, tanh",
    ],
)
def test_importing_needs_no_torch(code):
    assert loaded(code) == []


@pytest.mark.parametrize("folder", ["decoding", "metrics", "runtime", "walk"])
def test_what_serves_needs_neither_torch_nor_tasks(folder):
    """In an interpreter that has no torch at all."""
    names = [path.stem for path in (ROOT / folder).glob("[!_]*.py")]
    assert names
    imports = "; ".join(f"import gatewise.{folder}.{name}" for name in names)
    found = modules_after(f"import sys; sys.modules['torch'] = None; {imports}")
    assert not [name for name in found if name.startswith("gatewise.tasks")]


def test_without_torch_an_estimator_says_which_extra_it_needs():
    """In an interpreter in which torch cannot be imported: before data are read, and for the network of a model file
    as it is trained."""
    models = sorted(map(str, (Path(__file__).parents[1] / "tasks" / "models").glob("*.model")))
    code = f"""
import sys
for name in ("torch", "lightning"):
    sys.modules[name] = None
import gatewise
from gatewise.errors import MissingExtra
from gatewise.tasks import TASKS, find

def told(call):
    try:
        call()
    except MissingExtra as error:
        assert isinstance(error, ImportError) and error.__suppress_context__
        return str(error)
    except Exception as error:
        return repr(error)

calls = {{task: lambda task=task: find(task)().fit("nowhere") for task in TASKS}}
calls |= {{name: lambda name=name: gatewise.load(name).model_ for name in {models!r}}}
calls |= {{name: lambda name=name: getattr(gatewise, name) for name in ("LSTM", "GRU")}}
print({{name: told(call) for name, call in calls.items()}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = ast.literal_eval(done.stdout)
    assert len(found) == 8 + len(models) + 2 > 20
    wanted = "this needs torch, which is not installed. Install it: pip install 'gatewise[train]'"
    assert {name: text for name, text in found.items() if text != wanted} == {}


def test_no_help_and_no_cells_need_torch():
    """One process for all of them: a start of Python each would take longer than all the tests of the command line."""
    calls = [
        ["--help"],
        *([verb, "--help"] for verb in VERBS),
        ["fit", "generate", "--help"],
        ["cells"],
        ["cells", "lstm"],
    ]
    code = f"from gatewise.cli import main\nfor call in {calls!r}: assert main(call) == 0, call"
    assert loaded(code) == []


def test_a_model_writes_without_torch(model_file):
    assert loaded(f"from gatewise.cli import main; main(['sample', {str(model_file)!r}, '-n', '5'])") == []
    assert loaded(f"from gatewise.cli import main; main(['info', {str(model_file)!r}])") == []
