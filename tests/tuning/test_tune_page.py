"""The page of a study, in Chromium: what it shows, in both languages, by keyboard and by touch."""

import json
import re

import pytest
from accessibility import audit, needs_axe, too_small
from browser import CHROMIUM, Browser
from study_in_memory import SPACE, Curves, bowl, trials

from gatewise.tuning.page import Drawn, document_of, page_of
from gatewise.tuning.records import Record
from gatewise.tuning.search import Told

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

COMMAND = "gatewise fit classify x.csv --hidden-size 128"
READY = "document.documentElement.dataset.ready === 'yes'"
TOLD = "document.getElementById('cursor').textContent"


def document(records, **more):
    return document_of(SPACE, records, **{"title": "a </script><b>title</b>", "task": "classify", **more})


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Of a search that finds something, one of whose trials failed with what would be a script."""
    found = Curves(tmp_path, bowl).search(monkeypatch, trials(24))
    return [*found, Record(len(found), "search", "failed", SPACE.default, 0, why="</script><i>no</i>")]


@pytest.fixture
def page(tmp_path, records):
    path = tmp_path / "study.html"
    path.write_text(page_of(document(records, command=lambda options: COMMAND)))
    return path


def test_the_page_is_one_file_that_may_ask_for_nothing(page):
    text = page.read_text()
    assert re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].startswith("default-src 'none'")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert not re.search(r"https?://(?!www\.w3\.org/(?:2000/svg|1999/xhtml))", text)
    assert "<b>title" not in text
    assert "<i>no" not in text


def test_every_text_is_there_in_both_languages(page):
    text = page.read_text()
    texts = re.findall(r"^  (\w+): \[(\".*\")\],$", text, re.MULTILINE)
    assert len(texts) > 50
    for name, both in texts:
        english, chinese = json.loads(f"[{both}]")
        assert english, name
        assert re.search(r"[\u4e00-\u9fff]", chinese), name
    assert set(re.findall(r'say\("(\w+)"\)', text)) <= {name for name, _ in texts}


def test_what_is_not_finite_is_left_out():
    losses = {"rungs": (float("inf"),), "places": (0.25,), "score": float("inf")}
    found = document([Record(0, "default", "running", SPACE.default, 0, share=0.3, seconds=1.0, **losses)])
    assert found["trials"][0]["loss"] is found["trials"][0]["loss at 0.25"] is None
    assert (found["found"], found["importance"], found["command"]) == (None, None, None)
    assert page_of(found)  # which takes no number that is not finite


@needs_chromium
def test_the_page_in_a_browser(page, records):
    with Browser(page.as_uri()) as browser:
        browser.until(READY)
        sections = "[...document.querySelectorAll('#charts section')].map(own => own.id)"
        assert browser.run(sections) == ["history", "slices", "importance", "parallel", "table"]
        assert browser.run("document.querySelector('h1').textContent") == "a </script><b>title</b>"
        assert COMMAND in browser.run("document.getElementById('verdict').textContent")
        assert re.search(
            r"Trial \d+ is taken: hidden_size", browser.run("document.getElementById('verdict').textContent")
        )
        known = [own for own in records if own.state != "failed"]
        assert browser.run("document.querySelectorAll('#history .mark').length") >= len(known)
        assert browser.run("document.querySelectorAll('.slices svg').length") == 3
        assert browser.run("document.querySelectorAll('#table tbody tr').length") == len(records)
        last = "[...document.querySelectorAll('#table tbody tr:last-child td')].map(own => own.textContent)"
        assert "</script><i>no</i>" in browser.run(last)

        # Importance: the knobs that the losses depend on, and their numbers.
        browser.run("document.querySelector('#importance details').open = true, true")
        browser.until("document.querySelectorAll('#importance tbody tr').length === 3")
        assert browser.run("document.querySelector('#importance tbody td').textContent") == "learning_rate"

        # The keyboard goes through the trials in every picture, and says which one it is.
        browser.run("document.querySelector('#history svg').focus(), true")
        browser.press("Home")
        assert browser.run(TOLD).startswith("trial 0, the default, finished · loss")
        browser.press("ArrowRight")
        assert browser.run(TOLD).startswith("trial 1, the default again")
        assert browser.run("[...document.querySelectorAll('#charts svg .here')].length") >= 1
        browser.run("document.querySelector('#parallel svg').id = 'lines', true")
        browser.tap("lines")
        assert "hidden_size" in browser.run(TOLD)

        # The order of the history.
        choose = "(() => { const own = document.getElementById('order'); own.value = 'time'; "
        browser.run(f"{choose} own.dispatchEvent(new Event('change')); return true; }})()")
        assert browser.run("document.activeElement.id") == "order"

        browser.run("document.getElementById('language').focus(), true")
        browser.press("Enter")
        browser.until("document.documentElement.lang === 'zh'")
        assert "采用试验" in browser.run("document.getElementById('verdict').textContent")
        assert too_small(browser) == []
        assert browser.errors == []
        assert browser.asked == [page.as_uri()]


@needs_chromium
@pytest.mark.parametrize("count", [0, 6])
def test_a_study_that_has_just_begun(tmp_path, monkeypatch, count):
    found = Curves(tmp_path, bowl).search(monkeypatch, trials(count)) if count else []
    path = tmp_path / "study.html"
    path.write_text(page_of(document(found)))
    with Browser(path.as_uri()) as browser:
        browser.until(READY)
        words = browser.run("document.body.innerText")
        assert ("Not enough trials to say" in words) == (count > 0)
        assert ("nothing is decided" in words) == (count == 0)
        assert browser.errors == []


@needs_axe
@pytest.mark.slow
def test_everybody_can_use_it(page):
    with Browser(page.as_uri()) as browser:
        browser.until(READY)
        assert audit(browser) == []


def test_it_is_drawn_again_after_each_trial(tmp_path, monkeypatch):
    """Also where the search is interrupted within one."""

    def stops(number, share):
        if number == 3:
            raise KeyboardInterrupt

    page = tmp_path / "page.html"
    drawn = []

    class Shown(Drawn):
        def _write(self):
            super()._write()
            study = json.loads(re.search(r'id="study">(.*?)</script>', page.read_text())[1])
            drawn.append([own["state"] for own in study["trials"]])

    curves = Curves(tmp_path, bowl, stops=stops)
    told = Shown(Told(), page, SPACE, curves.records, "m", "classify", None)
    with pytest.raises(KeyboardInterrupt):
        curves.search(monkeypatch, trials(6), told=told)
    assert drawn == [["finished"] * 1, ["finished"] * 2, ["finished"] * 3, [*["finished"] * 3, "running"]]


def test_a_page_that_cannot_be_written_does_not_end_the_search(tmp_path, monkeypatch):
    """It is told once; a page that can be written again is."""
    notes, folder = [], tmp_path / "later"

    class Notes(Told):
        def note(self, text):
            notes.append(text)

        def begins(self, record):
            if record.number == 4:
                folder.mkdir()

    curves = Curves(tmp_path, bowl)
    told = Drawn(Notes(), folder / "page.html", SPACE, curves.records, "m", "classify", None)
    assert len(curves.search(monkeypatch, trials(6), told=told)) > 6
    assert [note for note in notes if "cannot be written" in note] == [
        f"the page '{folder}/page.html' cannot be written: No such file or directory. The search goes on without it."
    ]
    assert (folder / "page.html").exists()
