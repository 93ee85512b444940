"""Whether a unit that was planted is named and confirmed, and how often noise is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gatewise import cells
from gatewise.explanation import name_units, propose
from gatewise.explanation.features import text_features
from gatewise.runtime import network
from gatewise.runtime.layers import network_of

PLANTED, HIDDEN = 5, 12
ALPHABET = "ab «»"
FEATURE = "inside «…»"
MODELS, CHARACTERS = 50, 3000
DRAWS, STEPS, UNITS, FEATURES = 200, 400, 32, 8  # of noise


def text(length: int, seed: int = 0) -> str:
    """Words, some of them in quotation marks."""
    random, found = np.random.default_rng(seed), ""
    while len(found) < length:
        words = " ".join("".join(random.choice([*"ab"], random.integers(1, 6))) for _ in range(random.integers(1, 7)))
        found += f"«{words}» " if random.random() < 0.4 else f"{words} "
    return found[:length]


def model(planted: bool = True, seed: int = 1) -> Any:
    """A character model whose unit 5 remembers whether a quotation mark is open, and who needs it to close it."""
    random, V, H = np.random.default_rng(seed), len(ALPHABET), HIDDEN
    W, U, b = random.normal(size=(4 * H, V)) / 2, random.normal(size=(4 * H, H)) / 4, random.normal(size=4 * H) / 4
    output = random.normal(size=(V, H)) / 4
    if planted:
        i, f, g, o = (k * H + PLANTED for k in range(4))
        mark, closing = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 1])
        for gate in (i, f, g, o):
            U[gate] = 0
        W[i], b[i] = 20 * mark, -10
        W[f], b[f] = -20 * mark, 10
        W[g], b[g] = 10 * (mark - 2 * closing), 0
        W[o], b[o] = 0, 3
        output[:, PLANTED] = 0
        output[ALPHABET.index("»"), PLANTED] = 6
    part = network.Recurrent(cell=cells.find("lstm"), input_size=V, hidden_size=H)
    weights = {"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b, "bias_hh_l0": 0 * b}
    net = network.Block({"layers": part, "output": network.Linear(H, V)})
    named = {f"layers.{name}": array.astype(np.float32) for name, array in weights.items()}
    named |= {"output.weight": output.astype(np.float32), "output.bias": np.zeros(V, np.float32)}
    return network_of(net, named)


def cost_of(written: str) -> Callable[[Any], np.ndarray]:
    """What each next character costs, in nats."""
    tokens = np.array([ALPHABET.index(character) for character in written])
    x = np.eye(len(ALPHABET), dtype=np.float32)[tokens][:, None]

    def run(net: Any) -> np.ndarray:
        y, _ = net.layers(x)
        scores = net.output(y)[:-1, 0]
        nats = np.log(np.exp(scores).sum(-1)) - scores[np.arange(len(scores)), tokens[1:]]
        return np.append(nats, 0)[:, None]

    return run


def smooth(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Noise in which neighbours resemble each other, as states of networks do."""
    noise = random.normal(size=shape)
    for t in range(1, len(noise)):
        noise[t] += 0.9 * noise[t - 1]
    return noise


def of_planted() -> dict[str, int]:
    """Models whose other weights, and texts, are drawn anew."""
    found = confirmed = 0
    for seed in range(MODELS):
        written = text(CHARACTERS, seed)
        features = {name: values[:, None] for name, values in text_features(written).items()}
        named = [one for one in name_units(model(seed=seed), cost_of(written), features) if one.unit == PLANTED]
        own = [one for one in named if one.proposal.feature == FEATURE]
        found += bool(own)
        confirmed += any(one.confirmed for one in own)
    return {"models": MODELS, "found": found, "confirmed": confirmed}


def of_noise() -> dict[str, int]:
    """Features of noise that look for their best unit among units of noise: draws in which one is named."""
    random, named = np.random.default_rng(5), 0
    for _ in range(DRAWS):
        features = {str(k): (smooth(random, STEPS) > 0).astype(float) for k in range(FEATURES)}
        named += any(one.holds for one in propose(smooth(random, STEPS, UNITS), features))
    return {"draws": DRAWS, "named": named}


TASKS = {"planted": of_planted, "noise": of_noise}


def measured(name: str, models: Path | None = None) -> dict[str, int]:
    """Its networks are made, not learned, so that none is kept."""
    return TASKS[name]()
