import pytest


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small spend all their time waking threads."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
