import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise import bundle
from gatewise.cli import main
from gatewise.cli.info import describe
from gatewise.tasks import Generator, Tagger

DOCUMENT = {
    "task": "generate",
    "cell": {"name": "lstm", "source": "Gers et al. (2000)", "program": ["mul", "add"] * 100},
    "options": {"dropout": 0.1},
    "sizes": {"embedding_size": 16, "hidden_size": 256, "layers": 2},
    "vocabulary": {"kind": "characters", "tokens": list("abcdefg")},
    "training": {
        "data": {"name": "poems.txt", "fingerprint": "sha256:ab12", "characters": 1115394},
        "seed": 20240101,
        "steps": 20000,
        "best_step": 18000,
        "seconds": 723.2,
        "versions": {"gatewise": "0.1.0", "torch": "2.13.0"},
        "metrics": {
            "test": {"loss": 1.41},
            "train": {"loss": 1.234567},
            "validation": {"loss": 1.4, "bits_per_character": 2.02},
            "baselines": {"uniform": {"bits_per_character": 6.02}},
        },
        "optimiser": "adamw",
    },
    "licence": {"name": "CC0", "terms": {"share": True}},
}


@pytest.fixture
def path(tmp_path):
    bundle.save(tmp_path / "poems", DOCUMENT, {"w": np.zeros((1024, 320), np.float32), "b": np.zeros(320, np.float32)})
    return str(tmp_path / "poems")


def test_every_fact_has_a_line_in_good_order(path, capsys):
    assert main(["info", path]) == 0
    digest = bundle.read_header(path).document["sha256"]
    assert (
        capsys.readouterr().out
        == f"""\
task            generate
cell            lstm · source Gers et al. (2000)
sizes           embedding size 16 · hidden size 256 · layers 2
parameters      328,000 in 2 tensors, 1.251 MiB
vocabulary      characters · size 7
options         dropout 0.1
licence         name CC0 · terms (share yes)
trained on      name poems.txt · characters 1,115,394
took            12 min 3 s · 20,000 steps · best step 18,000
run             seed 20240101
versions        gatewise 0.1.0 · torch 2.13.0
optimiser       adamw
train           loss 1.235
validation      loss 1.4 · bits per character 2.02
test            loss 1.41
vs uniform      bits per character 6.02
file            format 1, sha256 {digest}
"""
    )


def test_json_is_the_document(path, capsys):
    assert main(["info", "--json", path]) == 0
    assert json.loads(capsys.readouterr().out) == bundle.read_header(path).document


def test_lines_are_wrapped_on_a_terminal_only(path):
    header = bundle.read_header(path)
    for columns in (40, 66):
        lines = describe(header, columns).splitlines()
        assert all(len(line) <= columns for line in lines[:-1] if "sha256" not in line)  # a digest is one long word
        assert len(lines) > len(describe(header, None).splitlines())
        assert " ".join(" ".join(lines).split()) == " ".join(describe(header, None).split())
    assert describe(header, 10) == describe(header, None)


