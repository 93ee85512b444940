"""The page in a real browser: read by keyboard alone, changed, by touch, in both languages."""

import numpy as np
import pytest
from accessibility import audit, needs_axe
from browser import CHROMIUM, Browser
from walk_reference import by_reference, story_of

from gatewise.walk.page import page
from gatewise.walk.story import Story, zeros

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

SPOT = "document.querySelector('[data-spot=\"{}\"]')"


@pytest.fixture(scope="module")
def story():
    return story_of("lstm", "hello")


@pytest.fixture(scope="module")
def browser(story, tmp_path_factory):
    file = tmp_path_factory.mktemp("walk") / "walk.html"
    file.write_text(page([story, story_of("lstm", "numbers")]))
    with Browser(file.as_uri()) as browser:
        yield browser
        assert set(browser.asked) == {file.as_uri()}


@pytest.fixture
def walk(browser):
    """The page as it was at first."""
    browser.until("document.documentElement.dataset.ready === 'yes'")
    browser.run("if (chinese) at('language').click(); at('story').selectedIndex = 0; open(gw_doc.stories[0])")
    yield browser
    assert not browser.errors


def test_every_panel_is_read_by_keyboard_alone(walk):
    """From the first panel to the last of all steps, and a number unfolded and closed."""
    walk.run("strip.panels[0].element.focus()")
    seen = [walk.run("document.activeElement.getAttribute('aria-label')")]
    for t in range(5):
        for _ in range(7):
            walk.press("ArrowDown" if t % 2 == 0 else "ArrowUp")
            seen.append(walk.run("document.activeElement.getAttribute('aria-label')"))
        if t < 4:
            walk.press("ArrowRight")
            seen.append(walk.run("document.activeElement.getAttribute('aria-label')"))
    assert len(set(seen)) == len(seen) == 40 == walk.run("strip.panels.length")
    assert seen[:4] == [f"Step 1 h: {panel}" for panel in ("Arrives", "Doors", "Shelf", "Speaks")]
    assert walk.run("at('live').textContent").startswith(f"{seen[-1]}.")
    walk.press("Tab")
    assert walk.run("document.activeElement.classList.contains('n')")
    walk.press("Enter")
    assert walk.run("!at('unfold').hidden && document.activeElement.id") == "unfold"
    walk.run("window.kept = pane.from")
    walk.press("Escape")
    assert walk.run("at('unfold').hidden && document.activeElement === kept")
    walk.run("go(3)")
    walk.press(" ", "Space")
    walk.until("here === 4", seconds=10)
    walk.press(" ", "Space")
    assert walk.run("at('play').getAttribute('aria-pressed')") == "false"


def test_a_change_and_a_held_gate_are_computed_anew(walk, story):
    """By the fields of the pane, as a reader does it; against the reference."""
    walk.run(f"{SPOT.format('x 1 0')}.click()")
    fill = "const f = at('field_{}'); f.value = '{}'; f.dispatchEvent(new Event('change')); f"
    walk.run(f"(() => {{ {fill.format('given', 0.5)} }})()")
    x = story.x.copy()
    x[1, 0] = 0.5
    changed = Story(
        **{name: getattr(story, name) for name in ("name", "cell", "start", "weights", "steps", "head")}, x=x
    )
    want = by_reference(changed)
    assert walk.run("now.run.loss") == pytest.approx(want["loss"], rel=1e-12)
    assert walk.run("at('loss').textContent").startswith("Loss ")
    assert "was" in walk.run("at('loss').textContent")
    assert walk.run(f"{SPOT.format('x 1 0')}.classList.contains('changed')")

    walk.run("unfold(spots.value(gw_doc.pins.f[0], 2, 1), strip.panels[0].element)")
    walk.run(f"(() => {{ {fill.format('hold', 0.25)} }})()")
    want = by_reference(changed, {("f", 2, 1): 0.25})
    assert walk.run("now.run.loss") == pytest.approx(want["loss"], rel=1e-12)
    got = walk.run("now.run.steps.map((v) => v[Object.fromEntries(gw_doc.gradients)[gw_doc.pins.f[0]]])")
    np.testing.assert_allclose(got, [want["gradients"]["f", t] for t in range(5)], rtol=1e-12, atol=1e-12)
    walk.run("at('field_every').click()")
    want = by_reference(changed, {("f", t, 1): 0.25 for t in range(5)})
    assert walk.run("now.run.loss") == pytest.approx(want["loss"], rel=1e-12)
    walk.run("at('let_go').click()")
    walk.run("at('reset').click()")
    assert walk.run("now.run.loss") == pytest.approx(by_reference(story)["loss"], rel=1e-12)
    assert walk.run("at('reset').disabled")
    walk.run("at('learn').click()")
    assert walk.run("now.run.loss < now.first")


