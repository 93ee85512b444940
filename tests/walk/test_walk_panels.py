"""What panels show, read off the graph; and the strip as text, which the command line prints."""

import json
import subprocess
import sys

import numpy as np
import pytest
from walk_reference import story_of

from gatewise import cells
from gatewise.algebra import cell, sigmoid
from gatewise.algebra.expression import order
from gatewise.algebra.pinning import pinned
from gatewise.cli import main
from gatewise.errors import OptionError, ShapeError
from gatewise.walk import Story, page, strip, window, zeros
from gatewise.walk.numbers import numbers
from gatewise.walk.panels import panels

DOORS = {
    "lstm": "i f o",
    "coupled": "i o f",
    "gru": "r z",
    "rnn_tanh": "",
    "minlstm": "f",
    "slstm": "o forget write",
    "mlstm": "o forget write",
    "mogrifier": "i f o gate_x1 gate_h2 gate_x3 gate_h4 gate_x5",
}


@pytest.mark.parametrize("name", DOORS)
def test_doors_are_values_between_0_and_1(name):
    assert set(panels(cells.find(name)).doors) == set(DOORS[name].split())


@pytest.mark.parametrize(
    ("name", "shelves"),
    [("lstm", "c"), ("gru", "h"), ("rnn_tanh", ""), ("slstm", "c n"), ("mlstm", "C n"), ("lstm_1997", "c")],
)
def test_shelves_are_what_is_kept_and_written(name, shelves):
    drawn = panels(cells.find(name))
    assert [drawn.cell.carry[shelf.carried] for shelf in drawn.shelves] == shelves.split()


@pytest.mark.parametrize("name", cells.NAMES)
def test_what_is_kept_and_written_adds_up(name):
    found = numbers(story_of(name, "numbers"))
    for step in found.values:
        for shelf in found.panels.shelves:
            before, after = found.panels.cell.before[shelf.carried], found.panels.cell.after[shelf.carried]
            np.testing.assert_allclose(step[shelf.keep] * step[before] + step[shelf.write], step[after], atol=1e-14)


def test_numbers_in_what_is_kept_and_written_are_worked_out():
    @cell(carry="h", pack="n")
    def halved(x, h_prev, W):
        h = 2 - (1 - h_prev) / 2 + W.n @ x
        return h

    drawn = panels(halved)
    [shelf] = drawn.shelves
    assert all(node.op != "one" for node in order([shelf.keep, shelf.write]))
    story = Story("x", halved, np.array([[3.0]]), (np.array([5.0]),), (np.array([[0.25]]),), ("a",))
    [step] = numbers(story).values
    assert step[shelf.keep] == 0.5
    assert step[shelf.write] == 2 - 0.5 + 0.75


def test_gradients_come_in_the_order_of_textbooks():
    """The output gate, the memory, then what it was made of."""
    h, o, c, *others = panels(cells.find("lstm")).gradients
    assert [h, o, c] == ["h", "o", "c"]
    assert set(others) == {"i", "f", "g"}


def test_what_is_not_linear_is_no_shelf():
    @cell(carry="h", pack="n")
    def squared(x, h_prev, W):
        h = h_prev * h_prev + W.n @ x
        return h

    @cell(carry="h", pack="n f")
    def turned(x, h_prev, W):
        h = -((W.n @ x - h_prev * sigmoid(W.f @ x)) / 2 - h_prev)
        return h

    assert not panels(squared).shelves
    drawn = panels(turned)
    assert [shelf.carried for shelf in drawn.shelves] == [0]


def test_a_cell_that_can_be_held_is_the_cell_to_the_last_bit():
    lstm = cells.find("lstm")
    _, pins = pinned(lstm)
    assert set(pins) == set(lstm.names.values())
    story = story_of("lstm", "hello")
    found = numbers(story)
    first, pins = found.values[0], found.panels.pins
    sums = story.weights[0][:, 0] + story.weights[2]  # of the letter h, from a state of zeros
    for name, z in zip("ifo", sums.reshape(4, 4)[[0, 1, 3]], strict=True):
        np.testing.assert_allclose(first[pins[name].value], 1 / (1 + np.exp(-z)), rtol=1e-14)
        assert np.array_equal(first[pins[name].value], first[pins[name].computed])


def test_the_strip_says_what_the_page_does():
    text = strip(story_of("lstm", "hello"))
    assert text.index("FORWARD") < text.index("BACKWARD") < text.index("-- weights --")
    assert text.count("(right)") == 4
    assert "nothing is asked" in text
    assert text.count("-- step 3: l --") == 2


