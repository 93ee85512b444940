"""What must not cost the import of torch."""

import json
import subprocess
import sys

import pytest

from gatewise.cli import VERBS

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
