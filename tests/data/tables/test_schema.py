"""A table that is read by what was learned of another: nothing is guessed anew, and what differs is told."""

import dataclasses
import json

import numpy as np
import pytest

from gatewise.data.sources import Roles, read
from gatewise.data.tables.schema import ColumnSchema, CSVFormat, Schema, Spelling
from gatewise.document import read as read_document
from gatewise.errors import DataError, GatewiseError, ModelFileError

TRAINED = (
    "id;when;amount;code;note;flag\n"
    "01;31.12.2020;1.234,5;7;first one;yes\n"
    "02;01.01.2021;12,25;A1;another one;no\n"
    "03;02.01.2021;-3;B9;a third;yes\n"
)


@pytest.fixture
def learned(tmp_path):
    path = tmp_path / "trained.csv"
    path.write_text(TRAINED)
    return read(path, roles=Roles(columns=["when", "amount", "code", "note", "flag"])).schema


def read_as(schema, source, roles=None):
    found = read(source, roles=roles or Roles(), schema=schema)
    return {
        name: column.strings() if column.kind in ("category", "text") else column.values.tolist()
        for name, column in {**found.steps, **found.static}.items()
    }


def text_of(tmp_path, text, name="new.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_what_is_kept(learned):
    assert learned.described() == {
        "when": "times like 31.12.2020",
        "amount": "numbers like 1.234,5",
        "code": "categories",
        "note": "categories",
        "flag": "categories",
        "separator": ";",
    }
    assert (learned.csv.separator, learned.csv.header) == (";", True)


def test_a_model_file_gives_it_back(learned):
    document = json.loads(json.dumps(dataclasses.asdict(learned)))
    assert read_document(Schema, document) == learned
    for place, value in (("kind", "colour"), ("type", 5), ("written", 7), ("spelling", {"decimal": "x"})):
        broken = json.loads(json.dumps(document))
        broken["columns"]["when"][place] = value
        with pytest.raises(ModelFileError):
            read_document(Schema, broken)


def test_a_single_row(learned, tmp_path):
    """Ten in the month could be read either way, 7 is a code, and the number has decimals."""
    row = text_of(tmp_path, "when;amount;code;note;flag\n10.11.2021;1,5;7;5;no\n")
    assert read_as(learned, row) == {
        "when": [np.datetime64("2021-11-10", "us").item()],
        "amount": [1.5],
        "code": ["7"],
        "note": ["5"],
        "flag": ["no"],
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("note;code\n2021-01-01;\n2021-01-02;8\n", {"note": ["2021-01-01", "2021-01-02"], "code": [None, "8"]}),
        ("code;amount\n7;\n7;\n", {"code": ["7", "7"], "amount": [None, None]}),
        ("when;amount\n;1,5\n", {"when": [None], "amount": [1.5]}),
        ("flag\ntrue\n", {"flag": ["true"]}),
        ("code,amount\n7,1.234\n", {"code": ["7"], "amount": [1234]}),  # another separator, the same numbers
        ("extra;code\nnan;x\n", {"code": ["x"]}),  # what was not learned is not read
    ],
)
def test_small_tables(learned, tmp_path, text, found):
    have = read_as(learned, text_of(tmp_path, text))
    same = {name: [None if value != value else value for value in values] for name, values in have.items()}
    assert same == found