def test_a_missing_model_is_one_line(tmp_path, capsys):
    assert main(["info", str(tmp_path / "none")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"gatewise: there is no file '{tmp_path}/none'. Check the path.\n"


def test_a_strangers_model_cannot_command_the_terminal(tmp_path, capsys):
    document = {"task": "\x1b[2Jx", "\x1b]0;evil\x07": "a\nb", "training": {"\x9b31m": "\u202ereversed"}}
    bundle.save(tmp_path / "m", document, {})
    assert main(["info", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    assert "\\x1b[2Jx" in out
    assert all(character.isprintable() for character in out.replace("\n", ""))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5 s"), (59, "59 s"), (60, "1 min 0 s"), (7384, "2 h 3 min"), (-1, "-1"), (math.inf, "inf"), ("x", "x")],
)
def test_durations(seconds, said):
    header = bundle.Header({"training": {"seconds": seconds}}, {})
    assert f"took            {said}\n" in describe(header, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.dictionaries(st.sampled_from([*DOCUMENT, "x"]), json_values, max_size=4),
    st.dictionaries(st.sampled_from([*DOCUMENT["training"], "x"]), json_values, max_size=4) | json_values,
    st.none() | st.integers(1, 90),
)
def test_any_document_can_be_shown(document, training, columns):
    text = describe(bundle.Header(document | {"training": training}, {}), columns)
    io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace").write(text)


MODELS = Path(__file__).parents[1] / "tasks" / "models"


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.model")), ids=lambda path: path.stem)
def test_every_models_description_fits_on_a_screen(path):
    lines = describe(bundle.read_header(path), 80).splitlines()
    assert len(lines) < 50
    assert all(len(line) <= 80 for line in lines if "sha256" not in line)
    assert sum(len(line) for line in describe(bundle.read_header(path), None).splitlines()) < 3000


def test_a_large_model_is_described_as_briefly():
    words = {f"word{n}": "B-PER" for n in range(5000)}
    document = {
        "task": "tag",
        "features": {"words": [{"column": "token", "parts": list(words)}], "means": words},
        "baselines": {"table": words, "labels": list(words)},
        "notes": "x" * 5000,
        "training": {"metrics": {"test": {"f1": 0.5, "types": {f"kind{n}": {"f1": 1} for n in range(99)}}}},
    }
    text = describe(bundle.Header(document, {}), None)
    assert len(text) < 700
    assert "table [5000 entries] · labels [5000 items]" in text
    assert "test            f1 0.5\n" in text


def test_options_are_those_that_were_given():
    options = {**Generator().plain_options(), "epochs": 3, "tokens": "words", "dropout": None}
    text = describe(bundle.Header({"task": "generate", "options": options}, {}), None)
    assert "options         epochs 3 · tokens words\n" in text
    assert "options" not in describe(bundle.Header({"task": "tag", "options": Tagger().plain_options()}, {}), None)


@pytest.mark.parametrize(
    ("frequency", "said"),
    [
        ({"unit": "day", "count": 1, "month_end": False}, "daily"),
        ({"unit": "span", "count": 3_600_000_000}, "hourly"),
        ({"unit": "month", "count": 3, "on": ["15"]}, "quarterly, on the 15th"),
        ({"unit": "day", "colour": 1}, "unit day · colour 1"),
    ],
)
def test_frequencies_as_people_say_them(frequency, said):
    text = describe(bundle.Header({"task": "forecast", "frequency": frequency}, {}), None)
    assert f"frequency       {said}" in text


def test_the_verdict_is_a_line_whatever_a_stranger_wrote_there(tmp_path, capsys):
    strongest = {"name": "5-gram", "measure": "bits_per_character", "figure": 2.5, "model": 2.0, "part": "test"}
    judgement = {"share": 1.0, "strongest_plain": {**strongest, "standard_error": None}, "earned": True}
    for found, line in (
        (judgement, "The network earned its place"),
        ({**judgement, "strongest_plain": {"name": 1}}, ""),
    ):
        training = {**DOCUMENT["training"], "metrics": {**DOCUMENT["training"]["metrics"], **found}}
        bundle.save(tmp_path / "judged", {**DOCUMENT, "training": training}, {"w": np.zeros(3, np.float32)})
        assert main(["info", str(tmp_path / "judged")]) == 0
        shown = capsys.readouterr().out
        assert line in shown
        assert ("\nverdict " in shown) == bool(line)


def test_what_looks_like_a_group_is_told(tmp_path, capsys):
    rows = "\n".join(f"{n},{n % 3},{n % 2}" for n in range(30))
    (tmp_path / "words.csv").write_text(f"length,speaker_id,label\n{rows}\n")
    assert main(["info", str(tmp_path / "words.csv")]) == 0
    assert "group: perhaps speaker_id; with --group speaker_id none" in capsys.readouterr().out
