"""The page of a report in a real browser: by keyboard and touch, in both languages, light and dark."""

import re
from importlib.resources import files

import pytest
from accessibility import audit, needs_axe
from browser import CHROMIUM, Browser
from report_examples import media_report, series_report, text_report

import gatewise.explanation
from gatewise.explanation.page import write

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
PAGE = files(gatewise.explanation) / "page"


@pytest.fixture(scope="module", params=["text", "series", "media"])
def opened(request, tmp_path_factory):
    made = {"text": text_report, "series": series_report, "media": media_report}[request.param]()
    path = tmp_path_factory.mktemp("page") / "report.html"
    write(made, path)
    with Browser(path.as_uri()) as browser:
        browser.until("document.body.dataset.ready")
        yield made, browser


def shown(browser, place):
    return browser.run(f"document.querySelector({place!r})?.innerText")


def test_it_asks_nobody_and_nothing_fails(opened):
    _, browser = opened
    assert [address for address in browser.asked if not address.startswith("file:")] == []
    assert browser.errors == []


def test_a_notebook_s_frame_shows_it(opened, tmp_path):
    report, _ = opened
    path = tmp_path / "notebook.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><body>{report._repr_html_()}</body>', encoding="utf-8")
    with Browser(path.as_uri()) as browser:
        browser.until("document.querySelector('iframe').contentDocument.body.dataset.ready")
        found = browser.run("document.querySelector('iframe').contentDocument.querySelector('h1').innerText")
        assert found == report.answer.text
        assert browser.errors == []


def test_it_says_the_answer_and_how_far_to_rely_on_it(opened):
    report, browser = opened
    assert shown(browser, "h1") == report.answer.text
    word = {"reliable": "Reliable", "rough": "Rough", "do not rely on this": "Do not rely on this"}
    assert word[report.reliability.verdict] in shown(browser, "#trust .verdict")


def test_parts_add_up_on_the_page(opened):
    report, browser = opened
    browser.run("document.querySelector('#because details').open = true")
    browser.until("document.querySelector('#because tbody') !== null")
    rows = browser.run(
        "[...document.querySelectorAll('#because tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    values = [float(value.replace("−", "-")) for _, value in rows]
    assert values[-1] == pytest.approx(report.attribution.score, rel=0.01)
    assert sum(values[:-1]) == pytest.approx(values[-1], abs=0.01 * max(map(abs, values)))


def test_numbers_of_the_input_are_those_of_the_report(opened):
    report, browser = opened
    browser.run("document.querySelectorAll('#input details').forEach(d => d.open = true)")
    browser.until(
        "document.querySelectorAll('#input tbody').length == document.querySelectorAll('#input details').length"
    )
    for number, one in enumerate(report.attribution.added):
        rows = browser.run(
            f"[...document.querySelectorAll('#input tbody')[{number}].rows].map(r => r.cells[2].innerText)"
        )
        assert [float(value.replace("−", "-")) for value in rows] == pytest.approx(
            list(one.steps), rel=0.006, abs=1e-12
        )


def test_arrow_keys_move_the_cursor_and_say_where_it_is(opened):
    report, browser = opened
    one = report.inputs[0]
    browser.run("document.querySelector('#input [role=slider]').focus(); moveTo(0, 0)")
    for _ in range(3):
        browser.press("ArrowRight")
    assert browser.run("cursor.step") == 3
    said = browser.run("document.getElementById('spoken').innerText")
    assert said.startswith("step 3")
    if one.labels[3]:
        assert one.labels[3] in said
    assert browser.run("document.querySelector('#input [role=slider]').getAttribute('aria-valuetext')") == said


def test_everything_is_reached_by_tab_and_has_a_name(opened):
    _, browser = opened
    nameless = browser.run(
        """[...document.querySelectorAll('button, select, summary, [tabindex="0"], [role=slider], [role=img]')]
        .filter(e => !(e.getAttribute('aria-label') || e.innerText.trim() || e.closest('label')?.innerText.trim()))
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    count = browser.run("document.querySelectorAll('button, select, summary, [tabindex=\"0\"]').length")
    browser.run("document.activeElement.blur()")
    seen = set()
    for _ in range(count + 2):
        browser.press("Tab")
        seen.add(
            browser.run(
                "document.activeElement.outerHTML.slice(0, 120) + document.activeElement.getBoundingClientRect().top"
            )
        )
    assert len(seen) >= browser.run("[...document.querySelectorAll('button, select, summary')].length")


def test_a_finger_is_wide_enough_for_every_control(opened):
    _, browser = opened
    small = browser.run(
        "[...document.querySelectorAll('button, select, summary')]"
        ".map(e => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height]).filter(([, height]) => height < 43.9)"
    )
    assert small == []


def test_in_chinese_everything_changes_and_nothing_else(opened):
    report, browser = opened
    before = browser.run("document.querySelectorAll('section').length")
    browser.run("document.getElementById('language').click()")
    try:
        assert browser.run("document.documentElement.lang") == "zh"
        assert browser.run("document.querySelectorAll('section').length") == before
        titles = browser.run("[...document.querySelectorAll('h2')].map(e => e.innerText)")
        assert all(re.search("[一-鿿]", title) for title in titles)
        assert shown(browser, "h1") == report.answer.text
        assert "undefined" not in browser.run("document.body.innerText")
    finally:
        browser.run("document.getElementById('language').click()")


def test_a_touch_chooses_a_step(opened):
    report, browser = opened
    if report.inputs[0].kind != "tokens":
        return
    browser.run("document.querySelector('.token[data-step=\"4\"]').id = 'touched'")
    browser.tap("touched")
    browser.until("cursor.step === 4")


def choose(browser, number):
    browser.run(
        f"(() => {{ const e = document.getElementById('contrast'); e.value = {number}; "
        "e.dispatchEvent(new Event('change')); })()"
    )


def test_another_question(opened):
    report, browser = opened
    if not report.contrasts:
        return
    first = shown(browser, "#because figcaption")
    choose(browser, 0)
    assert shown(browser, "#because figcaption") != first
    assert "mixed" in shown(browser, "#because figcaption")
    choose(browser, -1)


def test_pictures_are_not_blank(opened):
    _, browser = opened
    colours = browser.run(
        """[...document.querySelectorAll('canvas')].map(c => new Set(new Uint32Array(
        c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)"""
    )
    assert all(count > 3 for count in colours)


@needs_axe
@pytest.mark.slow
def test_everybody_can_use_it(opened):
    assert audit(opened[1]) == []


def test_both_languages_have_the_same_sentences():
    text = (PAGE / "words.js").read_text()
    english, chinese = (
        set(re.findall(r"(?:^|[{,])\s*(\w+): (?=[\"{(]|\w+ =>)", part, re.MULTILINE))
        for part in text.split("\n  zh: {")
    )
    assert english - {"en"} == chinese
    assert len(chinese) > 80
