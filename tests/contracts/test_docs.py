"""What the README and the docs show is what happens."""

import json
import re
import shlex
import wave
from datetime import date, timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatewise.algebra.listing import latex
from gatewise.cells import NAMES, find, load
from gatewise.cli import VERBS, main
from gatewise.tasks import TASKS

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh.md")

# A user has hours for these, the tests a few seconds.
QUICK = {
    "fit": ["--hidden-size", "16", "--epochs", "1"],
    "demo": ["--quick"],
    "bench": ["--quick", "--shape", "2,3,4,5"],
}


def blocks(page, language=""):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def commands(page):
    """Every `gatewise` line of the page's console blocks."""
    lines = [line.partition("#")[0].strip() for block in blocks(page) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("gatewise ")]


def test_the_commands_of_the_readme_run(rhyme, tmp_path, monkeypatch, capsys):
    """Of one: both show the same, see below."""
    page = READMES[0]
    monkeypatch.chdir(tmp_path)
    Path("shakespeare.txt").write_text(rhyme + "ROMEO:\n", encoding="utf-8")
    Path("my_cell.py").write_text(own_cell(page), encoding="utf-8")
    write_examples()
    assert len(commands(page)) >= 7
    for command in commands(page):
        assert main([*command, *QUICK.get(command[0], [])]) == 0, command
        assert capsys.readouterr().out.strip(), f"{command} printed nothing"


def write_examples():
    """Small files such as a reader would bring."""
    moods = ["so warm and kind,good", "cold and dull,bad", "a joy to see,good", "an hour of nothing,bad"]
    reviews = [f"{number} times {mood}" for number in range(15) for mood in moods]  # all different, as reviews are
    Path("reviews.csv").write_text("\n".join(["review,mood", *reviews]))
    Path("later.csv").write_text("\n".join(["review,mood", *moods]))
    Path("people.conll").write_text("Ann B-PER\nLee I-PER\nsleeps O\n\nso O\ndoes O\nBob B-PER\n\n" * 20)
    days = [date(2026, 1, 1) + timedelta(day) for day in range(84)]
    rows = [f"{shop},{day},{10 + day.weekday()}" for shop in "ab" for day in days]
    Path("sales.csv").write_text("\n".join(["shop,day,sold", *rows]))
    minutes = [f"2026-01-01 {minute // 60:02}:{minute % 60:02},{minute % 10}" for minute in range(600)]
    Path("machine.csv").write_text("\n".join(["minute,heat", *minutes]))
    Path("train.en").write_text("a cat sleeps\na dog runs\nthe cat runs\nthe dog sleeps\n" * 10)
    Path("train.de").write_text("eine katze schläft\nein hund läuft\ndie katze läuft\nder hund schläft\n" * 10)
    Path("new.txt").write_text("the cat sleeps\n")
    write_signals(["left", "right"])


