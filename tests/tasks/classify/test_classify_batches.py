"""What a classifier learns from side by side, and how its data are split."""

import numpy as np
import torch
from classify_examples import mixed, reviews, rows_of

from gatewise.data.readers.strokes import read_strokes
from gatewise.tasks.classify.batches import InOrder, Shuffled
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.classify.split import FEWEST, split_sequences
from gatewise.tasks.classify.statistics import learn_inputs
from gatewise.tasks.classify.targets import Targets


def test_drawings_are_bent_in_training_alone_and_their_writers_are_not_read(tmp_path):
    for number in range(60):
        points = [(0, 0), (9, 0), (9, 4 + number % 5)] if number % 2 else [(0, 0), (0, 9)]
        lines = [f"{x},{y},0" for x, y in points]
        path = tmp_path / ("corner" if number % 2 else "line") / f"x_{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["START", *lines, "BREAK", ""]))
    drawn = read_strokes(tmp_path)
    classifier = Classifier(hidden_size=8, num_layers=1, ensemble=1, epochs=12, augmentation=0.5).fit(drawn)
    assert [column.name for column in classifier.inputs_.numbers] == ["x", "y", "dx", "dy", "up"]
    assert classifier.inputs_.categories == []
    assert classifier.score(drawn) > 0.9
    rows = np.arange(60)

    def batch(augmentation):
        batches = Shuffled(classifier.inputs_, drawn, rows, rows, batch_size=60, seed=0, augmentation=augmentation)
        return batches.at(0)["numbers"]

    unchanged = InOrder(classifier.inputs_, drawn, rows, rows).at(0)["numbers"]
    assert torch.equal(batch(0.0).sort(1).values, unchanged.sort(1).values)
    assert torch.equal(batch(1.0), batch(1.0))
    assert not torch.equal(batch(0.0), batch(1.0))


def test_every_epoch_holds_each_sequence_once():
    data = mixed(23)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    truth = np.arange(23)
    batches = Shuffled(inputs, data, rows_of(data), truth, batch_size=5, seed=0, augmentation=0.0)
    epochs = [np.concatenate([batches.at(step)["targets"] for step in range(s, s + 5)]) for s in (0, 5)]
    assert [sorted(seen) for seen in epochs] == [list(range(23))] * 2
    assert epochs[0].tolist() != epochs[1].tolist()
    assert np.concatenate([InOrder(inputs, data, rows_of(data), truth).at(0)["targets"]]).tolist() == list(range(23))


def test_parts_are_disjoint_and_each_has_its_share_of_every_class():
    labels = ["rare"] * 100 + ["common"] * 900
    data = reviews(*["a"] * 1000, labels=labels)
    parts = split_sequences(data, Targets("category", ("label",), ("common", "rare")), (0.8, 0.1, 0.1), seed=3)
    assert sorted(np.concatenate([parts.train, parts.validation, parts.test])) == list(range(1000))
    for rows, share in ((parts.train, 80), (parts.validation, 10), (parts.test, 10)):
        assert abs((rows < 100).sum() - share) <= 1


def test_with_few_sequences_all_are_learned_from():
    data = reviews(*["a"] * (10 * FEWEST - 10), labels=["x", "y"] * (5 * FEWEST - 5))
    targets = Targets("category", ("label",), ("x", "y"))
    parts = split_sequences(data, targets, (0.8, 0.1, 0.1), seed=0, targets_apart=True)
    assert len(parts.train) == len(data)
    assert parts.held_out == {}
