"""What are the layers of two dimensions good for: does a 2-D LSTM read digits, and a ConvLSTM foresee moving ones?

    python -m benchmarks.dimensions [digits] [frames] [choice]

Both learn from scikit-learn's 1797 handwritten digits of 8 by 8 pixels. A stratified quarter (seed 0) is held out and
looked at once; a fifth of the rest chose sizes, rates and lengths of training. The pictures go to docs/pictures/.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gatewise.nn import ConvLSTM, MultiDimensionalLSTM

from .record import ROOT, write

QUESTION = __doc__.partition("\n")[0]
PICTURES = ROOT / "docs" / "pictures"
SPLIT_SEED = 0
SIDE = 8  # of a digit


def split() -> dict[str, tuple[Tensor, Tensor]]:
    """Images (N, 8, 8) from 0 to 1 and their labels: what is learnt from, what chose the settings, what is held out."""
    data = load_digits()
    images, labels = (data.images / 16).astype(np.float32), data.target
    rest, test, rest_labels, test_labels = train_test_split(
        images, labels, test_size=0.25, stratify=labels, random_state=SPLIT_SEED
    )
    train, choice, train_labels, choice_labels = train_test_split(
        rest, rest_labels, test_size=0.2, stratify=rest_labels, random_state=SPLIT_SEED
    )
    parts = {
        "train": (train, train_labels),
        "validation": (choice, choice_labels),
        "rest": (rest, rest_labels),
        "test": (test, test_labels),
    }
    return {name: (torch.from_numpy(x), torch.from_numpy(y)) for name, (x, y) in parts.items()}


def learn(model: nn.Module, steps: int, rate: float, loss_of_step: Callable[[int], Tensor]) -> float:
    """Adam with a rate that rises and falls once; returns the processor seconds it took."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    start = time.process_time()  # of the processor: the machine has other work too
    model.train()
    for step in range(steps):
        optimiser.zero_grad()
        loss = loss_of_step(step)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(
                f"step {step}, loss {loss.item():.4f}, {time.process_time() - start:.0f} s", file=sys.stderr, flush=True
            )
    model.eval()
    return time.process_time() - start


# Reading digits.


class Reader(nn.Module):
    """Pixels, a 2-D LSTM from all four corners, the mean over all positions, ten scores."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.lstm = MultiDimensionalLSTM(1, hidden_size)
        self.scores = nn.Linear(4 * hidden_size, 10)

    def forward(self, images: Tensor) -> Tensor:
        y, _ = self.lstm(images[..., None])
        return self.scores(y.mean((1, 2)))


READER = {"hidden_size": 24, "epochs": 40, "batch_size": 64, "rate": 0.02}


def jolt(images: Tensor) -> Tensor:
    """Each image moved by up to a pixel, along each axis: a digit is the same digit elsewhere."""
    spread = nn.functional.pad(images, (1, 1, 1, 1))
    windows = spread.unfold(1, SIDE, 1).unfold(2, SIDE, 1)  # (N, 3, 3, 8, 8)
    row, column = torch.randint(3, (2, len(images)))
    return windows[torch.arange(len(images)), row, column]


def train_reader(images: Tensor, labels: Tensor, seed: int) -> tuple[Reader, float]:
    torch.manual_seed(seed)
    model = Reader(READER["hidden_size"])
    size = READER["batch_size"]
    batches = len(images) // size
    order = torch.empty(0)

    def loss_of_step(step: int) -> Tensor:
        nonlocal order
        if step % batches == 0:
            order = torch.randperm(len(images))
        some = order[step % batches * size :][:size]
        return cross_entropy(model(jolt(images[some])), labels[some])

    return model, learn(model, batches * READER["epochs"], READER["rate"], loss_of_step)


def accuracy(scores: Tensor, labels: Tensor) -> float:
    return (scores.argmax(-1) == labels).double().mean().item()


def choice(seed: int = 1) -> None:
    """What the reader's settings were chosen by: learn from four fifths of what is not held out, read the rest."""
    parts = split()
    model, _ = train_reader(*parts["train"], seed)
    images, labels = parts["validation"]
    with torch.no_grad():
        print(f"validation {accuracy(model(images), labels):.4f}")


def digits(seeds: tuple[int, ...] = (1,)) -> None:
    parts = split()
    (rest, rest_labels), (images, labels) = parts["rest"], parts["test"]
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    plain.fit(rest.flatten(1).numpy(), rest_labels.numpy())
    baseline = float(plain.score(images.flatten(1).numpy(), labels.numpy()))

    runs = []
    for seed in seeds:
        model, seconds = train_reader(rest, rest_labels, seed)
        with torch.no_grad():
            scores = model(images)
        runs.append({"seed": seed, "test": accuracy(scores, labels), "processor_seconds": round(seconds, 1)})
        print("digits", runs[-1], flush=True)
        if seed == seeds[0]:
            picture_mistakes(images, labels, scores)
    answer = {
        "data": "sklearn.datasets.load_digits, a stratified quarter held out",
        "split_seed": SPLIT_SEED,
        "images": {name: len(part) for name, (part, _) in parts.items()},
        "options": READER,
        "weights": sum(weight.numel() for weight in model.parameters()),
        "accuracy": {f"2-D LSTM, seed {run['seed']}": run["test"] for run in runs} | {"logistic regression": baseline},
        "runs": runs,
        "threads": torch.get_num_threads(),
    }
    write("dimensions-digits", QUESTION, answer)


