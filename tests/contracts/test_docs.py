"""What the README and the docs show is what happens."""

import json
import re
import shlex
from pathlib import Path

import pytest

from gatewise.cells import NAMES
from gatewise.cli import VERBS, main

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


@pytest.mark.parametrize("page", READMES)
def test_the_commands_of_the_readme_run(page, rhyme, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("shakespeare.txt").write_text(rhyme + "ROMEO:\n", encoding="utf-8")
    assert len(commands(page)) >= 7
    for command in commands(page):
        assert main([*command, *QUICK.get(command[0], [])]) == 0, command
        assert capsys.readouterr().out.strip(), f"{command} printed nothing"


@pytest.mark.parametrize("page", READMES)
@pytest.mark.slow
def test_the_programs_of_the_readme_run(page, capsys):
    names: dict = {}
    assert blocks(page, "python")
    for block in blocks(page, "python"):
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
    rows = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("|") and "**" in line]
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


def test_the_programs_of_the_dimensions_page_run():
    names: dict = {}
    for block in blocks("docs/dimensions.md", "python"):
        exec(block, names)