def write_signals(words):
    """Recordings with their texts, pictures with their captions, and pen strokes."""
    for folder in ("recordings", "photos", "strokes/left", "strokes/right"):
        Path(folder).mkdir(parents=True)
    captions = []
    for number in range(20):
        word, name = words[number % 2], f"{number:02}"
        tone = np.sin(np.arange(4000) * (0.1 + 0.1 * (number % 2)))
        with wave.open(f"recordings/{name}.wav", "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes((9000 * tone).astype("<i2").tobytes())
        Path(f"recordings/{name}.txt").write_text(word)
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[:, 8 * (number % 2) :][:, :8] = 10 * number + 40
        Image.fromarray(picture).save(f"photos/{name}.png")
        captions.append(f"{name}.png#0\tlight on the {word}")
        points = [f"{10 * step * (1 if word == 'right' else -1)},{step + number},{step}" for step in range(9)]
        Path(f"strokes/{word}/{word}_{name}.txt").write_text("\n".join(["START", *points, "BREAK"]))
    Path("captions.txt").write_text("\n".join(captions))


def own_cell(page):
    """The file that the page lets its reader write."""
    [text] = [block for block in blocks(page, "python") if block.startswith("# my_cell.py\n")]
    return text


@pytest.mark.slow
def test_the_programs_of_the_readme_run(capsys):
    names: dict = {}
    programs = blocks(READMES[0], "python")
    assert programs
    for block in programs:
        exec(block, names)
    assert capsys.readouterr().out.strip()


def test_both_readmes_show_the_same_code_and_figures():
    english, chinese = ((ROOT / page).read_text() for page in READMES)
    assert blocks("README.md", "python") == blocks("README.zh.md", "python")
    assert commands("README.md") == commands("README.zh.md")
    assert figures(english) == figures(chinese)


def figures(page):
    """Every number with a point in the page's tables."""
    return re.findall(r"\d+\.\d+", "".join(re.findall(r"^\|.*\|$", page, re.MULTILINE)))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_readme(verb):
    for page in READMES:
        assert f"gatewise {verb}" in (ROOT / page).read_text()


def test_every_cell_is_listed_with_its_source(capsys):
    assert main(["cells"]) == 0
    listed = capsys.readouterr().out
    for name in NAMES:
        assert re.search(rf"^{name} ", listed, re.MULTILINE)
        main(["cells", name])
        assert re.search(r"source +\S", capsys.readouterr().out)


def test_the_page_of_cells_has_each_with_its_equations():
    """All of them, or those that differ from the cell it names."""
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\([^)]*\) \|(.*)$", (ROOT / "docs" / "cells.md").read_text(), re.MULTILINE))
    assert rows.keys() == set(NAMES)
    for name, row in rows.items():
        shown, base = re.findall(r"\$`(.*?)`\$", row.split(" | ")[0]), re.search(r"^ as `(\w+)`, but", row)
        same = latex(find(base[1])) if base else []
        assert shown == [line for line in latex(find(name)) if line not in same], f"python: latex(find({name!r}))"


MISTAKES = [  # in the order of the page's table: what is written instead of what
    ("o * tanh", "o * tahn"),
    ("tanh(c)", "math.tanh(c)"),
    ("    g = tanh", "    if False: g = tanh"),
    ("W.f @ x + U.f", "W.f @ x + W.f"),
    ("return h, c", "return h"),
    ("c_prev, W", "W"),
    ("W.g @ x", "W.q @ x"),
    ("U, b)", "U, b, V)"),
    ("c = f * c_prev", "c = c_prev if f else c_prev"),
]


def test_mistakes_are_told_as_the_page_of_cells_says(tmp_path, monkeypatch):
    page = "docs/cells.md"
    text = own_cell(page)
    assert text == own_cell("README.md")
    monkeypatch.chdir(tmp_path)
    told = re.findall(r"^\|[^|]*\| `(my_cell.py:.*)` \|$", (ROOT / page).read_text(), re.MULTILINE)
    for (right, wrong), message in zip(MISTAKES, told, strict=True):
        text_with = text.replace("# my_cell.py", "import math").replace(right, wrong, 1)
        assert text_with.count(wrong)
        Path("my_cell.py").write_text(text_with)
        with pytest.raises(ValueError) as caught:
            load("my_cell.py:my_cell")
        assert str(caught.value) == message


def test_links_within_the_docs_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_cell_in_the_architecture_page_is_the_cell_file():
    page = (ROOT / "docs" / "architecture.md").read_text()
    source = (ROOT / "src" / "gatewise" / "cells" / "lstm.py").read_text()
    assert source[source.index("@cell(") :].strip() in page


