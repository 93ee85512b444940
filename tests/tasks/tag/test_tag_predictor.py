"""From features to labels: the tagger's predictor."""

import numpy as np
import pandas as pd
from tag_examples import SMALL, tagged

from gatewise.tasks import Tagger
from gatewise.tasks.tag.architecture import forward


def test_predictions_obey_the_scheme_even_untrained():
    data = tagged(30)
    tagger = Tagger(**{**SMALL, "epochs": 0.01}).fit(data)
    for labels in tagger.predict(data):
        before = "O"
        for label in labels:
            assert label[0] != "I" or before[1:] == label[1:]
            before = label


def test_a_prediction_depends_on_its_sequence_alone(namer):
    data = tagged(40, seed=5)
    together = namer.predict(data)
    for one, labels in zip(data, together, strict=True):
        assert namer.predict(one)[0].tolist() == labels.tolist()
    encoded = namer.features_.encode(data)
    scores, _ = forward(namer._net, encoded.batch(data.offsets[:-1], data.lengths))
    for row in range(5):
        alone, _ = forward(namer._net, encoded.batch(data.offsets[row : row + 1], data.lengths[row : row + 1]))
        assert np.array_equal(alone[:, 0], scores[: len(alone), row])


def test_predictions_come_in_chunks(namer):
    data = tagged(1500, seed=6)
    chunks = list(namer.predictions(data))
    assert len(chunks) > 1
    assert all(len(chunk["predicted"]) <= 4096 for chunk in chunks)
    joined = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    assert joined["predicted"].tolist() == np.concatenate(namer.predict(data)).tolist()
    assert joined["token"].tolist() == data.steps["token"].strings()
    assert joined["sequence"].tolist() == np.repeat(np.arange(1500), data.lengths).tolist()
    assert joined["step"][:12].tolist() == [*range(data.lengths[0]), *range(12 - data.lengths[0])]


def test_decoding_in_small_batches_changes_nothing(namer):
    data = tagged(30, seed=11)
    encoded = namer.features_.encode(data)
    predictor = namer._predictor()
    assert np.array_equal(predictor.decode(encoded, 8), predictor.decode(encoded))


def test_predictions_say_which_step_they_are_of():
    hours = pd.date_range("2024-03-30 22:00", periods=12, freq="h", tz="Europe/Berlin")
    one = pd.DataFrame({"when": hours, "word": ["a", "b"] * 6, "label": ["x", "y"] * 6})
    table = pd.concat([one.assign(machine="m1"), one.assign(machine="007")])
    tagger = Tagger(**{**SMALL, "epochs": 1}, key="machine", time="when").fit(table)
    found = pd.concat(
        map(pd.DataFrame, tagger.predictions(table.drop(columns="label").sample(frac=1, random_state=1))),
        ignore_index=True,
    )
    assert list(found) == ["machine", "sequence", "step", "when", "predicted"]
    assert sorted(set(found["machine"])) == ["007", "m1"]
    assert found["step"].tolist() == [*range(12), *range(12)]
    assert pd.to_datetime(found["when"], utc=True).tolist() == [*hours.tz_convert("UTC"), *hours.tz_convert("UTC")]
    [plain] = tagger.predictions(table.iloc[:3].drop(columns="label"))
    assert plain["machine"].tolist() == ["m1"] * 3
