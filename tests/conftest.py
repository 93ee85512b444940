"""What many tests need."""

import io
import os
import signal

import pytest
import torch
from shared_data import SHARED
from training_toy import Workshop

# Triton asks once, when it is imported, and torch's compiler may be the first to do that.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

RHYME = """Peter Piper picked a peck of pickled peppers.
A peck of pickled peppers Peter Piper picked.
If Peter Piper picked a peck of pickled peppers,
where's the peck of pickled peppers Peter Piper picked?
"""


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_at_first():
    """Python's default answer to Ctrl-C: what a shell starts in the background begins deaf to it, and so would tests.

    For the session, so that fixtures of a module that train can be interrupted too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def ctrl_c():
    """The same for each test, whatever another one, or a library, has set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The tests' models are tiny: a second thread costs more than it brings, on a busy machine a hundred times more.

    For the session, so that fixtures of a module train with one thread too: pytest makes them before a test's own.
    """
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def threads_put_back(one_thread):
    """A test may ask for another number of threads; the next one begins with one again."""
    yield
    torch.set_num_threads(1)


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def shared():
    """The folder of real data sets that stands beside our own checkout, but not beside a user's."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared data sets are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def rhyme():
    """A text that even a tiny model can learn."""
    return RHYME * 25


@pytest.fixture(scope="session")
def trained(rhyme):
    """A small language model that knows its rhyme."""
    from gatewise.tasks.generate.estimator import Generator

    options = {"hidden_size": 32, "epochs": 12, "batch_size": 4, "chunk_length": 32, "learning_rate": 0.02, "seed": 3}
    return Generator(**options).fit(io.StringIO(rhyme))


@pytest.fixture(scope="session")
def model_file(trained, tmp_path_factory):
    """Its model file."""
    path = tmp_path_factory.mktemp("model") / "rhyme.gatewise"
    trained.save(path)
    return path
