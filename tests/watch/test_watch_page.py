"""The page of a training, in Chromium: what it shows, in both languages, by keyboard and by touch, and in the dark."""

import json
import re

import pytest
from accessibility import audit, needs_axe, too_small
from browser import CHROMIUM, Browser

from gatewise.cli import main
from gatewise.watch.page import page_of

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

LOOKS = 6
GAP = "Training and validation, without dropout"
ROWS = "[...document.querySelectorAll('.chart')].map(row => row.id.slice(4))"


def layer(place, **figures):
    return {
        "cell": "lstm",
        "gates": {
            "i": {"low": 0.1, "high": 0.05 * place, "middle": 0.2, "stuck": 0.0},
            "g": {"high": 0.3, "stuck": 0.0},
        },
        "units": 32,
        "dead": 0.0,
        "twin": 0.125,
        "zero": None,
        "half_lives": {"c": [1.0, 2.0 + place, 9.5]},
        "lags": [[0, 2.0], [1, 1.0], [2, 0.25 / (1 + place)], [4, 1e-3], [8, 0.0]],
        "reach": 4,
        "longest": 9,
        **figures,
    }


def history(spread=0.04):
    """A training of six validations, each with a look."""
    lines = []
    for place in range(LOOKS):
        step = 20 * (place + 1)
        common = {"epoch": step / 50, "learning_rate": 0.01, "gradient_norm": 0.5 / (1 + place), "seconds": 1.0}
        lines += [{"kind": "train", "step": step - 10, "train_loss": 2.1 - 0.2 * place, **common}]
        lines += [{"kind": "evaluation", "step": step, "train_loss": 2 - 0.2 * place, "validation_loss": 1.9, **common}]
        layers = {"layers, layer 1": layer(place), "layers, layer 2": layer(place, dead=0.25)}
        look = {"layers": layers, "losses": [1.5, 1.6], "spread": spread, "updates": {"w": 0.01, "b": 0.02}}
        clipped = {"share": 0.5, "ratio": 1.0, "limit": 1.0}
        lines += [{"kind": "look", "step": step, **look, "clipped": clipped, "looked": 0.1, **common}]
    return lines


@pytest.fixture
def page(tmp_path):
    """Of a training that says the mean, with a title that would be a script."""
    path = tmp_path / "run.html"
    path.write_text(page_of(history(), "a </script><b>title</b>"))
    return path


def test_the_page_is_one_file_that_may_ask_for_nothing(page):
    text = page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "<b>title" not in text
    assert not re.search(r"\{[\w.]+\}\n", text), "a part of the page is missing"


def test_the_record_in_the_page_is_the_history(page):
    record = json.loads(re.search(r'<script [^>]*id="record">(.*?)</script>', page.read_text())[1])
    lines = history()
    assert record["look"] == [line for line in lines if line["kind"] == "look"]
    assert [own["sign"] for own in record["advice"]] == ["flat"]


def test_every_text_is_there_in_both_languages(page):
    texts = re.findall(r"^  (\w+): \[(\".*\")\],$", page.read_text(), re.MULTILINE)
    assert len(texts) > 50
    for name, both in texts:
        english, chinese = json.loads(f"[{both}]")
        assert name.endswith("End") or (english and chinese and english != chinese), name
    used = set(re.findall(r'say\("(\w+)"\)', page.read_text())) | set(
        re.findall(r'(?:name|words): "(\w+)"', page.read_text())
    )
    assert used <= {name for name, _ in texts}


