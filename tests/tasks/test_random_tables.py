"""However a table is named, typed, spelled and encoded: a model answers some of its rows as it answers all of them."""

import datetime
import io
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewise import Classifier
from gatewise.data.sources import Roles, read

ROWS = 40
NAMES = ("Wert", "value (EUR)", "2021", "NA", "größe", "时间", "a b", 'x"y', "select", "group", "label2", "None", "T")
TEXTS = ("well, then", "so; no", "5", "a  b", "né", "true", "2021-01-01", 'say "it"', "日本語", "NA")


def number(spelling):
    """How a number is written."""
    decimal, thousands = spelling

    def write(rng):
        text = f"{rng.uniform(-5000, 5000):,.2f}"
        return text.replace(",", "\0").replace(".", decimal).replace("\0", thousands)

    return write


def moment(form):
    return lambda rng: (datetime.datetime(2020, 3, 1) + datetime.timedelta(minutes=rng.randrange(400_000))).strftime(
        form
    )


def kinds(decimal):
    """What a column may hold, by name: a function that writes one cell."""
    thousands = {".": ("", ","), ",": ("", ".", " ")}[decimal]
    found = {f"number {sign!r}": number((decimal, sign)) for sign in thousands}
    found |= {form: moment(form) for form in ("%Y-%m-%d", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d %b %y")}
    return found | {
        "counter": lambda rng: str(rng.randrange(3000)),
        "code": lambda rng: rng.choice(("A1", "007", "7", "B_2", "None")),
        "flag": lambda rng: rng.choice(("True", "False")),
        "text": lambda rng: " ".join(rng.choices(TEXTS, k=rng.randrange(2, 8))),
        "percent": lambda rng: f"{rng.randrange(100)} %",
        "rare": lambda rng: rng.choice(("", "", "x")),
        "constant": lambda rng: "3",
    }


@st.composite
def tables(draw):
    """Names, rows of cells, and how they are written."""
    decimal = draw(st.sampled_from([".", ","]))
    possible = kinds(decimal)
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique_by=str.lower))
    columns = ["code", *(draw(st.sampled_from(sorted(possible))) for _ in names[1:])]  # times alone teach nothing
    rng = random.Random(draw(st.integers(0, 10_000)))
    gaps = draw(st.sampled_from([0.0, 0.2]))
    rows = [["" if rng.random() < gaps else possible[kind](rng) for kind in columns] for _ in range(ROWS)]
    rows[0] = [possible[kind](rng) for kind in columns]  # no column is empty throughout
    separator = draw(st.sampled_from([";", "\t", "|"] if decimal == "," else [",", ";", "\t"]))
    return names, rows, separator, draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])), draw(st.booleans())


def written(table, which):
    """A file of some of the rows, with the label behind them."""
    names, rows, separator, encoding, windows = table
    out = io.StringIO()

    def line(cells):
        quoted = [f'"{c.replace(chr(34), 2 * chr(34))}"' if any(s in c for s in (separator, '"')) else c for c in cells]
        out.write(separator.join(quoted) + ("\r\n" if windows else "\n"))

    line([*names, "mood"])
    for row in which:
        line([*rows[row], ("good", "bad")[row % 2]])
    return out.getvalue().encode(encoding)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def drawn(count):
    """The same tables and rows of them every time, so many."""
    which = st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=6, unique=True)
    once = settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    return lambda test: once(given(table=tables(), which=which)(test))


@drawn(20)
def test_some_rows_are_read_as_all_are(folder, table, which):
    read_alike(folder, table, which)


@pytest.mark.slow
@drawn(200)
def test_some_rows_of_many_tables_are_read_as_all_are(folder, table, which):
    read_alike(folder, table, which)


def read_alike(folder, table, which):
    """By columns that the schema names, value by value."""
    whole, some = folder / "whole.csv", folder / "some.csv"
    whole.write_bytes(written(table, range(ROWS)))
    some.write_bytes(written(table, which))
    roles = Roles(target=["mood"])
    everything = read(whole, roles=roles)
    part = read(some, roles=roles, schema=everything.schema)
    assert list(part.schema.columns) == list(everything.schema.columns)
    for name in everything.schema.columns:
        wanted, found = everything.column(name), part.column(name)
        assert found.kind == wanted.kind
        if wanted.kind in ("category", "text"):
            assert found.strings() == [wanted.strings()[row] for row in which]
        else:
            np.testing.assert_array_equal(found.values, wanted.values[which])


@drawn(3)
def test_some_rows_are_answered_as_all_are(folder, table, which):
    answered_alike(folder, table, which)


@pytest.mark.slow
@drawn(20)
def test_some_rows_of_many_tables_are_answered_as_all_are(folder, table, which):
    answered_alike(folder, table, which)


def answered_alike(folder, table, which):
    whole, some = folder / "whole.csv", folder / "some.csv"
    whole.write_bytes(written(table, range(ROWS)))
    some.write_bytes(written(table, which))
    model = Classifier(target="mood", epochs=1, ensemble=1, hidden_size=4, threads=1).fit(whole)
    model.save(folder / "m.gatewise")
    fresh = Classifier.load(folder / "m.gatewise")
    np.testing.assert_allclose(fresh.predict_proba(some), model.predict_proba(whole)[which], atol=1e-5)
    np.testing.assert_array_equal(fresh.predict(some), model.predict(whole)[which])
