"""What the tests of other libraries share."""

import pytest

from gatewise.interop import proof_process


@pytest.fixture(autouse=True)
def proofs_here(monkeypatch):
    """Proofs run in the tests' own process: each of its own would import the library anew. `test_proof_process.py` has
    theirs."""
    monkeypatch.setattr(
        proof_process, "call", lambda module, asked, inputs, **limits: proof_process._run(asked, inputs, lambda: None)
    )
