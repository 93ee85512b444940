import pytest
import torch

from gatewise.nn.linear import Product


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [1, 64, 6001])
def test_the_same_as_the_layer(bias, outputs):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(37, outputs, bias=bias), torch.randn(33, 37)
    want = torch.nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
    found = Product(layer)(x)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found.double(), want.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers_go_the_usual_way(dtype):
    layer, x = torch.nn.Linear(5, 7, dtype=dtype), torch.ones(2, 5, dtype=dtype)
    assert torch.equal(Product(layer)(x), layer(x))


def test_without_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    layer, x = torch.nn.Linear(5, 7), torch.ones(2, 5)
    assert torch.equal(Product(layer)(x), layer(x))
