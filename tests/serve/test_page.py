"""The page: what it says, and in a real browser what it does, by keyboard and by touch."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from accessibility import audit, needs_axe
from browser import CHROMIUM, Browser
from serving import Server, old_model

from gatewise.serve.page import page

PAGE = page()
NAMES = ["detect_both", "generate_numbers", "tag_entities", "classify_text"]
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.feed(PAGE)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_it_names_no_other_site():
    outside = [url for url in re.findall(r"https?://[^\s\"'`]+", PAGE) if url != "http://www.w3.org/2000/svg"]
    assert outside == []
    assert not [tag for tag, given in Elements().found if tag in ("img", "iframe", "object") or "src" in given]
    assert "default-src 'none'" in PAGE


def test_every_word_is_there_in_both_languages():
    keys = []
    for language in ("en", "zh"):
        block = re.search(rf"  {language}: {{\n(.*?)\n  }},\n", PAGE, re.DOTALL)[1]
        keys.append(set(re.findall(r"(?<![\w.])(\w+): [\"`n{]", block)))
    assert keys[0] == keys[1] > {"model", "write", "task", "generate", "detect"}
    said = {given["data-say"] for _, given in Elements().found if "data-say" in given}
    assert said <= keys[0]


def test_every_field_has_a_label():
    elements = Elements().found
    labelled = {given["for"] for tag, given in elements if tag == "label" and "for" in given}
    inside = {"model", "temperature", "length"}  # these stand inside of theirs
    fields = {given["id"] for tag, given in elements if tag in ("input", "select", "textarea")}
    assert fields == labelled | inside


@pytest.fixture(scope="module")
def server(model_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    with Server(model_file, *(old_model(name, folder) for name in NAMES)) as server:
        yield server


@pytest.fixture
def browser(server):
    with Browser(server.url) as browser:
        browser.until("document.getElementById('model').options.length === 5")
        yield browser
        assert browser.errors == []
        outside = [url for url in browser.asked if not url.startswith((server.url, "data:", "about:"))]
        assert outside == []


def choose(browser, name):
    browser.run(
        f"(() => {{ const m = document.getElementById('model'); m.value = '{name}'; "
        "m.dispatchEvent(new Event('change')); })()"
    )


@in_a_browser
def test_text_is_written_by_keyboard(browser):
    browser.tab_to("text")
    browser.type("Peter ")
    browser.tab_to("length")
    browser.run("document.getElementById('length').select()")
    browser.type("40")
    browser.tab_to("go-write")
    browser.press("Enter")
    browser.until("document.getElementById('said').textContent === '40 tokens written.'")
    text = browser.run("document.getElementById('text').value")
    assert text.startswith("Peter ")
    assert len(text) == 46


@in_a_browser
def test_a_table_becomes_a_chart_with_alarms_by_touch(browser):
    choose(browser, "detect_both")
    values = np.random.default_rng(1).normal(55, 3, (80, 2)).round(1)
    values[60] = 500
    table = "x0,x1\n" + "\n".join(f"{a},{b}" for a, b in values)
    browser.run(f"document.getElementById('csv').value = {json.dumps(table)}")
    browser.tap("go-table")
    assert int(browser.until("document.getElementById('said').textContent.match(/^\\d+(?= alarms)/)?.[0]")) >= 1
    assert browser.run("document.querySelectorAll('#chart polyline').length") == 1
    assert browser.run("document.querySelectorAll('#chart rect').length") >= 1
    assert browser.run("document.querySelectorAll('#rows tbody tr').length") == 80


@in_a_browser
def test_sentences_are_tagged_and_classified(browser):
    choose(browser, "tag_entities")
    browser.tab_to("sentence")
    browser.type("Bob lives in York")
    browser.tab_to("go-ask")
    browser.press(" ", "Space")
    browser.until("document.querySelectorAll('#answers mark').length > 0")
    assert "York" in browser.run("document.getElementById('answers').innerText")
    choose(browser, "classify_text")
    browser.tap("go-ask")
    assert browser.until("document.querySelector('#answers mark')?.textContent.match(/ \\d+ %/)?.[0]")


@in_a_browser
def test_a_drawing_is_completed_by_touch_and_by_keyboard(browser):
    choose(browser, "generate_numbers")
    x, y = browser.run(
        "(() => { const c = document.getElementById('canvas'); c.scrollIntoView(); "
        "const b = c.getBoundingClientRect(); return [b.x, b.y]; })()"
    )
    browser.touch([(x + 60 + 8 * i, y + 80 + 3 * i) for i in range(20)])
    assert browser.run("strokes.length === 1 && strokes[0].length > 10")
    browser.tap("go-draw")
    browser.until("/^\\d+ steps drawn/.test(document.getElementById('said').textContent)")
    browser.tap("clear")
    browser.until("strokes.length === 0")
    browser.tab_to("canvas")
    browser.press(" ", "Space")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        browser.press(key)
    browser.press(" ", "Space")
    assert browser.run("strokes[0].length") == 5


@in_a_browser
def test_a_mistake_is_told_in_the_words_of_the_server(browser):
    browser.tab_to("text")
    browser.type("日")
    browser.tap("go-write")
    assert "'日'" in browser.until("document.querySelector('#said.wrong')?.textContent")


@needs_axe
@pytest.mark.slow
def test_everybody_can_use_it(browser):
    """With all that it can show at once."""
    browser.run(
        "rows = [{ step: 0, score: 1, alarm: false }, { step: 1, score: 2, alarm: true }]; model.task = 'detect'"
    )
    browser.run("at('chart').replaceChildren(...chart(rows)); at('rows').replaceChildren(tableOf(rows))")
    browser.run("at('answers').append(shown({ tokens: ['Bob'], labels: ['B-PER'] }))")
    browser.run("at('answers').append(shown({ predicted: 'good', text: 'fine' }))")
    browser.run("show = () => {}; document.querySelectorAll('[hidden]').forEach((one) => { one.hidden = false; })")
    assert audit(browser) == []


@in_a_browser
def test_it_speaks_chinese_to_who_does(server):
    with Browser(server.url, "zh-CN") as browser:
        browser.until("document.getElementById('model').options.length === 5")
        assert browser.run("document.getElementById('go-write').textContent") == "续写"
        assert browser.run("document.documentElement.lang") == "zh"


@in_a_browser
def test_it_asks_for_the_key(model_file):
    with Server(model_file, "--api-key", "s3cret") as server, Browser(server.url) as browser:
        browser.until("!document.getElementById('key-row').hidden")
        browser.tab_to("key")
        browser.type("s3cret")
        browser.tab_to("use-key")
        browser.press("Enter")
        browser.until("document.getElementById('model').options.length === 1")
