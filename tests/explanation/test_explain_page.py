"""The page of a report, as a file."""

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from report_examples import media_report, series_report, text_report

from gatewise import cells
from gatewise.algebra.mathml import mathml
from gatewise.errors import OptionError
from gatewise.explanation import page as pages
from gatewise.explanation.page import LIMIT, page, write


def document(text):
    [found] = re.findall(r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


@pytest.mark.parametrize("report", [text_report(), series_report(), media_report()], ids=["text", "series", "media"])
def test_the_numbers_on_the_page_are_those_of_the_report(report):
    found, said = document(page(report)), json.loads(json.dumps(report.to_json()))
    for name in ("answer", "target", "attribution", "memory", "gate_ablation", "units", "reliability", "flip"):
        assert found[name] == said[name]


def test_scripts_and_styles_are_the_only_ones_that_its_policy_allows():
    text = page(text_report())
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        [inner] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r"\b(src|href)=\"?(https?:)?//", text)


def test_a_notebook_shows_the_page_in_a_frame(monkeypatch):
    report = text_report(labels=['"><script>alert(1)</script>', "<!--", "b"])
    frames = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            frames.append((tag, dict(attributes)))

    Reader().feed(report._repr_html_())
    [(tag, attributes)] = frames
    assert tag == "iframe"
    assert attributes["srcdoc"] == page(report)
    monkeypatch.setattr(pages, "LIMIT", 1000)
    assert "more than 1 kB" in report._repr_html_()


def test_the_words_of_a_user_do_not_end_the_element_they_are_in():
    text = page(text_report(labels=["</script><script>alert(1)</script>", "<!--", "b"]))
    assert text.count("</script>") == 2
    assert document(text)["inputs"][0]["labels"][0] == "</script><script>alert(1)</script>"


def test_equations_are_mathematics_where_the_cell_is_known():
    report = text_report()
    assert "<template" not in page(report)
    cell = cells.find("mlstm")
    made = replace(report.provenance, cell_program=json.loads(json.dumps(cell.to_json())))
    text = page(replace(report, provenance=made))
    [found] = re.findall('<template id="equations"><div [^>]*>(.*?)</div></template>', text)
    assert found == "".join(mathml(cell))
    assert "cell_program" not in document(text)["provenance"]


def unfolded(stream):
    """(T, U) as the page reads it, written again from the description in `page.py`."""
    codes = np.frombuffer(zlib.decompress(base64.b64decode(stream["data"])), np.uint8)
    if stream["shades"] <= 16:
        codes = np.stack([codes & 15, codes >> 4], 1).reshape(-1)
    T, U = stream["shape"]
    part = codes[: T * U].reshape(U, T) / (stream["shades"] - 1)
    if stream["gate"]:
        return part.T
    scale, most = np.array(stream["ranges"]).T[..., None]
    return (scale * np.sinh((2 * part - 1) * np.arcsinh(most / scale))).T


@pytest.mark.parametrize("fine", [True, False])
def test_streams_are_within_half_a_shade(fine, monkeypatch):
    if not fine:
        monkeypatch.setattr(pages, "_FEW", 0)
    report = text_report()
    for stream, found in zip(report.streams, document(page(report))["streams"], strict=True):
        values, half = stream.values.array, 0.5 / (found["shades"] - 1)
        assert found["shades"] == (255 if fine else 16)
        if stream.gate:
            np.testing.assert_allclose(unfolded(found), values, atol=half + 1e-7)
        else:  # of the range on its own scale
            scale, most = np.array(found["ranges"]).T
            np.testing.assert_allclose(
                np.arcsinh(unfolded(found) / scale),
                np.arcsinh(values / scale),
                atol=2 * half * np.arcsinh(most / scale).max() + 1e-6,
            )


def test_what_is_too_much_for_a_page_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr(pages, "_STREAMS", 10_000)
    report = text_report()
    found = document(page(report))["streams"]
    assert all(1 <= one["shape"][1] < one["units_in_all"] == 48 for one in found)
    assert all(
        one["units"] == list(own.units)[: one["shape"][1]] for one, own in zip(found, report.streams, strict=True)
    )
    assert sum(len(one["data"]) for one in found) <= 10_000


def test_one_unit_of_each_value_is_shown_however_little_room_there_is(monkeypatch):
    monkeypatch.setattr(pages, "_STREAMS", 1)
    assert {one["shape"][1] for one in document(page(text_report()))["streams"]} == {1}


def test_a_constant_state_and_missing_values():
    report = series_report()
    values = document(page(report))["inputs"][0]["values"]
    shown = np.frombuffer(base64.b64decode(values["base64"]), "<f4")
    assert np.isnan(shown.reshape(96, 3)[10:13, 1]).all()


def test_a_page_that_would_be_too_large_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LIMIT", 20_000)
    with pytest.raises(OptionError, match=r"the page would be .* --json"):
        write(text_report(), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_thousand_steps_of_512_units_fit():
    report = text_report(T=2000, H=512, layers=("layer 1",))
    text = page(report)
    assert len(text.encode()) <= LIMIT
    assert all(one["shape"][0] == 2000 for one in document(text)["streams"])