@pytest.mark.parametrize("page", READMES)
def test_the_figures_of_the_readme_are_those_of_the_committed_results(page):
    part = (ROOT / page).read_text().partition("<!-- figures -->")[2].partition("<!-- /figures -->")[0]
    rows = [line for line in part.splitlines() if line.startswith("|") and "**" in line]
    results = [
        ROOT / "benchmarks" / "results" / f"languagemodels-{name}.json" for name in ("demo", "alice", "tinyshakespeare")
    ]
    assert len(rows) == len(results)
    for row, path in zip(rows, results, strict=True):
        metrics = json.loads(path.read_text())["answer"]["metrics"]
        shown = [metrics["test"], *(metrics["baselines"][name] for name in ("5-gram", "xz", "frequencies"))]
        assert re.findall(r"\d\.\d\d", row) == [f"{found['bits_per_character']:.2f}" for found in shown]


@pytest.mark.parametrize("page", READMES)
def test_the_speeds_of_the_readme_are_those_of_the_committed_results(page):
    part = (ROOT / page).read_text().partition("<!-- speed -->")[2].partition("<!-- /speed -->")[0]
    shown = [re.findall(r"\d+\.\d\d", line) for line in part.splitlines() if line.startswith("|")]
    results = json.loads((ROOT / "benchmarks" / "results" / "engine.json").read_text())["answer"]["comparisons"]
    measured: dict = {}
    for found in results:
        [ratio] = [who["ratio"]["median"] for who in found["contestants"].values() if "ratio" in who][:1]
        measured.setdefault(found["work"], []).append(f"{ratio:.2f}")
    assert shown[2:] == [ratios for work, ratios in measured.items() if work != "step"]
    sweep = json.loads((ROOT / "benchmarks" / "results" / "sweep.json").read_text())["answer"]
    worst = [f"{sweep[work]['torch / gatewise']['least']:.2f}" for work in ("forward", "training")]
    assert all(figure in part for figure in worst)


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["answer"]


@pytest.mark.parametrize("page", ["docs/tasks.md", *READMES])
def test_the_table_of_quality_is_that_of_the_committed_results(page):
    part = (ROOT / page).read_text().partition("<!-- quality -->")[2].partition("<!-- /quality -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.strip().splitlines()][2:]
    found = results("quality")["rows"]
    names = [row[0].partition(" (")[0] for row in rows]
    if page.startswith("docs"):
        assert names == list(found)
    for name, (_, task, _, figure, plain, *_) in zip(names, rows, strict=True):
        digits = 3 if abs(found[name]["mean"]) < 10 else 2
        assert task == found[name]["task"]
        assert figure.partition(" ")[0].strip("*") == f"{found[name]['mean']:.{digits}f}"
        # The better one is bold; what is equal to as many digits may be either.
        ours, theirs = float(figure.partition(" ")[0].strip("*")), float(plain.partition(" ")[0].strip("*") or "nan")
        if ours != theirs and plain:
            won = ours > theirs if found[name]["better"] == "more" else ours < theirs
            assert (figure.startswith("**"), plain.startswith("**")) == (won, not won), name


def cells_of(page, name):
    """Of the table between the page's markers of this name, without its head."""
    part = (ROOT / page).read_text().partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines][2:]


def test_the_robustness_cards_are_those_of_the_committed_results():
    cards = results("robustness")["cards"]
    shown = re.findall(r"<!-- robustness (\w+) -->", (ROOT / "docs" / "tasks.md").read_text())
    assert sorted(shown) == sorted(cards)
    tasks = {found["task"] for found in cards.values()}
    assert tasks == set(TASKS)
    for name in shown:
        rows, found = cells_of("docs/tasks.md", f"robustness {name}"), cards[name]["card"].values()
        assert [[model, plain] for _, model, _, plain, _ in rows] == [
            [f"{at['model']:.4g}", f"{at['figure']:.4g}"] for at in found
        ]


