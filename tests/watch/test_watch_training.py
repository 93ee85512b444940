"""Looking at a training: what it leaves in the record, and that it changes nothing."""

import json
from types import SimpleNamespace

import pytest
import torch
from training_toy import Toy, Workshop, interrupt
from watched import Net, learn, tokens

from gatewise.training import TrainingStopped
from gatewise.training.history import read
from gatewise.training.watching import Watching
from gatewise.watch.look import Look


def language():
    return Net("lstm", 12, 16, 12, every_step=True)


@pytest.mark.parametrize("plan", [{}, {"schedule": "schedule-free"}, {"race": True}], ids=str)
def test_no_bit_of_a_training_depends_on_being_looked_at(tmp_path, plan):
    watched = learn(tmp_path / "watched", language(), tokens(10), steps=60, **plan)
    alone = learn(tmp_path / "alone", language(), tokens(10), steps=60, share=None, **plan)
    assert sum(line["kind"] == "look" for line in watched.lines) >= 4
    for (name, weight), other in zip(watched.net.named_parameters(), alone.net.parameters(), strict=True):
        assert torch.equal(weight, other), name
    rest = [{**line, "seconds": 0} for line in watched.lines if line["kind"] != "look"]
    assert rest == [{**line, "seconds": 0} for line in alone.lines]


class WatchedToy(Toy):
    """Carries a state from step to step, draws at random, counts in a buffer."""

    def training_loss(self, batch):
        if self.training:
            return super().training_loss(batch)
        return self._loss(batch) / batch[1:].numel()


def test_carried_states_and_random_numbers_are_as_they_would_be(tmp_path):
    toys = {}
    for watch in (None, Look(tmp_path / "run.html", "toy", 1e9)):
        toys[watch is None] = toy = WatchedToy()
        Workshop(tmp_path).train(toy, watch=watch)
    for (name, weight), other in zip(toys[True].named_parameters(), toys[False].parameters(), strict=True):
        assert torch.equal(weight, other), name


def test_a_look_says_what_happened_since_the_one_before(tmp_path):
    found = learn(tmp_path / "run", language(), tokens(10), steps=60, clip=0.05)
    looks = [line for line in found.lines if line["kind"] == "look"]
    assert [look["step"] for look in looks] == [12, 24, 36, 48, 60]
    norms = [line["gradient_norm"] for line in found.lines if line["kind"] == "train"]
    assert looks[0]["clipped"]["share"] == 1.0
    assert looks[0]["clipped"]["limit"] == 0.05
    assert min(norms) / 0.05 <= looks[-1]["clipped"]["ratio"] <= max(norms) / 0.05
    assert set(looks[0]["updates"]) == {name for name, _ in found.net.named_parameters()}
    assert all(0 < ratio < 1 for look in looks for ratio in look["updates"].values())
    assert looks[-1]["losses"][0] < looks[0]["losses"][0]
    assert looks[-1]["spread"] > looks[0]["spread"]


def test_the_update_ratio_is_that_of_a_step_made_by_hand():
    net = torch.nn.Linear(3, 2)
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.bias.fill_(0.0)
    watching = Watching(SimpleNamespace(share=1.0, page="x", look=lambda *_: {}), [0], [0], 1.0)
    watching.before_update(net.parameters())
    with torch.no_grad():
        net.weight += 0.01
        net.bias += 0.01
    watching.after_update(net)
    for norm in (0.5, 2.0, 4.0, 4.0):
        watching.gradient(norm)
    watching._batches = (None, None)
    look = watching.look(net, torch.device("cpu"))
    assert look["updates"] == {"weight": pytest.approx(0.005, rel=1e-5)}  # of a bias that was zero there is no ratio
    assert look["clipped"] == {"share": 0.75, "ratio": 3.0, "limit": 1.0}


def test_looks_keep_to_their_share_of_the_time():
    watching = Watching(SimpleNamespace(share=0.03, page="x"), [0], [0], None)
    assert watching.due(0.0)  # one there always is
    watching._took(0.3, new=True)
    assert not watching.due(19.9)  # both together would be above 3 % of it
    assert watching.due(20.0)
    watching._took(0.3, new=True)
    assert not watching.due(29.0)
    assert watching.due(30.0)


def test_a_run_that_is_resumed_keeps_its_looks(tmp_path):
    workshop = Workshop(tmp_path)
    plan = workshop.plan()

    def look():
        return Look(tmp_path / "run.html", "toy", 1e9)

    first = WatchedToy(on_training=lambda call, toy: interrupt() if call == 15 else None)
    assert workshop.train(first, plan, watch=look()).reason == "interrupted"
    workshop.train(WatchedToy(), plan, watch=look(), resume=True)
    assert [line["step"] for line in workshop.lines() if line["kind"] == "look"] == [6, 12, 18, 24, 26]


def test_a_page_that_cannot_be_written_stops_a_training_as_any_of_its_files_does(tmp_path):
    class Full(Look):
        def show(self, history):
            raise OSError(28, "No space left on device")

    workshop = Workshop(tmp_path)
    with pytest.raises(TrainingStopped, match=r"run.html.*No space left") as stopped:
        workshop.train(WatchedToy(), watch=Full(tmp_path / "run.html", "toy", 1e9))
    assert stopped.value.outcome.reason == "cannot write"


def test_networks_without_layers_of_ours_are_watched_too(tmp_path):
    workshop = Workshop(tmp_path)
    workshop.train(WatchedToy(), watch=Look(tmp_path / "run.html", "toy", 1e9))
    look = next(line for line in read(workshop.metrics) if line["kind"] == "look")
    assert look["layers"] == {}
    assert look["spread"] is None
    assert json.loads(workshop.metrics.read_text().splitlines()[-1])["step"] == 26
