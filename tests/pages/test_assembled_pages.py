"""What all pages share: how they are put together, what may run in them, and whether they can be read by all."""

import base64
import hashlib
import html
import re

import pytest
from browser import CHROMIUM, Browser

from gatewise.pages import assembled, parts

NASTY = "</script><b>{title} {script} & \"'\u2028"
FOLDERS = ("explanation", "walk", "watch", "export", "serve", "tuning")


def page(**more):
    return assembled("<p id=x></p>", **{"style": "p { margin: 0; }\n", "script": "at('x');\n", **more})


def policy_of(text):
    [found] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    return dict(rule.split(" ", 1) for rule in found.split("; "))


def test_only_what_stands_in_the_page_may_run():
    text = page(libraries={"engine": "const one = 1;"}, policy={"connect-src": "'self'"})
    allowed = policy_of(text)
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert allowed["connect-src"] == "'self'"
    scripts = re.findall(r'<script(?: id="engine")?>(.*?)</script>', text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert (len(scripts), len(styles)) == (2, 1)
    for inner, rule in [(one, "script-src") for one in scripts] + [(one, "style-src") for one in styles]:
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed[rule]
        assert allowed[rule].count("sha256") == (len(scripts) if rule == "script-src" else 1)


def test_a_strangers_words_stay_where_they_are():
    text = page(title=NASTY, data={"document": {"word": NASTY}})
    assert f"<title>{html.escape(NASTY)}</title>" in text
    assert text.count("</script>") == 2
    assert "<b>" not in text


def test_numbers_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="Out of range"):
        page(data={"document": [float("nan")]})


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize(("language", "words"), [("en-US", ["中文", "Dark"]), ("zh-CN", ["English", "深色"])])
def test_a_page_has_two_languages_and_two_themes(language, words, tmp_path):
    body = '<button id="language"></button><button id="theme"></button><main></main>'
    script = """
    const root = document.documentElement, data = JSON.parse(at("document").textContent);
    const draw = () => [both("red", "红"), numbersBehind("n", () => [["a"], data])];
    switches(() => document.querySelector("main").replaceChildren(...draw()));
    """
    path = tmp_path / "page.html"
    path.write_text(assembled(body, style="", script=script, data={"document": [[1234.5], [-1e-7], [None], ["x"]]}))
    shown = "['language', 'theme'].map((id) => at(id).textContent)"
    with Browser(path.as_uri(), language) as browser:
        assert browser.run(shown) == words
        assert browser.run("root.lang") == language[:2]
        browser.run("document.querySelector('details').open = true")
        browser.until("document.querySelectorAll('td').length === 4")
        assert browser.run("[...document.querySelectorAll('td')].map((e) => e.textContent)") == [
            *("1230", "−1e−7", "–", "x")
        ]
        before = browser.run("getComputedStyle(document.body).backgroundColor")
        browser.run("at('theme').click(), at('language').click()")
        assert browser.run("getComputedStyle(document.body).backgroundColor") != before
        assert browser.run("document.querySelector('main').firstChild.textContent") in {"red", "红"} - {words[0]}
        assert browser.run("root.lang") != language[:2]
        assert browser.asked == [path.as_uri()]
        assert browser.errors == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_an_address_may_ask_for_a_language(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(assembled("", style="", script="document.title = both('red', '红');"))
    with Browser(f"{path.as_uri()}#zh") as browser:
        assert browser.run("document.title") == "红"


def colours(folder, theme):
    """Those of a page, by name."""
    style = parts("gatewise.pages", "base.css") + parts(f"gatewise.{folder}", "style.css")
    blocks = re.findall(rf"^:root{theme} \{{(.*?)\}}", style, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#\w{6})", "".join(blocks)))


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", ["", r'\[data-theme="dark"\]'], ids=["light", "dark"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_colours_can_be_told_apart(folder, theme):
    """WCAG 2.1, AA: contrast of text at least 4.5 (1.4.3), of the edges of controls at least 3 (1.4.11)."""
    found = colours(folder, theme)
    inks = ["ink", "quiet", "accent", "plus", "minus", "good", "fair", "bad"]
    inks += [name for name in found if re.fullmatch(r"s\d|blue|orange", name)]
    for ground in ("paper", "raised"):
        for ink in inks:
            assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)
        assert contrast(found["edge"], found[ground]) >= 3, ground
    for ink, ground in (("on-accent", "accent"), ("on-caption", "caption"), ("ink", "mark")):
        if ground in found:
            assert contrast(found[ink], found[ground]) >= 4.5, ink