def test_the_table_of_precisions_is_that_of_the_committed_results():
    rows, found = cells_of("docs/tasks.md", "precision"), results("precision")["rows"].values()
    assert {task for _, task, *_ in rows} == set(TASKS)
    for (_, task, seeds, _, *shown, safe), row in zip(rows, found, strict=True):
        assert (task, seeds, safe) == (row["task"], str(len(row["seeds"])), "yes" if row["safe"] else "**no**")
        means = [sum(of) / len(of) for of in [*row["figures"].values(), *row["losses"].values()]]
        figures = [float(cell.partition(" ")[0]) for cell in shown]
        assert figures == pytest.approx([*means, *row["seconds"].values()], abs=0.051, rel=1e-3)


@pytest.mark.parametrize(
    ("page", "program", "mark"),
    [
        ("detection", "detection", "archives"),
        ("forecasting", "forecasting", "sets"),
        ("tasks", "vectors", "vectors"),
        ("scale", "faults", "faults"),
        ("tune", "ensemble", "ensemble"),
    ],
)
def test_the_tables_of_series_are_those_of_the_committed_results(page, program, mark):
    table = import_module(f"benchmarks.{program}").table(results(program))
    assert f"<!-- {mark} -->\n{table}\n<!-- /{mark} -->" in (ROOT / "docs" / f"{page}.md").read_text()


def test_the_tables_of_large_data_are_those_of_the_committed_results():
    page = (ROOT / "docs" / "scale.md").read_text()
    folder = import_module("benchmarks.largefolder").table()
    text = import_module("benchmarks.largetext").table(results("largetext"))
    assert f"<!-- large folder -->\n{folder}\n<!-- /large folder -->" in page
    assert f"<!-- largetext -->\n{text}\n<!-- /largetext -->" in page


def test_the_tables_of_processes_are_those_of_the_committed_results():
    found, page = results("processes"), (ROOT / "docs" / "scale.md").read_text()
    for mark, table in import_module("benchmarks.processes").tables(found).items():
        assert f"<!-- {mark} -->\n{table}\n<!-- /{mark} -->" in page
    runs = [run for task, own in found.items() if task != "exchange" for run in own["runs"].values()]
    assert all(own["runs"]["two processes"]["same_bits"] for task, own in found.items() if task != "exchange")
    assert max(run["largest_difference"] for run in runs) < 1e-4


def test_the_table_of_the_same_answers_is_that_of_the_committed_results():
    found = results("alike")
    table = import_module("benchmarks.quality.alike").table(found)
    assert f"<!-- alike -->\n{table}\n<!-- /alike -->" in (ROOT / "docs" / "alike.md").read_text()
    assert results("quality")["rows"].keys() - found.keys() <= {"chnsenticorp_htl"}  # long texts, not measured yet
    assert all(row["same_bits"] for row in found.values())
    assert max(row["difference"] for row in found.values()) < 1e-5


@pytest.mark.slow
def test_the_program_of_the_forecasting_page_runs(capsys):
    """And a forecast that knows of holidays is better than one that does not."""
    [program] = blocks("docs/forecasting.md", "python")
    names: dict = {}
    exec(program, names)
    knowing, unknowing = map(float, capsys.readouterr().out.split())
    assert knowing < 0.8 * unknowing
    assert names["points"].shape == (2, 14)


def test_the_costs_of_the_page_of_cells_are_those_of_the_committed_results():
    part = (ROOT / "docs" / "cells.md").read_text().partition("<!-- costs -->")[2].partition("<!-- /costs -->")[0]
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.strip().splitlines()][2:]
    assert shown == [
        [f"`{row['cell']}`", f"{row['parameters']:,}", str(row["instructions"])]
        + [
            f"{value:.2f}"
            for work in ("forward", "training")
            for value in (row[work]["relative_work"], row[work]["relative_time"]["median"])
        ]
        for row in results("cells")["family"]
    ]


def test_the_loops_of_the_page_of_cells_are_those_of_the_committed_results():
    part = (ROOT / "docs" / "cells.md").read_text().partition("<!-- loops -->")[2].partition("<!-- /loops -->")[0]
    shown = [[cell.strip() for cell in line.split("|")[2:-1]] for line in part.strip().splitlines()][2:]
    assert shown == [
        [
            f"{row[work][loop]['ratio']['median']:.2f}"
            for work in ("forward", "training")
            for loop in ("eager", "compiled")
        ]
        for row in results("cells-loops")["loops"]
    ]


