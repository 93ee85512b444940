"""What the page computes, run in node, against the reference: as it is, after ten changes, with values held."""

import json
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from walk_reference import by_reference, held_by_chance, stories, story_of

from gatewise import cells
from gatewise.algebra.expression import MAPS, OPERATIONS, PRODUCTS
from gatewise.runtime import equations
from gatewise.walk.examples import stored
from gatewise.walk.numbers import numbers
from gatewise.walk.page import as_document, page

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node here")

PAGE = files("gatewise.walk").joinpath("page")
SCRIPT = """
const [doc, x, weights, held] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const story = gw_open(doc, doc.stories[0]);
for (const [t, j, v] of x) story.x[t][j] = v;
for (const [name, i, v] of weights) story.weights[name].values[i] = v;
for (const [name, t, j, value] of held) story.held.push({ name, t, j, value });
const run = gw_run(doc, story), of = Object.fromEntries(doc.gradients);
const all = (i) => run.steps.map((v) => v[i]);
const named = Object.entries(doc.pins).map(([name, [value]]) => [name, all(value), all(of[value])]);
console.log(JSON.stringify({ loss: run.loss, named, x: all(of[doc.x]), weights: run.weights, head: run.head }));
"""


def by_node(story, x=(), weights=(), held=None):
    given = [as_document([story]), x, weights, [[*place, value] for place, value in (held or {}).items()]]
    script = PAGE.joinpath("evaluate.js").read_text() + SCRIPT
    done = subprocess.run([NODE, "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def agree(story, found, want):
    near = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(found["loss"], want["loss"], **near)
    checked = 0
    for name, values, gradients in found["named"]:
        for t, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
            if (name, t) in want["values"]:
                np.testing.assert_allclose(value, want["values"][name, t], **near)
                np.testing.assert_allclose(gradient, want["gradients"][name, t], err_msg=f"{name} at {t}", **near)
                checked += 1
    assert checked == len(want["values"]) > 0
    np.testing.assert_allclose(found["x"], want["x"], **near)
    shapes = {node.label: block.shape for node, block in equations.blocks(story.cell, story.weights).items()}
    blocks = {label: np.reshape(values, shapes[label]) for label, values in found["weights"].items()}
    for got, wanted in zip(stored(story, blocks), want["weights"], strict=True):
        np.testing.assert_allclose(got, wanted, **near)
    np.testing.assert_allclose(found["head"]["weight"], want["head"][0].ravel(), **near)
    np.testing.assert_allclose(found["head"]["bias"], want["head"][1], **near)


def changed(story):
    """The story after ten changes of inputs and weights, and the changes as the page makes them."""
    rng = np.random.default_rng(zlib.crc32(story.cell.name.encode()))
    x, weights = story.x.copy(), [w.copy() for w in story.weights]
    inputs, places = [], []
    for _ in range(4):
        t, j, v = int(rng.integers(x.shape[0])), int(rng.integers(x.shape[1])), float(rng.normal())
        x[t, j] = v
        inputs.append([t, j, v])
    for _ in range(6):
        k = rng.integers(len(weights))
        place = tuple(int(rng.integers(size)) for size in weights[k].shape)
        weights[k][place] = rng.normal()
    before, after = (equations.blocks(story.cell, each) for each in (story.weights, weights))
    for node, block in after.items():
        places += [[node.label, int(i), block.flat[i]] for i in np.flatnonzero(block != before[node])]
    return replace(story, x=x, weights=tuple(weights)), inputs, places


@needs_node
@pytest.mark.parametrize(("name", "example"), stories(quick="hello"))
def test_the_page_computes_what_the_reference_does(name, example):
    story = story_of(name, example)
    other, inputs, places = changed(story)
    held = held_by_chance(story)
    agree(other, by_node(story, inputs, places, held), by_reference(other, held))


def test_every_operation_is_in_the_scripts():
    evaluate, maths = (PAGE.joinpath(name).read_text() for name in ("evaluate.js", "maths.js"))
    for name in {*OPERATIONS, *MAPS, *PRODUCTS}:
        assert re.search(rf'\b{name}: |"{name}"', evaluate), f"evaluate.js has no row for {name}"
        assert re.search(rf'\b{name}: |case "{name}"', maths), f"maths.js does not print {name}"


@pytest.mark.parametrize("name", cells.NAMES)
def test_a_page_is_small_and_asks_for_nothing(name):
    text = page([story_of(name, "hello"), story_of(name, "numbers")])
    assert len(text.encode()) < 200_000
    assert "default-src 'none'" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|\bfetch\(|XMLHttpRequest", text)


def test_a_strangers_words_cannot_leave_their_place():
    story = replace(story_of("lstm", "hello"), steps=("</script><script>alert(1)</script>",) * 5)
    assert page([story]).count("</script>") == 2


def test_both_languages_say_everything():
    texts = PAGE.joinpath("texts.js").read_text()
    rows = re.findall(r'^  (\w+): \["((?:[^"\\]|\\.)*)",\s+"((?:[^"\\]|\\.)*)"\],$', texts, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^  \w+: \[", texts, re.MULTILINE)) > 60
    for key, english, chinese in rows:
        assert english
        assert chinese
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), key
    keys = {key for key, *_ in rows}
    scripts = "".join(
        PAGE.joinpath(name).read_text() for name in ("drawing.js", "strip.js", "unfold.js", "page.js", "body.html")
    )
    for key in re.findall(r'said\("(\w+)"', scripts) + re.findall(r'data-text="(\w+)"', scripts):
        assert key in keys


def test_every_gate_of_the_three_numbers_has_a_gradient():
    for name in cells.NAMES:
        found = numbers(story_of(name, "numbers"))
        for gate in set(found.panels.gradients) - {"m"}:  # which keeps exponential gates in range, and cancels
            gradient = found.panels.back.gradients[found.panels.pins[gate].value]
            assert any(np.abs(step[gradient]).max() > 1e-6 for step in found.values), f"{name}: {gate}"


def test_hello_is_guessed_right_by_every_cell():
    for name in cells.NAMES:
        story = story_of(name, "hello")
        found = numbers(story)
        assert [found.chances[t].argmax() for t in range(4)] == list(story.head.targets[:4]), name
