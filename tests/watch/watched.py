"""Small networks and made data for tests of watching a training."""

from types import SimpleNamespace

import torch
from torch import nn

from gatewise.nn import Recurrent
from gatewise.training import Plan, train
from gatewise.training.history import read
from gatewise.watch.advice import advice
from gatewise.watch.look import Look

one_hot = nn.functional.one_hot


class Net(nn.Module):
    """Layers of a cell and an output, for one answer per sequence or one per step.

    Args:
        forget_bias: Added to the bias of an LSTM's forget gate.
    """

    def __init__(self, cell, input_size, hidden_size, outputs, *, every_step=False, forget_bias=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.carried, self.every_step = [], every_step
        self.layers = Recurrent(cell, input_size, hidden_size)
        self.output = nn.Linear(hidden_size, outputs)
        if forget_bias:
            with torch.no_grad():
                self.layers.bias_ih_l0[hidden_size : 2 * hidden_size] += forget_bias

    def scores(self, batch):
        y, _ = self.layers(batch["x"])
        return self.output(y if self.every_step else y[-1])

    def predictions(self, batch):
        scores, y = self.scores(batch), batch["y"]
        return (scores.flatten(), y.flatten()) if y.is_floating_point() else (_flat(scores).softmax(-1), y.flatten())

    def training_loss(self, batch):
        scores, y = self.scores(batch), batch["y"]
        if y.is_floating_point():
            return nn.functional.mse_loss(scores[..., 0], y)
        return nn.functional.cross_entropy(_flat(scores), y.flatten())

    def validation_sums(self, batch):
        count = batch["y"].numel()
        return self.training_loss(batch) * count, count

    def begin(self, split):
        pass

    def parameter_groups(self, weight_decay):
        return [{"params": list(self.parameters()), "weight_decay": weight_decay}]


def _flat(scores):
    return scores.flatten(0, -2)


class Made:
    """So many batches, each of a generator of its own."""

    def __init__(self, make, length, seed):
        self.make, self.length, self.seed = make, length, seed

    def __len__(self):
        return self.length

    def at(self, step):
        return self.make(torch.Generator().manual_seed(100_003 * self.seed + step % self.length))


def learn(folder, net, make, *, steps, learning_rate=1e-2, clip=1.0, batches=50, validation=4, share=1e9, **plan):
    """Train with a look after each of five validations.

    Returns: `outcome`, `lines` of the history, `advice` by sign, and the `net`.
    """
    folder.mkdir(exist_ok=True)
    outcome = train(
        net,
        Made(make, batches, 1),
        Made(make, validation, 2),
        Plan(steps=steps, evaluate_every=-(-steps // 5), learning_rate=learning_rate, clip=clip, warmup=10, **plan),
        checkpoint=folder / "checkpoint",
        history=folder / "run.jsonl",
        identity={},
        watch=None if share is None else Look(folder / "run.html", "a run", share),
        checkpoint_seconds=1e9,
    )
    lines = read(folder / "run.jsonl")
    return SimpleNamespace(outcome=outcome, lines=lines, advice={own.sign: own for own in advice(lines)}, net=net)


def tokens(steps=30, rows=16, kinds=12):
    """Which of `kinds` tokens follows, where the last two decide how probable each is."""
    logits = 3 * torch.randn(kinds, kinds, kinds, generator=torch.Generator().manual_seed(7))
    following = logits.softmax(-1)

    def make(random):
        drawn = [torch.randint(kinds, (rows,), generator=random) for _ in range(2)]
        for _ in range(steps - 1):
            drawn.append(torch.multinomial(following[drawn[-2], drawn[-1]], 1, generator=random)[:, 0])
        every = torch.stack(drawn)
        return {"x": one_hot(every[:-1], kinds).float(), "y": every[1:]}

    return make


def first_of(steps, rows=32, kinds=8):
    """The first token of a sequence, asked for at its end."""

    def make(random):
        drawn = torch.randint(kinds, (steps, rows), generator=random)
        return {"x": one_hot(drawn, kinds).float(), "y": drawn[0]}

    return make


def sums(steps=12, rows=32):
    """The sum of the two marked numbers of a sequence."""

    def make(random):
        values, marks = torch.rand(steps, rows, generator=random), torch.zeros(steps, rows)
        marks[torch.randint(steps // 2, (rows,), generator=random), range(rows)] = 1
        marks[torch.randint(steps // 2, steps, (rows,), generator=random), range(rows)] = 1
        return {"x": torch.stack([values, marks], -1), "y": (values * marks).sum(0)}

    return make


def noise(steps=12, rows=32):
    """A number that has nothing to do with the sequence."""
    return lambda random: {
        "x": torch.randn(steps, rows, 4, generator=random),
        "y": torch.randn(rows, generator=random),
    }


def waves(steps=20, rows=8):
    """The next value of a sine."""

    def make(random):
        phase, speed = 6.28 * torch.rand(rows, generator=random), 0.1 + 0.3 * torch.rand(rows, generator=random)
        values = torch.sin(phase + speed * torch.arange(steps + 1)[:, None])
        return {"x": values[:-1, :, None], "y": values[1:]}

    return make


def rare_and_large(steps=5, rows=16):
    """Noise in four batches of five, and in the fifth numbers that follow from the sequence and are much larger."""

    def make(random):
        large = torch.rand((), generator=random) < 0.2
        x = torch.randn(steps, rows, 2, generator=random)
        return {"x": x, "y": 5 * torch.tanh(x[:, :, 0].sum(0)) if large else torch.randn(rows, generator=random)}

    return make
