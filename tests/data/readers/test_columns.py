"""Columns of tables in Python by themselves, as scikit-learn's users give them, are read as lists and arrays are."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gatewise import Forecaster
from gatewise.data import sources
from gatewise.data.paired.pairs import read_pairs
from gatewise.data.readers.columns import is_column, listed
from gatewise.data.readers.sklearn_arrays import are_integers
from gatewise.data.sources import Roles
from gatewise.errors import DataError
from gatewise.tasks.classify.options import ClassifyOptions
from gatewise.tasks.classify.reading import read_sequences
from gatewise.tasks.tag.options import TagOptions
from gatewise.tasks.tag.reading import read_sequences as read_tagged

INDEX = [7, 3, 9, 1]  # labels that are no places
COLUMNS = {
    "pandas": lambda values: pd.Series(values, index=INDEX),
    "sliced": lambda values: pd.concat([pd.Series(values), pd.Series(values)])[len(values) :],
    "object": lambda values: pd.Series(values, dtype=object),
    "nullable": lambda values: pd.Series(values).convert_dtypes(),
    "category": lambda values: pd.Series(values, dtype="category"),
    "categorical": pd.Categorical,
    "index": pd.Index,
    "polars": pl.Series,
    "arrow": pa.array,
    "chunked": lambda values: pa.chunked_array([values[:1], values[1:]]),
    "tuple": tuple,
}
TEXTS = {
    "string": lambda values: pd.Series(values, dtype="string"),
    "arrow-string": lambda values: pd.Series(values, dtype="string[pyarrow]"),
    "numpy": np.array,
    "numpy-string": lambda values: np.array(values, np.dtypes.StringDType()),
    "numpy-object": lambda values: np.array(values, object),
}
each_column = pytest.mark.parametrize("column", [pytest.param(make, id=name) for name, make in COLUMNS.items()])
WORDS = ["what a day", "001", "None", "ruh"]
TARGETS = {
    "words": ["b", "None", "a", "b"],
    "whole": [3, 1, 3, 2],
    "flags": [True, False, True, True],
    "real": [0.5, 1, 2, 3],
}


def read(x, y=None):
    return read_sequences(x, y, ClassifyOptions())


@pytest.mark.parametrize("column", [pytest.param(make, id=name) for name, make in (COLUMNS | TEXTS).items()])
def test_a_column_of_texts(column):
    assert read(column(WORDS)).fingerprint() == read(WORDS).fingerprint()


@pytest.mark.parametrize("kind", TARGETS)
@each_column
def test_a_column_of_targets(column, kind):
    x, y = np.arange(8.0).reshape(4, 2), TARGETS[kind]
    assert read(x, column(y)).fingerprint() == read(x, np.array(y)).fingerprint()
    assert are_integers(column(y)) == (kind in ("whole", "flags"))  # as of an array


@pytest.mark.parametrize(
    "column", [pd.Series, pl.Series, pa.array, lambda rows: pd.Series([np.array(row) for row in rows], index=INDEX)]
)
def test_columns_of_lists(column):
    numbers = [[1.0, 2, 3], [4.0, 5, 6], [7.0, 8, 9], [0.0, 0, 1]]
    assert read(column(numbers)).fingerprint() == read(np.array(numbers)).fingerprint()
    tokens, labels = [["Ada", "ran"], ["so"], ["did", "the", "dog"], ["."]], [["B", "O"], ["O"], ["O", "O", "B"], ["O"]]
    found, wanted = (read_tagged(make(tokens), make(labels), TagOptions(), None) for make in (column, list))
    assert found.fingerprint() == wanted.fingerprint()
    assert found.column("label").strings() == ["B", "O", "O", "O", "O", "B", "O"]


@pytest.mark.parametrize("column", [make for make in COLUMNS.values() if make is not tuple])  # which is two files
def test_columns_of_pairs(column):
    sources, targets = ["one", "two", "red", "1"], ["uno", "dos", "rojo", "1"]
    found = read_pairs(column(sources), column(targets))
    assert (found.sources, found.targets) == (sources, targets)
    assert read_pairs(column(sources), with_targets=False).sources == sources


MISSING = {
    "none": [None, "a", "b"],
    "nan": [float("nan"), "a", "b"],
    "pandas": pd.Series([None, "a", "b"]),
    "NA": pd.Series([pd.NA, "a", "b"], dtype="string"),
    "object": pd.Series([pd.NA, "a", "b"], dtype=object),
    "category": pd.Categorical([None, "a", "b"]),
    "polars": pl.Series([None, "a", "b"]),
    "arrow": pa.array([None, "a", "b"]),
}


@pytest.mark.parametrize("words", MISSING.values(), ids=MISSING)
def test_what_is_missing_is_no_word(words):
    with pytest.raises(DataError, match=r"sequence 0: no value\. Leave it out"):
        read(words)
    assert read(np.eye(3), words).column("label").strings() == [None, "a", "b"]


def test_a_missing_whole_number_leaves_the_others_whole():
    column = read(np.eye(3), pd.Series([pd.NA, 3, 2], dtype="Int64")).column("label")
    assert column.strings() == [None, "3", "2"]


@pytest.mark.parametrize(
    "table", [pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pa.table({"a": [1]}), np.eye(2), [1], "a"]
)
def test_what_is_no_column(table):
    assert not is_column(table)
    assert listed(table) is table


@pytest.mark.parametrize("made", [pd.Series([1.0, None, 3.0], name="load"), pl.Series("load", [1.0, None, 3.0])])
def test_a_series_alone_is_a_table_of_its_numbers(made):
    found = sources.read(made, roles=Roles(per_step=True))
    assert found.lengths.tolist() == [3]
    np.testing.assert_array_equal(found.steps["load"].values, np.float32([1, np.nan, 3]))


def test_the_index_of_a_series_is_its_time():
    series = pd.Series(range(100), index=pd.date_range("2021-01-01", periods=100, freq="h", name="hour"))
    forecaster = Forecaster(horizon=2, epochs=0.1, threads=1).fit(series)
    assert (forecaster.targets_, str(forecaster.frequency_)) == (("value",), "hourly")
    assert forecaster.predict(series[-60:]).shape == (1, 2)
