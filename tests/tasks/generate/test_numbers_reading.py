"""What is read as numbers, and what is refused."""

import math

import numpy as np
import pandas
import pytest
from numbers_examples import TINY, strokes

from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, GatewiseError, OptionError
from gatewise.tasks.generate.estimator import Generator


def table(waves):
    rows = [(n, t, *step) for n, one in enumerate(waves) for t, step in enumerate(one)]
    return pandas.DataFrame(rows, columns=["who", "when", "x", "y", "up"])


def one(values):
    return Sequences(np.array([0, len(values)]), {"x": Column("x", "number", np.asarray(values, np.float32))})


def test_ways_to_give_numbers(waves, tmp_path):
    frame, roles = table(waves), {"key": "who", "time": "when"}
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "a.npz", x=np.stack([one[:12] for one in waves]))
    once = {**TINY, "epochs": 0.2}
    want = ["x", "y", "up"]
    for data, options, names in [
        (frame, roles, want),
        (str(tmp_path / "t.csv"), roles, want),
        ([str(tmp_path / "t.csv")], {**roles, "columns": "y,up"}, ["y", "up"]),
        (frame[["x", "y"]], {}, ["x", "y"]),
        (str(tmp_path / "a.npz"), {}, ["channels 0", "channels 1", "channels 2"]),
        (strokes(tmp_path / "s.zip", np.random.default_rng(0)), {}, ["dx", "dy", "up"]),
        (np.sin(np.arange(90.0))[None], {}, ["channels"]),
    ]:
        model = Generator(**once, **options).fit(data)
        assert model.numbers_.channels.names == names
        assert (
            model.numbers_.ends == (len(names) != 2 or "up" in names)
            if names != ["channels"]
            else not model.numbers_.ends
        )
        assert math.isfinite(model.metrics_["test"]["loss"])
    assert not Generator().reads_numbers(
        str(tmp_path / "t.csv")
    )  # a text like any other, as long as no column is named


def test_a_table_is_not_read_beside_other_files(waves, tmp_path):
    table(waves).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        OptionError, match=r"only drawings are read from several files, and '.*t.csv' holds none. Give one table"
    ):
        Generator(columns="x").fit([str(tmp_path / "t.csv"), str(tmp_path / "drawings.zip")])


def test_tables_may_be_in_any_encoding(tmp_path):
    rows = "".join(f"Köln,{n},{math.sin(n)}\n" for n in range(80))
    (tmp_path / "t.csv").write_text(f"ort,zeit,wärme\n{rows}", encoding="latin-1")
    model = Generator(**{**TINY, "epochs": 0.2}, key="ort", time="zeit")
    with pytest.raises(DataError, match="is not utf-8"):
        model.fit(str(tmp_path / "t.csv"))
    model.fit(str(tmp_path / "t.csv"), encoding="latin-1")
    assert model.numbers_.channels.names == ["wärme"]
    assert "test" in model.evaluate(str(tmp_path / "t.csv"), encoding="latin-1")


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (one([1, math.nan, *range(80)]), {}, "'x' is [nan] at step 1. Fill such gaps first"),
        (one([1.0, 2.0]), {}, "too few steps|no validation part"),
        (one(np.arange(50.0)), {"columns": "y"}, "no column of steps named 'y'"),
        (one(np.arange(50.0)), {"split": (0.999, 0.001, 0)}, "50 steps leave no validation part"),
        (one(np.arange(50.0)), {"tie_weights": False}, "tie_weights=False is for text, and these are numbers"),
        (one(np.arange(100.0)), {"proj_size": 12}, "proj_size must be below hidden_size, which is 12"),
        (np.zeros((2, 0)), {}, "Give at least one sequence"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_data_and_options(data, options, said, tmp_path):
    with pytest.raises(GatewiseError) as caught:
        Generator(**{**TINY, **options}).fit(data, output=tmp_path / "model")
    assert any(part in str(caught.value) for part in said.split("|")), caught.value
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_data_must_have_the_channels(fitted):
    with pytest.raises(DataError, match="has 2 channels, but the model learned from 3"):
        fitted.evaluate([np.zeros((5, 2))] * 2)
    with pytest.raises(DataError, match="'channels 2' holds other numbers than 0 and 1"):
        fitted.evaluate([np.full((5, 3), 0.5)] * 2)
    for beginning in ([[1.0, 2.0]], np.zeros((0, 3)), [1.0, 2.0, 3.0], [[1, 2, math.nan]]):
        with pytest.raises(DataError, match=r"a beginning must be \(T, 3\) finite numbers \(.*\), not of shape"):
            fitted.sample(np.array(beginning))
    with pytest.raises(OptionError, match="length must be"):
        fitted.sample(length=0)
    with pytest.raises(OptionError, match="temperature must be"):
        fitted.sample(temperature=-1)
    with pytest.raises(OptionError, match="top_k, top_p, stop and unknown are for text"):
        fitted.sample(top_k=3)
    with pytest.raises(OptionError, match="unknown is for text"):
        fitted.evaluate(np.zeros((2, 5, 3)), unknown="skip")
    for beginning in ([[1.0, 2.0, 0.0], [3.0]], [["a", "b", "c"]]):
        with pytest.raises(DataError, match=r"a beginning must be \(T, 3\) numbers \(.*\), not a list"):
            fitted.sample(beginning)
    with pytest.raises(OptionError, match="a prompt of numbers is an array"):
        fitted.sample("today.csv")
    for seed in (-1, "x", 0.5):
        with pytest.raises(OptionError, match="seed must be a whole number, 0 or more"):
            fitted.sample(seed=seed)
