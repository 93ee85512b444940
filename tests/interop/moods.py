"""A classifier of ours without a training, for tests of what is exported."""

import torch
from torch import nn

import gatewise
from gatewise.interop import import_model

WORDS = ["<unk>", "a", "bore", "film", "good", "joy", "no", "what"]


class Mood(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 4)
        self.lstm = nn.LSTM(4, 6, 2, bidirectional=True)
        self.output = nn.Linear(12, 2)


def classifier(folder, temperature=1.7):
    """The path of one with random weights, two layers and a mean over steps."""
    torch.manual_seed(0)
    torch.save(Mood().state_dict(), folder / "mood.pt")
    path = folder / "classify.gatewise"
    found = import_model(
        folder / "mood.pt", path, task="classify", reads="mean", vocabulary=WORDS, classes="down,up"
    ).model
    found.temperature_ = temperature
    found.save(path)
    assert gatewise.load(path).task == "classify"
    return path
