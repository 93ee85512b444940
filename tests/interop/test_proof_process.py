"""What a library does with a stranger's file stays in a process of its own; onnxruntime is played by a few lines."""

import os
import re

import pytest
from onnx_files import classifier

from gatewise.cli import main
from gatewise.errors import ModelFileError
from gatewise.interop import import_model, process, proof_process

SESSION = """
import os, sys, time
import numpy as np
__version__ = "0"
class SessionOptions: pass
class InferenceSession:
    def __init__(self, *args, **options):
        {}
"""


@pytest.fixture(autouse=True)
def proofs_apart(proofs_here, monkeypatch):
    monkeypatch.setattr(proof_process, "call", process.call)


@pytest.fixture
def path(tmp_path):
    return classifier(tmp_path / "model.onnx")


def played(tmp_path, monkeypatch, text):
    """An onnxruntime of these lines, for processes that are started."""
    (tmp_path / "onnxruntime.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


def test_what_the_library_answers_comes_back(path, tmp_path):
    found = import_model(path, tmp_path / "model.gatewise")
    assert found.proof.peer.startswith("onnxruntime ")
    assert 0 <= found.proof.difference <= 1e-6
    assert found.proof.examples > 0


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("os.abort()", "SIGABRT"),
        ("np.zeros((1 << 36,), np.uint8)[::4096] = 1", "Unable to allocate 64.0 GiB"),
        pytest.param("time.sleep(60)", "no end within 20 seconds", marks=pytest.mark.slow),
        ("print('to be read by nobody', flush=True); raise KeyError('odd')", "odd"),
    ],
    ids=["crashes", "takes all memory", "waits for ever", "raises"],
)
def test_a_file_that_the_library_does_not_survive_is_refused(path, does, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(proof_process, "PATIENCE", 20)
    played(tmp_path, monkeypatch, SESSION.format(does))
    assert main(["import", str(path), "-o", str(tmp_path / "out.gatewise")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "onnxruntime" in error
    assert said in error
    assert not (tmp_path / "out.gatewise").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ImportError('libfoo.so.1 is not there')", "onnxruntime does not start here .*libfoo.so.1 is not there"),
        ("import os; os.abort()", "onnxruntime does not start here .*SIGABRT"),
        ("raise ModuleNotFoundError('', name='onnxruntime')", "onnxruntime is not installed"),
    ],
    ids=["broken", "crashes", "missing"],
)
def test_a_library_that_does_not_run_here_leaves_the_import_unproved(path, text, said, tmp_path, monkeypatch):
    played(tmp_path, monkeypatch, text)
    found = import_model(path, tmp_path / "model.gatewise")
    assert found.proof.difference is None
    assert str(found.proof).startswith("not proved: ")
    assert re.search(said, str(found.proof))
    assert (tmp_path / "model.gatewise").exists()


def called(module, asked, clock=60):
    return process.call(module, asked, memory=4 << 30, clock=clock)


def test_a_process_that_does_not_answer_has_died(tmp_path, monkeypatch):
    played(tmp_path, monkeypatch, "")
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    with pytest.raises(process.DiedError, match="no end within 1 seconds"):
        called("sleeper", {}, clock=1)
    with pytest.raises(process.DiedError, match="KeyError: 'path'"):
        called("gatewise.interop.keras_process", {})


def test_what_a_process_refuses_is_an_error_here():
    with pytest.raises(ModelFileError, match=r"'nowhere\.h5' is damaged"):
        called("gatewise.interop.keras_process", {"path": "nowhere.h5"})
