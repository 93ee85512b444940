"""What the tests of this folder need."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """These tensors are tiny: a second thread costs more than it brings, and on a busy machine a hundred times more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