def test_the_figures_of_the_dimensions_page_are_those_of_the_committed_results():
    page = (ROOT / "docs" / "dimensions.md").read_text()
    shown = {}
    for name in ("digits", "frames"):
        part = page.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("|")]
        shown[name] = {name: figures for name, *figures in rows[2:]}

    digits, frames = results("dimensions-digits"), results("dimensions-frames")
    assert shown["digits"] == {name: [f"{100 * found:.1f} %"] for name, found in digits["accuracy"].items()}
    assert min(run["test"] for run in digits["runs"]) >= 0.97
    ahead = frames["mean_squared_error_per_frame_ahead"]
    assert shown["frames"] == {
        name: [f"{value:.4f}" for value in (ahead[name][0], ahead[name][-1], found)]
        for name, found in frames["mean_squared_error"].items()
    }


def test_the_figures_of_the_odyssey_page_are_those_of_the_committed_results():
    page = (ROOT / "docs" / "odyssey.md").read_text()
    part = page.partition("<!-- odyssey -->")[2].partition("<!-- /odyssey -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines() if line.startswith("|")]
    shown = {re.sub(r"[`*]", "", name): figures for name, *figures in rows[2:]}
    found = results("odyssey")
    accuracy, bits = found["vowels"], found["characters"]

    def figures(row, scale, digits):
        mean, std, least, most = (f"{scale * row[key]:.{digits}f}" for key in ("mean", "std", "least", "most"))
        p = row.get("p")  # the vanilla LSTM is compared with itself by nobody
        return [f"{mean} ± {std}", f"{least} to {most}", "" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"]

    plain = [name for name in (*accuracy["baselines"], *bits["baselines"]) if name in shown]
    assert len(plain) == 4
    assert shown.keys() == {*accuracy["variants"], *plain}
    for name in accuracy["variants"]:
        [_, weights, *rest] = shown[name]
        assert rest == figures(accuracy["variants"][name], 100, 1) + figures(bits["variants"][name], 1, 3), name
        assert int(weights.replace(" ", "")) == bits["variants"][name]["weights"]
    for name, value in accuracy["baselines"].items():
        assert f"{100 * value:.1f}" in shown[name]
    for name, value in bits["baselines"].items():
        assert f"{value:.3f}" in shown[name]
    slower = results("odyssey-slower")["variants"]
    for name in ("peephole", "full_gate_recurrence"):
        assert f" {sum(slower[name]) / len(slower[name]):.2f}" in page


def test_the_programs_of_the_dimensions_page_run():
    names: dict = {}
    for block in blocks("docs/dimensions.md", "python"):
        exec(block, names)


def test_the_program_of_layers_on_the_streams_page_runs():
    names: dict = {}
    [block] = [block for block in blocks("docs/streams.md", "python") if "cells.find" in block]
    exec(block, names)
    assert names["y"].shape == (3, 128)
    assert [[value.shape for value in layer] for layer in names["state"]] == [[(128,)]]


def test_the_tables_of_the_streams_page_are_the_measured_ones():
    """Medians and their spread, which `benchmarks.stream` writes into both."""

    def shown(spread):
        return "{} ({}-{})".format(*(f"{v:.0f}" if v >= 100 else f"{v:.3g}" for v in spread.values()))

    columns = {"steps": (2, "ours"), "int8": (3, "int8"), "text": (1, "read by the engine")}
    columns |= {"together": (1, "one by one"), "int8-models": (3, "int8")}
    for part, (column, key) in columns.items():
        rows, found = cells_of("docs/streams.md", part), results(f"stream-{part}")["rows"]
        assert [row[column] for row in rows] == [shown(row[key]) for row in found]