@needs_chromium
def test_the_page_in_a_browser(page):
    with Browser(page.as_uri()) as browser:
        browser.until("document.documentElement.dataset.ready === 'yes'")
        rows = browser.run(ROWS)
        assert rows == [
            *("loss", "gap", "spread", "saturation", "idle", "lives", "lags", "updates", "gradient", "clipped", "rate")
        ]
        assert browser.run("document.querySelector('h1').textContent") == "a </script><b>title</b>"
        assert "says the mean" in browser.run("document.getElementById('advice').textContent")
        assert browser.run(
            "[...document.querySelectorAll('svg[role=img]')].every(own => own.getAttribute('aria-label'))"
        )

        # Numbers behind a chart are those of the record.
        browser.run("document.querySelectorAll('details').forEach(own => { own.open = true; }), true")
        browser.until("document.querySelectorAll('table').length === 11")
        cells = browser.run(
            "[...document.querySelectorAll('#row-lives tbody tr:nth-child(2) td')].map(own => own.textContent)"
        )
        assert cells == ["40", "0.8", "1", "3", "9.5"]
        dead = "[...document.querySelectorAll('#row-idle tbody tr:first-child td')].map(own => own.textContent)"
        browser.run("document.querySelector('#row-idle details').open = true, true")
        assert browser.run(dead) == ["20", "0.4", "0.125", "0.125"]  # the mean of both layers
        browser.run(
            "(() => { const own = document.getElementById('layer'); own.value = 'layers, layer 2'; "
            "own.dispatchEvent(new Event('change')); return true; })()"
        )
        browser.run("document.querySelector('#row-idle details').open = true, true")
        browser.until(f"({dead}).length === 4")
        assert browser.run(dead) == ["20", "0.4", "0.25", "0.125"]

        # The keyboard moves the line, and says where it is.
        browser.run("document.querySelector('#row-gap svg').focus(), true")
        told = "document.getElementById('cursor').textContent"
        assert "step 120 (epoch 2.4)" in browser.run(told)
        browser.press("ArrowLeft")
        assert (
            browser.run(told)
            == "step 100 (epoch 2) · Training and validation, without dropout: training 1.5, validation 1.6"
        )

        # Touch as well.
        browser.run("document.querySelector('#row-lags svg').id = 'map', true")
        browser.tap("map")
        assert "Gradient by lag: lag 0: 2, lag 1: 1" in browser.run(told)

        # Languages and colours.
        browser.run("document.getElementById('language').focus(), true")
        browser.press("Enter")
        browser.until("document.documentElement.lang === 'zh'")
        assert "平均值" in browser.run("document.getElementById('advice').textContent")
        before = browser.run("getComputedStyle(document.body).backgroundColor")
        browser.tap("theme")
        assert browser.run("getComputedStyle(document.body).backgroundColor") != before
        assert too_small(browser) == []
        assert browser.errors == []
        assert browser.asked == [page.as_uri()]


@needs_axe
@pytest.mark.slow
def test_everybody_can_use_it(page):
    with Browser(page.as_uri()) as browser:
        browser.until("document.documentElement.dataset.ready === 'yes'")
        assert audit(browser) == []


@needs_chromium
def test_a_page_of_a_run_that_was_not_watched_shows_its_losses(tmp_path):
    path = tmp_path / "run.html"
    path.write_text(page_of([line for line in history() if line["kind"] != "look"], "old"))
    with Browser(path.as_uri(), "zh-CN") as browser:
        browser.until("document.documentElement.dataset.ready === 'yes'")
        assert browser.run(ROWS) == [
            "loss",
            "gradient",
            "rate",
        ]
        assert "--watch" in browser.run("document.getElementById('advice').textContent")
        assert browser.errors == []


def test_the_verb_makes_a_page_of_a_record(tmp_path, capsys):
    record = tmp_path / "model.gatewise.metrics.jsonl"
    record.write_text("".join(json.dumps(line) + "\n" for line in history()))
    page = tmp_path / "run.html"
    assert main(["watch", str(tmp_path / "model.gatewise"), "-o", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lines"], found["looks"], [own["sign"] for own in found["advice"]]) == (18, 6, ["flat"])
    assert "<title>model.gatewise</title>" in page.read_text()
    assert main(["watch", str(record), "-o", str(page)]) == 2
    assert "exists. Pass --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no record of a training"),
        ("step,loss\n1,2\n", "holds no line of a training history"),
        ('{"kind": "look", "step": 1, "layers": {}}\n', "lacks clipped, epoch, learning_rate, losses, spread, updates"),
    ],
)
def test_what_is_no_record_is_refused_in_a_line(tmp_path, capsys, content, message):
    record = tmp_path / "run.metrics.jsonl"
    if content is not None:
        record.write_text(content)
    assert main(["watch", str(record), "-o", str(tmp_path / "run.html")]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run.html").exists()
