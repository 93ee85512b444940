"""A model file predicts in an interpreter that has neither torch nor what else only training needs.

Each old model (`test_old_models.py`) is asked there what it was asked then, in Python, and on the command line.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from old_models import written
from test_old_models import MODELS, NAMES

import gatewise
from gatewise import Classifier, Detector

ABSENT = ("torch", "lightning", "sklearn", "matplotlib", "scipy", "pandas")

CHILD = f"""
import json, sys, tempfile
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path[:0] = {[str(Path(__file__).parent)]!r}
import gatewise
from test_old_models import MODELS, compare, opened
"""


def child(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", CHILD + code], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_said(name):
    child(f"""
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    story = json.loads((MODELS / "{name}.json").read_text())
    model = gatewise.load(opened("{name}", folder))
    compare(model, story, folder)
    model.save(folder / "again")
    compare(gatewise.load(folder / "again"), story, folder)
""")


# A model, and what is asked of it on the command line; DATA stands for the path of the data beside it. Each is also
# compressed.
VERBS = {
    "classify_number": ("predict DATA", "evaluate DATA", "explain DATA", "info"),
    "detect_prediction": ("predict DATA", "predict DATA --events", "evaluate DATA", "explain DATA", "info"),
    "forecast_quantiles": ("predict DATA", "evaluate DATA", "explain DATA", "info"),
    "generate_text": ("sample --length 9", "evaluate DATA", "explain DATA", "info"),
    "generate_numbers": ("sample --length 5", "info"),
    "tag_numbers": ("predict DATA", "explain DATA", "info"),
    "tag_entities": ("predict DATA", "evaluate DATA", "explain DATA", "info"),
    "transcribe_lines": ("predict DATA", "evaluate DATA", "explain DATA", "info"),
    "translate_characters": ("predict DATA", "evaluate DATA", "explain DATA", "info"),
    "caption_images": ("predict DATA", "evaluate DATA --captions DATA/captions.txt", "explain DATA", "info"),
}


COMPRESS = "compress --weights int8 -o DATA.small"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """(model, verb) -> exit code and output of the command line without torch, all in one interpreter."""
    folder = tmp_path_factory.mktemp("verbs")
    calls = []
    for name, verbs in VERBS.items():
        data = written(name, folder)
        for verb in (*verbs, COMPRESS):
            first, *rest = (word.replace("DATA", str(data)) for word in verb.split())
            calls.append((name, verb, [first, str(MODELS / f"{name}.model"), *rest]))
    code = f"""
import contextlib, io
from gatewise.cli import main
found = []
for name, verb, words in {calls!r}:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    found.append([name, verb, code, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""
    return {(name, verb): rest for name, verb, *rest in json.loads(child(code))}


@pytest.mark.parametrize(("name", "verb"), [(name, verb) for name in VERBS for verb in (*VERBS[name], COMPRESS)])
def test_every_verb_runs(answers, name, verb):
    code, out, err = answers[name, verb]
    assert code == 0, err
    assert out.strip()


def test_what_needs_torch_says_so_in_one_line(tmp_path):
    said = child(f"""
from gatewise.cli import main
(Path({str(tmp_path)!r}) / "x.csv").write_text("a,b\\n" + "1,2\\n" * 50)
assert main(["fit", "detect", {str(tmp_path / "x.csv")!r}, "--output", {str(tmp_path / "m")!r}]) == 2
try:
    gatewise.load(MODELS / "detect_both.model").model_
except ImportError as error:
    print(error)
""")
    assert said == "this needs torch, which is not installed. Install it: pip install 'gatewise[train]'\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("name", ["tag_entities", "generate_text"])
def test_an_explanation_lacks_what_takes_gradients(name, tmp_path):
    """All else is the same to the bit; what each step adds is then drawn from random orders, and the report says so."""
    data = str(written(name, tmp_path))
    said = child(f"""
print(json.dumps(gatewise.explain(MODELS / "{name}.model", {data!r}).to_json()))
""")
    without, found = json.loads(said), gatewise.explain(MODELS / f"{name}.model", data)
    whole = json.loads(json.dumps(found.to_json()))
    for part in ("answer", "target", "inputs", "streams", "memory", "gate_ablation"):
        assert without[part] == whole[part], part
    assert "gatewise[train]" in without["missing"]["connectivity"]
    assert "gatewise[train]" in without["provenance"]["method"]
    assert "torch" not in without["provenance"]["versions"]
    assert without["reliability"]["verdict"] != "reliable"
    exact, drawn = (np.concatenate([one["steps"] for one in own["attribution"]["added"]]) for own in (whole, without))
    assert np.corrcoef(exact, drawn)[0, 1] > 0.9


def test_fitting_loading_and_no_torch_give_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    signal, recordings = rng.standard_normal((400, 2)), rng.standard_normal((40, 12, 3))
    np.savez(tmp_path / "data.npz", signal=signal, recordings=recordings)
    small = {"hidden_size": 8, "epochs": 1, "learning_rate": 0.01, "seed": 1, "threads": 1}
    detector = Detector(method="both", **small).fit(signal)
    classifier = Classifier(**small, share=1.0).fit(recordings, (recordings.mean((1, 2)) > 0).astype(int))
    detector.save(tmp_path / "detector")
    classifier.save(tmp_path / "classifier")
    wanted = [detector.scores(signal)[0], classifier.predict_proba(recordings)]
    loaded = Detector.load(tmp_path / "detector"), Classifier.load(tmp_path / "classifier")
    said = child(f"""
import numpy as np
folder = Path({str(tmp_path)!r})
data = np.load(folder / "data.npz")
detector, classifier = gatewise.load(folder / "detector"), gatewise.load(folder / "classifier")
for found in (detector.scores(data["signal"])[0], classifier.predict_proba(data["recordings"])):
    print(found.tobytes().hex())
assert not [name for name in {ABSENT!r} if name in sys.modules]
""")
    assert said.split() == [array.tobytes().hex() for array in wanted]
    for own, array in zip((loaded[0].scores(signal)[0], loaded[1].predict_proba(recordings)), wanted, strict=True):
        np.testing.assert_array_equal(own, array)


def test_what_is_changed_in_the_network_changes_what_is_predicted():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((300, 1))
    detector = Detector(hidden_size=4, epochs=1, learning_rate=0.01, share=1.0, threads=1).fit(signal)
    before = detector.scores(signal)[0]
    with torch.no_grad():
        detector.model_.predictor.layers.weight_hh_l0.mul_(3.0)
    assert not np.array_equal(detector.scores(signal)[0], before)
