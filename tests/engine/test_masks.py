"""Masks: the published numbers of their generator, and the same draws from both of its implementations."""

import pytest
import torch

from gatewise.engine import masks
from gatewise.native.library import _native


# Known answers of Random123, the authors' own library: counter, key, numbers.
@pytest.mark.parametrize(
    ("counter", "key", "numbers"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter, key, numbers):
    a, b, c, d = (int(word, 16) for word in counter.split())
    low, high = (int(word, 16) for word in key.split())
    at = (a | b << 32) - (1 << 64 if b >> 31 else 0)
    drawn = masks.philox(torch.tensor([at]), low | high << 32, c | d << 32)
    assert [f"{n:08x}" for n in drawn.tolist()] == numbers.split()


@pytest.mark.parametrize("name", _native.instruction_sets())
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_both_implementations_draw_the_same(name, count):
    seed, stream, rate = 0x9E3779B97F4A7C15, 0x5EADBEEF12345678, 0.3
    drawn = masks.philox(torch.arange(-(-count // 4)), seed, stream)[:count]
    wanted = torch.where(drawn < int(rate * 2**32), 0.0, 1.25)
    _native.use(name)
    try:
        assert torch.equal(masks.bernoulli((count,), rate, 1.25, torch.tensor(seed - 2**64), stream), wanted)
    finally:
        _native.use("")


def test_draws_have_their_rate_and_differ_by_seed_and_stream():
    draws = [
        masks.bernoulli((100, 1000), 0.3, 1.0, torch.tensor(seed), stream) for seed, stream in ((1, 0), (2, 0), (1, 1))
    ]
    for drawn in draws:
        assert abs(drawn.mean().item() - 0.7) < 0.006  # four standard deviations
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = (draws[one] * draws[other]).mean().item()
        assert abs(both - 0.49) < 0.007


def test_a_mask_starts_as_a_smaller_one_does():
    seed = torch.tensor(3)
    first = masks.bernoulli((7, 5), 0.5, 1.0, seed, 4).flatten()[:11]
    assert torch.equal(first, masks.bernoulli((11,), 0.5, 1.0, seed, 4))
