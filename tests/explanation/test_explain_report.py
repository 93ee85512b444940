"""The report as a document: what it holds comes back, and what contradicts itself is refused."""

import json

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.explanation.inside import Flip
from gatewise.explanation.packed import Packed
from gatewise.explanation.report import Added, Answer, Attribution, Input, Provenance, Report, Target
from gatewise.explanation.writing import text

OPTIONAL = (
    *("attribution", "because", "contrasts", "connectivity", "memory", "streams", "gate_ablation", "units", "flip"),
    *("interactions", "walk", "reliability", "composition", "grids"),
)


def report(**parts):
    made = Provenance(
        model="m.gatewise",
        fingerprint="0" * 64,
        task="classify",
        cell="lstm",
        equations=["c = f * c_prev + i * g"],
        data="rows.csv",
        row=3,
        command="gatewise explain m.gatewise rows.csv --row 3",
        method="integrated gradients",
        points=16,
        seed=0,
        versions={"gatewise": "0.1.0"},
        seconds=0.1,
    )
    return Report(
        answer=Answer(text="B", probability=0.9),
        target=Target(kind="class", text="the lead of B over A", unit="nats", name="B", against="A"),
        inputs=[Input(name="series", kind="numbers", labels=["1", "2"], channels=["a", "b"])],
        provenance=made,
        missing={name: "not asked for" for name in OPTIONAL if name not in parts},
        **parts,
    )


def attribution(**changed):
    given = {"score": 1.5, "baseline": 0.5, "usual": "zero", "remainder": 0.25}
    added = Added(input="series", steps=[0.5, 0.25], channels=Packed.of([[0.5, 0.0], [0.25, 0.0]]))
    return Attribution(**{**given, "added": [added], **changed})


def test_a_report_comes_back_from_json():
    whole = report(attribution=attribution())
    document = json.dumps(whole.to_json(), allow_nan=False)
    again = Report.from_json(json.loads(document))
    assert json.dumps(again.to_json()) == document
    assert again.rows() == whole.rows()
    assert again.rows()["channel"] == ["a", "b", "a", "b"]
    assert again.rows()["added"] == [0.5, 0.0, 0.25, 0.0]


def test_a_report_is_one_line_in_a_console():
    assert repr(report(attribution=attribution())) == "<Report of the lead of B over A: 'B'>"


def test_lines_for_a_terminal_fit_it():
    whole = report(attribution=attribution(), flip=Flip(answer=" ", score=1.0, places=[], exhaustive=True))
    assert text(whole) == "answer       B, 90% sure\nwould flip   by no steps that were tried"
    assert text(whole, 26).splitlines()[1:] == [
        "would flip   by no steps",
        "             that were",
        "             tried",
    ]


def test_packed_arrays_keep_their_bits():
    values = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(Packed.of(values).array, values)
    assert Packed.of(np.zeros((0, 5))).array.shape == (0, 5)
    exact = np.float64(values) / 3
    np.testing.assert_array_equal(Packed.exactly(exact).array, exact)
    assert Packed.exactly(np.float64(values)) == Packed.of(values)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"base64": "AAAA"}, "3 bytes, where its shape"),
        ({"base64": "not base64"}, "not base64"),
        ({"shape": [-1]}, "whole number"),
    ],
)
def test_packed_arrays_of_another_size_are_refused(wrong, message):
    document = report(attribution=attribution()).to_json()
    document["attribution"]["added"][0]["channels"] = {"shape": [1], "base64": "AAAAAA==", **wrong}
    with pytest.raises(ModelFileError, match=message):
        Report.from_json(document)


def test_parts_have_to_add_up():
    with pytest.raises(ValueError, match=r"parts sum to 1\.5, but the score is 2"):
        attribution(score=2.0)


def test_a_part_is_there_or_missing_for_a_reason():
    document = report().to_json()
    del document["missing"]["flip"]
    with pytest.raises(ModelFileError, match="'flip' has to be there"):
        Report.from_json(document)
    with pytest.raises(ValueError, match="names 'answer'"):
        Report(**{**vars(report()), "missing": {**report().missing, "answer": "gone"}})


def test_an_attribution_has_a_number_for_each_step():
    with pytest.raises(ValueError, match="'series' has 2 steps, and 1 attributions"):
        report(attribution=attribution(added=[Added(input="series", steps=[0.75])]))


def test_a_report_of_another_format_is_refused():
    with pytest.raises(ModelFileError, match="format 2, and this version reads 1"):
        Report.from_json({**report().to_json(), "format": 2})