def test_what_a_data_frame_makes_of_it(learned):
    """Codes that are numbers now, whole ones made real by a missing value, times that are times."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(["2021-11-10", "2021-11-11"]),
            "amount": [1.5, None],
            "code": [7.0, None],
            "note": [1, 2],
            "flag": [None, None],
        }
    )
    found = read_as(learned, frame)
    assert found["code"] == ["7", None]
    assert found["note"] == ["1", "2"]
    assert found["flag"] == [None, None]
    assert found["amount"][0] == 1.5
    assert np.isnan(found["amount"][1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amount\n1,5\n1.5\n", r"row 2, column 'amount': '1\.5' came where the model learned numbers like 1\.234,5"),
        ("when\n31.12.2021\n12/31/2021\n", r"row 2, column 'when': .* learned times like 31\.12\.2020"),
        ("amount\nmuch\n", r"row 1, column 'amount': 'much' came"),
    ],
)
def test_what_differs_is_told(learned, tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_as(learned, text_of(tmp_path, text))


def test_other_columns_are_told(learned):
    with pytest.raises(DataError, match=r"no column named 'when'\. Known: day, sum"):
        read_as(learned, {"day": ["31.12.2020"], "sum": [5.0]})


def test_another_type_is_told(learned):
    with pytest.raises(DataError, match="'when' is BOOLEAN, but the model learned times like"):
        read_as(learned, {"when": [True, False]})


def test_the_user_may_say_how_numbers_are_written_now(learned, tmp_path):
    path = text_of(tmp_path, "amount\n1.234\n7.5\n")
    assert read_as(learned, path, Roles(csv=CSVFormat(decimal="."))) == {"amount": pytest.approx([1.234, 7.5])}


@pytest.mark.parametrize(
    ("trained", "new", "first"),
    [
        ("0\n60\n120", "1650\n1710", "1970-01-01T00:27:30"),  # a counter of seconds that has come to what years are
        ("2019\n2020\n2021", "2022", "2022-01-01"),
        ("20191230\n20191231\n20200101", "20200102", "2020-01-02"),
        ("1600000000\n1600000060", "1700000000", "2023-11-14T22:13:20"),
    ],
)
def test_numbers_that_are_times(tmp_path, trained, new, first):
    roles = Roles(time="t", per_step=True)
    (tmp_path / "a.csv").write_text("t,y\n" + "".join(f"{t},1.5\n" for t in trained.split()))
    (tmp_path / "b.csv").write_text("t,y\n" + "".join(f"{t},1.5\n" for t in new.split()))
    schema = read(tmp_path / "a.csv", roles=roles).schema
    found = read(tmp_path / "b.csv", roles=roles, schema=schema).steps["t"].values
    assert found[0] == np.datetime64(first, "us")
    # The same from a table with types.
    typed = {"t": [int(t) for t in new.split()], "y": [1.5] * len(new.split())}
    np.testing.assert_array_equal(read(typed, roles=roles, schema=schema).steps["t"].values, found)


def test_a_date_and_a_time_of_day(tmp_path):
    roles = Roles(time="day,clock", per_step=True)
    (tmp_path / "a.csv").write_text("day,clock,y\n" + "".join(f"{d}/12/2020,10:30,1\n" for d in range(1, 32)))
    schema = read(tmp_path / "a.csv", roles=roles).schema
    assert schema.columns["day"].written == "31/12/2020"
    (tmp_path / "b.csv").write_text("day,clock,y\n05/06/2021,08:15,2\n")
    found = read(tmp_path / "b.csv", roles=roles, schema=schema).steps["time"].values
    assert found[0] == np.datetime64("2021-06-05T08:15", "us")


def test_a_file_may_know_its_columns_without_a_header(tmp_path):
    (tmp_path / "a.csv").write_text("1,x\n2,y\n3,x\n4,y\n")
    schema = read(tmp_path / "a.csv").schema
    (tmp_path / "b.csv").write_text("x,x\n")
    with pytest.raises(DataError, match="'x' came where the model learned numbers"):
        read_as(schema, tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("7,x\n")
    assert read_as(schema, tmp_path / "b.csv") == {"column1": [7], "column2": ["x"]}


def test_a_schema_that_no_table_has(learned):
    impossible = dataclasses.replace(
        learned, columns={"when": ColumnSchema("time", "VARCHAR", written="'); DROP TABLE data; --")}
    )
    with pytest.raises(GatewiseError, match="Train it again"):
        read_as(impossible, {"when": ["2021-01-01"]})
    assert Spelling(",", ".", "€") != Spelling()