# Foreseeing frames.

CANVAS, GIVEN, AHEAD = 16, 6, 6
FORESEER = {"hidden_size": 16, "kernel_size": 3, "num_layers": 2, "steps": 2400, "batch_size": 8, "rate": 0.01}


def moving(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Digits that cross a canvas in straight lines and bounce off its borders: (T, count, 1, CANVAS, CANVAS)."""
    room, steps = CANVAS - SIDE, GIVEN + AHEAD
    frames = torch.zeros(steps, count, CANVAS, CANVAS)
    time, row, pixel = torch.arange(steps)[:, None], torch.arange(count), torch.arange(SIDE)
    start = torch.randint(2 * room, (2, count), generator=generator)
    speed = torch.tensor([-2, -1, 1, 2])[torch.randint(4, (2, count), generator=generator)]  # pixels per frame
    # Going round a circle of twice the room, and folding it in the middle, is going to and fro.
    down, across = [
        room - ((s + v * time) % (2 * room) - room).abs()[..., None] for s, v in zip(start, speed, strict=True)
    ]
    places = (down + pixel)[..., None], (across + pixel)[..., None, :]
    frames[time[..., None, None], row[:, None, None], *places] = images[
        torch.randint(len(images), (count,), generator=generator)
    ]
    return frames[:, :, None]


class Foreseer(nn.Module):
    """Frames, a ConvLSTM, a score per pixel; after the frames that are given it goes on from its own."""

    def __init__(self, hidden_size: int, kernel_size: int, num_layers: int):
        super().__init__()
        self.lstm = ConvLSTM(1, hidden_size, kernel_size, num_layers)
        self.scores = nn.Conv2d(hidden_size, 1, 1)

    def forward(self, given: Tensor, ahead: int) -> Tensor:
        """Scores of the frames after each given one, (T + ahead - 1, B, 1, height, width)."""
        y, state = self.lstm(given)
        scores = list(self.scores(y.flatten(0, 1)).view(given.shape))
        for _ in range(ahead - 1):
            y, state = self.lstm(scores[-1].sigmoid()[None], state)
            scores.append(self.scores(y[0]))
        return torch.stack(scores)


def train_foreseer(images: Tensor, seed: int) -> tuple[Foreseer, float]:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Foreseer(FORESEER["hidden_size"], FORESEER["kernel_size"], FORESEER["num_layers"])

    def loss_of_step(step: int) -> Tensor:
        frames = moving(images, FORESEER["batch_size"], generator)
        return binary_cross_entropy_with_logits(model(frames[:GIVEN], AHEAD), frames[1:])

    return model, learn(model, FORESEER["steps"], FORESEER["rate"], loss_of_step)


def linear(images: Tensor, validation: Tensor, past: int = 3) -> Callable[[Tensor], Tensor]:
    """The plain learner beside it: each pixel of a frame a linear function of all pixels of the three before."""
    frames = moving(images, 2000, torch.Generator().manual_seed(0)).flatten(2)

    def windows(frames: Tensor) -> tuple[np.ndarray, np.ndarray]:
        x = torch.stack([frames[t : t + past].transpose(0, 1).flatten(1) for t in range(len(frames) - past)])
        return x.flatten(0, 1).numpy(), frames[past:].flatten(0, 1).numpy()

    x, y = windows(validation.flatten(2))
    fits = [Ridge(alpha).fit(*windows(frames)) for alpha in (10.0, 100.0, 1000.0)]
    best = min(fits, key=lambda fit: float(((fit.predict(x) - y) ** 2).mean()))

    def foresee(given: Tensor) -> Tensor:
        seen = list(given.flatten(2))
        for _ in range(AHEAD):
            window = torch.stack(seen[-past:]).transpose(0, 1).flatten(1)
            seen.append(torch.from_numpy(best.predict(window.numpy())).clamp(0, 1).to(given))
        return torch.stack(seen[-AHEAD:]).view(AHEAD, *given.shape[1:])

    return foresee


def continued(given: Tensor) -> Tensor:
    """No learner: the shift that explains the last frame by the one before, again and again, off one border and in at
    the other."""
    shifts = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]
    fits = torch.stack([((given[-2].roll(s, (-2, -1)) - given[-1]) ** 2).sum((1, 2, 3)) for s in shifts])
    foreseen = given.new_zeros(AHEAD, *given.shape[1:])
    for n, best in enumerate(fits.argmin(0).tolist()):
        for ahead in range(AHEAD):
            foreseen[ahead, n] = given[-1, n].roll([(ahead + 1) * s for s in shifts[best]], (-2, -1))
    return foreseen


def frames() -> None:
    parts = split()
    images = {name: part for name, (part, _) in parts.items()}
    validation = moving(images["validation"], 200, torch.Generator().manual_seed(1))
    test = moving(images["test"], 500, torch.Generator().manual_seed(2))
    model, seconds = train_foreseer(images["train"], seed=1)
    straight = linear(images["train"], validation)
    mean = moving(images["train"], 500, torch.Generator().manual_seed(3)).mean((0, 1))

    def foreseen(given: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            ours = model(given, AHEAD)[-AHEAD:].sigmoid()
        still = given[-1].expand(AHEAD, *given.shape[1:])
        return {
            "ConvLSTM": ours,
            "linear": straight(given),
            "same movement": continued(given),
            "last frame": still,
            "mean frame": mean.expand_as(still),
        }

    def errors(frames: Tensor) -> dict[str, list[float]]:
        """Mean squared error per pixel, of each frame ahead."""
        found = foreseen(frames[:GIVEN])
        return {name: ((f - frames[GIVEN:]) ** 2).mean((1, 2, 3, 4)).tolist() for name, f in found.items()}

    def over_all(errors: dict[str, list[float]]) -> dict[str, float]:
        return {name: sum(values) / len(values) for name, values in errors.items()}

    ahead = errors(test)
    answer = {
        "data": "sklearn.datasets.load_digits, moving and bouncing; digits split as for reading them",
        "split_seed": SPLIT_SEED,
        "canvas": CANVAS,
        "frames": {"given": GIVEN, "foreseen": AHEAD},
        "sequences": {"validation": validation.shape[1], "test": test.shape[1]},
        "options": FORESEER,
        "weights": sum(weight.numel() for weight in model.parameters()),
        "processor_seconds": round(seconds, 1),
        "mean_squared_error": over_all(ahead),
        "validation": over_all(errors(validation)),
        "mean_squared_error_per_frame_ahead": ahead,
        "threads": torch.get_num_threads(),
    }
    for name, error in answer["mean_squared_error"].items():
        print(f"frames {name:<14}{error:.5f}, validation {answer['validation'][name]:.5f}")
    picture_frames(test, foreseen(test[:GIVEN]))
    picture_errors(ahead)
    write("dimensions-frames", QUESTION, answer)


# Pictures.


def picture_mistakes(images: Tensor, labels: Tensor, scores: Tensor) -> None:
    """Every held-out digit that was misread, beside as many that were not."""
    found = scores.argmax(-1)
    wrong = (found != labels).nonzero().flatten()[:12]
    right = (found == labels).nonzero().flatten()[:12]
    figure, axes = plt.subplots(2, 12, figsize=(9, 2.1))
    for row, some in zip(axes, (right, wrong), strict=True):
        for axis in row:
            axis.axis("off")
        for axis, n in zip(row, some, strict=False):
            axis.imshow(images[n], cmap="gray_r", vmin=0, vmax=1)
            axis.set_title(f"{labels[n]}" if found[n] == labels[n] else f"{labels[n]} as {found[n]}", fontsize=9)
    save(figure, "digits")


def picture_frames(truth: Tensor, foreseen: dict[str, Tensor], examples: int = 2) -> None:
    """Two held-out sequences: what was given, what came, and what each method made of it."""
    names = ["ConvLSTM", "linear", "same movement", "last frame"]
    shown = 4  # of the given frames
    figure, axes = plt.subplots(examples * (1 + len(names)), shown + AHEAD, figsize=(7, examples * 3.5))
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set_color("0.8")
    for n in range(examples):
        block = axes[n * (1 + len(names)) :]
        for i in range(shown + AHEAD):
            draw(block[0][i], truth[GIVEN - shown + i, n, 0])
            block[0][i].set_title(f"{i - shown + 1:+d}" if i >= shown else f"{i - shown + 1}", fontsize=8)
        block[0][0].set_ylabel("truth", rotation=0, ha="right", va="center", fontsize=9)
        for row, name in enumerate(names, 1):
            for axis in block[row][:shown]:
                axis.axis("off")
            for i in range(AHEAD):
                draw(block[row][shown + i], foreseen[name][i, n, 0])
            block[row][shown].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    save(figure, "frames")


def picture_errors(ahead: dict[str, list[float]]) -> None:
    figure, axis = plt.subplots(figsize=(5.5, 3))
    for name, values in ahead.items():
        axis.plot(range(1, AHEAD + 1), values, marker="o", markersize=4, label=name)
    axis.set(xlabel="frames ahead", ylabel="mean squared error", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, ncols=2, fontsize=9)
    save(figure, "frames-errors")


def draw(axis: plt.Axes, frame: Tensor) -> None:
    axis.imshow(frame, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")


def save(figure: plt.Figure, name: str) -> None:
    """As a PNG of few colours: small enough for a repository."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ["digits", "frames"]:
        {"digits": digits, "frames": frames, "choice": choice}[name]()