def test_numbers_unfold_into_expressions(walk):
    """Whatever is computed has an expression whose parts are numbers of the page; and no part of it is unknown."""
    found = walk.run(
        """(() => {
          const all = [];
          for (let k = 0; k < 2; k++) {
            at("story").selectedIndex = k; at("story").dispatchEvent(new Event("change"));
            const numbers = strip.panels.flatMap(({ element }) => [...element.querySelectorAll(".n")]);
            numbers.push(...at("tables").querySelectorAll(".n"));
            for (const n of numbers.filter((_, i) => i % 3 === k)) {
              n.click();
              const spot = pane.trail[pane.trail.length - 1];
              const explained = Boolean(spot.set) || spot.lines().length > 0 || spot.value() === 0;
              all.push([spot.say, explained, at("unfold").querySelector(".lines").textContent]);
              close();
            }
          }
          return all;
        })()"""
    )
    assert len(found) > 200
    for say, explained, lines in found:
        assert explained, say
        assert "–" not in lines, say
        assert "undefined" not in lines, say
        assert "NaN" not in lines, say


def test_everything_has_a_name_in_both_languages(walk):
    unnamed = """[...document.querySelectorAll("button, select, input, [role]")].filter((e) => !e.closest("[hidden]"))
      .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.closest("label")))
      .map((e) => e.outerHTML)"""
    walk.run("unfold(spots.value(gw_doc.pins.f[0], 2, 1), strip.panels[0].element)")
    assert walk.run(unnamed) == []
    walk.tap("language")
    assert walk.run("document.documentElement.lang") == "zh"
    assert walk.run("document.title") == "逐步看懂 lstm"
    assert walk.run("strip.panels[1].element.getAttribute('aria-label')") == "第 1 步 h: 门"
    assert walk.run(unnamed) == []


@needs_axe
@pytest.mark.slow
@pytest.mark.parametrize("example", [0, 1])
def test_everybody_can_use_it(walk, example):
    """With a gate unfolded, too."""
    walk.run(f"at('story').selectedIndex = {example}; at('story').dispatchEvent(new Event('change'))")
    walk.run("document.querySelector('.doors .n').click()")
    assert audit(walk) == []
    walk.run("close()")


def test_a_part_of_a_model_shows_some_of_its_units(tmp_path):
    """Units that are many are computed and not all shown; what arrives from the rest of the model stays."""
    rng = np.random.default_rng(0)
    lstm = story_of("lstm", "hello").cell
    D, H, T = 20, 30, 3
    weights = tuple(rng.normal(0, 0.3, p.shape(lstm.sizes(D, H))) for p in lstm.parameters)
    arriving = (rng.normal(size=(T, H)), np.zeros((T, H)))
    x, steps = rng.normal(size=(T, D)), ("a", "b", "c")
    own = Story("mine", lstm, x, zeros(lstm, D, H), weights, steps, arriving=arriving, units=(3, 7, 29))
    file = tmp_path / "own.html"
    file.write_text(page([own]))
    want = by_reference(own)
    with Browser(file.as_uri()) as browser:
        browser.until("document.documentElement.dataset.ready === 'yes'")
        got = browser.run("now.run.weights['U.f']")
        np.testing.assert_allclose(np.reshape(got, (H, H)), want["weights"][1][H : 2 * H], rtol=1e-12, atol=1e-12)
        assert browser.run("at('story').options[0].textContent") == "mine"
        assert "and 27 more units" in browser.run("at('comic').textContent")
        assert not browser.errors


def test_a_phone_shows_one_step_and_is_used_by_touch(walk):
    walk._send("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    assert walk.run("document.documentElement.scrollWidth") <= 390
    assert walk.run("strip.panels[0].element.getBoundingClientRect().width") > 300
    small = """[...document.querySelectorAll("button, select, input, summary")]
      .filter((e) => e.offsetParent && e.type !== "checkbox")
      .filter((e) => e.getBoundingClientRect().height < 43.9 || e.getBoundingClientRect().width < 43.9)
      .map((e) => e.outerHTML)"""
    assert walk.run(small) == []
    walk.run(f"{SPOT.format('x 0 0')}.id = 'finger'")
    walk.tap("finger")
    walk.until("!at('unfold').hidden")
    walk.tap("close")
    walk.until("at('unfold').hidden")