@pytest.mark.parametrize("width", [24, 40, 80])
@pytest.mark.parametrize("name", ["lstm", "mlstm", "rnn_tanh"])
def test_the_strip_fits_a_narrow_terminal(name, width):
    lines = strip(story_of(name, "hello"), width).splitlines()
    assert max(map(len, lines)) <= width
    whole = strip(story_of(name, "hello"))
    assert "".join(whole.split()) == "".join("".join(lines).split())


def test_the_command_writes_a_page_or_prints(tmp_path, capsys):
    file = tmp_path / "walk.html"
    assert main(["cells", "gru", "--walk", str(file)]) == 0
    assert "walk.html" in capsys.readouterr().out
    assert file.read_text().startswith("<!doctype html>")
    assert main(["cells", "gru", "--text"]) == 0
    assert "-- step 5: o --" in capsys.readouterr().out
    assert main(["cells", "gru", "--walk", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == file.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text"], "Name it"),
        (["lstm", "--walk", "nowhere/walk.html"], "folder that is not there"),
        (["lstm", "--walk", "."], "is a folder"),
        (["lstmm", "--text"], "Did you mean"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["cells", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_cell_of_ones_own_is_walked_through(tmp_path, capsys):
    source = """from gatewise import cell, sigmoid, tanh


@cell(carry="h c", pack="f g")
def leaky(x, h_prev, c_prev, W, U, b):
    f = sigmoid(W.f @ x + U.f @ h_prev + b.f)
    c = f * c_prev + (1 - f) * tanh(W.g @ x + U.g @ h_prev + b.g)
    h = tanh(c)
    return h, c
"""
    (tmp_path / "own.py").write_text(source)
    assert main(["cells", f"{tmp_path / 'own.py'}:leaky", "--text"]) == 0
    assert capsys.readouterr().out.count("(right)") == 4


def test_a_story_of_wrong_shapes_is_refused():
    story = story_of("lstm", "hello")
    with pytest.raises(ShapeError, match="W has shape"):
        Story("x", story.cell, story.x[:, :3], story.start, story.weights, story.steps)
    lstm = cells.find("lstm")
    weights = tuple(np.zeros(p.shape(lstm.sizes(4, 400))) for p in lstm.parameters)
    with pytest.raises(ShapeError, match="more than a page"):
        Story("x", lstm, story.x, zeros(lstm, 4, 400), weights, story.steps)
    with pytest.raises(OptionError, match="one cell"):
        page([story, story_of("gru", "hello")])


@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp", "slstm"])
def test_a_window_goes_on_from_the_row_before_it(name):
    """Values and gradients within it are those of the whole row."""
    cell = cells.find(name)
    rng = np.random.default_rng(7)
    D, H, T, at = 3, 12, 14, 11
    sizes = cell.sizes(D, H, 6)
    weights = [rng.normal(0, 0.4, p.shape(sizes)) for p in cell.parameters]
    x, start = rng.normal(size=(T, D)), zeros(cell, D, H, 6 if cell.projected else 0)
    arriving = [np.zeros((T, sizes[letter])) for letter in cell.carry_sizes]
    for own in arriving:  # among them what steps after it read
        own[at - 3 :] = rng.normal(size=own[at - 3 :].shape)
    part = window("mine", cell, x, start, weights, [str(t) for t in range(T)], at, arriving)
    assert part.steps == tuple(str(t) for t in range(4, 12))
    assert len(part.units) == (0 if cell.projected else 8)
    whole = Story("all", cell, x, start, tuple(weights), tuple(map(str, range(T))), arriving=tuple(arriving))
    want, got = numbers(whole).values[4:12], numbers(part).values
    for gate, pin in panels(cell).pins.items():
        for here, there in zip(got, want, strict=True):
            np.testing.assert_allclose(here[pin.value], there[pin.value], rtol=1e-12, err_msg=gate)
            gradient = panels(cell).back.gradients[pin.value]
            np.testing.assert_allclose(here[gradient], there[gradient], rtol=1e-12, atol=1e-15, err_msg=gate)
    with pytest.raises(OptionError, match="no step 15"):
        window("mine", cell, x, start, weights, [""] * T, 14)
    alone = window("mine", cell, x, start, weights, [""] * T, 0)
    assert alone.arriving[0].tolist() == [[1.0] * len(start[0])]


def test_walking_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; from gatewise.cli import main; main(['cells', 'lstm', '--text'])"
    assert b"BACKWARD" in subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
