"""The verbs, called as a user calls them: exit codes, what goes to stdout and to stderr, what is left in the folder."""

import gzip
import io
import json
import os
import pty
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gatewise import bundle, files
from gatewise.cli import main
from gatewise.cli.usage_errors import with_flags
from gatewise.tasks import verdict
from gatewise.training import checkpoint

TINY = ("--hidden-size", "8", "--batch-size", "2", "--chunk-length", "16", "--epochs", "0.05")
LONGER = (*TINY[:-1], "0.5", "--dropout", "0.2")


@pytest.fixture
def folder(tmp_path, monkeypatch, rhyme):
    """A folder of one's own, to work in, with a text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "rhyme.txt").write_text(rhyme)
    return tmp_path


@pytest.fixture
def call(folder, capsys):
    def call(*words):
        capsys.readouterr()
        code = main(tuple(map(str, words)))
        return SimpleNamespace(code=code, **dict(zip(("out", "err"), capsys.readouterr(), strict=True)))

    return call


@pytest.fixture
def model(folder, model_file):
    shutil.copy(model_file, "model")
    return "model"


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def one_line(err):
    """The message, if it is one line as promised."""
    assert err.count("\n") == 1, err
    assert err.startswith("gatewise: "), err
    assert err.endswith("\n")
    return err.removeprefix("gatewise: ").strip()


def timeless(path):
    """Document and tensors of a model, without what the clock says."""
    found = bundle.load(path)
    document = {key: value for key, value in found.document.items() if key != "sha256"}
    training = {k: v for k, v in document.pop("training").items() if k not in ("seconds", "started")}
    return {**document, "training": training}, found.tensors


def assert_same_model(one, two):
    (document, tensors), (other, others) = timeless(one), timeless(two)
    assert document == other
    assert tensors.keys() == others.keys()
    for name in tensors:
        assert np.array_equal(tensors[name], others[name]), name


def lines(path):
    found = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


# --- fit --------------------------------------------------------------------------------------------------------------


def test_fit_names_the_model_after_the_text(call, folder):
    done = call("fit", "generate", "rhyme.txt", *TINY, "--plot", "curve.svg")
    assert done.code == 0
    assert listing(folder) == ["curve.svg", "rhyme.gatewise", "rhyme.gatewise.metrics.jsonl", "rhyme.txt"]
    assert done.out.split("\n")[0].split() == ["bits/char", "nats/token", "perplexity"]
    assert all(f"\n{name} " in done.out for name in ("train", "validation", "test", "frequencies", "5-gram", "xz"))
    assert "rhyme.gatewise (792 weights, " in done.out
    assert "written at step" in done.err
    assert "val " in done.err
    assert "<svg" in Path("curve.svg").read_text()
    kinds = {line["kind"] for line in lines("rhyme.gatewise.metrics.jsonl")}
    assert "evaluation" in kinds

    again = call("fit", "generate", "rhyme.txt", *TINY)
    assert again.code == 2
    assert one_line(again.err) == "'rhyme.gatewise' exists. Pass --force to replace it, or name another file."
    forced = call("fit", "generate", "rhyme.txt", *TINY, "--force", "--quiet", "--json")
    assert (forced.code, forced.err) == (0, "")
    found = json.loads(forced.out)
    assert found["model"] == "rhyme.gatewise"
    assert found["outcome"]["reason"] == "finished"
    assert found["metrics"] == bundle.read_header("rhyme.gatewise").document["training"]["metrics"]


def test_every_option_reaches_the_estimator(call, folder, rhyme):
    Path("words.vec").write_text("".join(f"{word} 1 2 3 4 5\n" for word in rhyme.split()), encoding="utf-8")
    given = {
        "vectors": "words.vec",
        "cell": "lstmp",
        "tokens": "words",
        "vocabulary_size": 15,
        "min_frequency": 2,
        "preset": "small",
        "embedding_size": 5,
        "hidden_size": 8,
        "num_layers": 2,
        "proj_size": 4,
        "dropout": 0.25,
        "recurrent_dropout": 0.1,
        "zoneout": 0.05,
        "weight_dropout": 0.15,
        "activation_penalty": 2.0,
        "temporal_activation_penalty": 1.0,
        "forget_bias": 0.5,
        "learning_rate": 0.02,
        "weight_decay": 0.1,
        "clip": 2.0,
        "epochs": 0.1,
        "batch_size": 3,
        "chunk_length": 9,
        "patience": 5,
        "seed": 7,
        "threads": 1,
    }
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    flags = ["--variational-dropout", "--no-tie-weights", "--freeze-vectors", "--split", "0.8,0.1,0.1"]
    assert call("fit", "generate", "rhyme.txt", "-o", "model", *words, *flags, "-q").code == 0
    options = bundle.read_header("model").document["options"]
    rest = {"variational_dropout": True, "tie_weights": False, "freeze_vectors": True, "split": [0.8, 0.1, 0.1]}
    of_numbers = dict.fromkeys(("key", "time", "columns", "mixtures"))
    of_tables = dict.fromkeys(("separator", "header", "decimal", "thousands", "missing"))
    left_out = {
        "memorise": False,
        "only": None,
        "freeze": None,
        "minutes": None,
        "group": None,
        "schedule": "cosine",
        "precision": "auto",
    }
    assert options == given | rest | of_numbers | of_tables | left_out


def test_patience_0_never_stops_early(call):
    assert call("fit", "generate", "rhyme.txt", "-o", "m", *TINY, "--patience", "0", "-q").code == 0
    assert bundle.read_header("m").document["options"]["patience"] is None


def test_sources_of_text(call, folder, monkeypatch, rhyme):
    (folder / "poems").mkdir()
    (folder / "poems" / "a.txt").write_bytes(b"\xef\xbb\xbf" + rhyme.replace("\n", "\r\n").encode())
    Path("rhyme.txt.gz").write_bytes(gzip.compress(rhyme.encode()))
    Path("accents.txt").write_bytes(rhyme.replace("a", "á").encode("latin-1"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rhyme.encode())))
    for words, name in (
        (["poems"], "poems"),
        (["rhyme.txt.gz", "--force"], "rhyme"),
        (["-"], "stdin"),
        (["accents.txt", "--encoding", "latin-1"], "accents"),
    ):
        done = call("fit", "generate", *words, *TINY, "-q")
        assert (done.code, done.err) == (0, "")
        document = bundle.read_header(f"{name}.gatewise").document
        assert document["training"]["data"]["characters"] == len(rhyme)
        assert document["training"]["data"]["name"] == words[0]
        assert ("á" in document["vocabulary"]["characters"]) == (name == "accents")
        assert "\r" not in document["vocabulary"]["characters"]


def interrupt(monkeypatch, *numbers, step=17):
    """Signals in a training step, as from the keyboard."""
    from gatewise.tasks.generate.text.network import LanguageModel

    real, calls = LanguageModel.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == step:
            for number in numbers:
                signal.raise_signal(number)
        return real(self, batch)

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)


@pytest.fixture
def interrupted(call, folder, monkeypatch):
    """What a training that was stopped with Ctrl-C left as `model`, and how it ended."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        interrupt(patch, signal.SIGINT)
        done = call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER)
    yield done
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_says_how_to_go_on(interrupted, call, folder):
    assert interrupted.code == 130
    assert listing(folder) == ["model", "model.checkpoint", "model.metrics.jsonl", "rhyme.txt"]
    stopping, best, hint = interrupted.err.splitlines()[-3:]
    assert stopping == "stopping: writing the checkpoint (Ctrl-C again leaves at once)"
    assert best == "interrupted after step 17; model has the best weights so far."
    command = f"gatewise fit generate rhyme.txt -o model {' '.join(LONGER)} --resume"
    assert hint == f"To continue: {command}"
    assert call("sample", "model", "-n", "5").code == 0
    assert call("fit", "generate", "rhyme.txt", "-o", "whole", *LONGER).code == 0
    assert call(*shlex.split(command)[1:]).code == 0
    assert_same_model("model", "whole")
    assert lines("model.metrics.jsonl") == lines("whole.metrics.jsonl")
    assert not Path("model.checkpoint").exists()


def test_a_second_ctrl_c_is_one_line_more(call, folder, monkeypatch):
    interrupt(monkeypatch, signal.SIGINT, signal.SIGINT)
    done = call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, "-q")
    assert (done.code, done.out) == (130, "")
    assert one_line(done.err) == "stopped by Ctrl-C."
    assert listing(folder) == ["model.checkpoint", "model.metrics.jsonl", "rhyme.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [],
            "'model.checkpoint' is left from an interrupted training. --resume continues it, --force starts over",
        ),
        (["--resume", "--hidden-size", "9"], "hidden_size was 8 and is 9"),
        (["--resume", "--seed", "1"], "seed was 0 and is 1"),
        (["--resume", "--learning-rate", "0.5"], "learning-rate was 0.01 and is 0.5"),
        (["--resume", "--cell", "gru"], 'cell was "lstm" and is "gru"'),
        (["--resume", "--threads", "2"], "threads was 1 and is 2"),
        (["--resume", "poem.txt"], "data was "),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_checkpoint_is_gone_on_with_as_it_was(words, said, interrupted, call, folder):
    Path("poem.txt").write_text("another poem\n" * 300)
    before = {path: Path(path).read_bytes() for path in listing(folder)}
    done = call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, *words)
    assert (done.code, done.out) == (2, "")
    message = one_line(done.err)
    assert said in message or said.replace("hidden_size", "--hidden-size") in message
    if words:
        assert "cannot resume from model.checkpoint, which was made differently" in message
    assert {path: Path(path).read_bytes() for path in listing(folder)} == before


@pytest.mark.parametrize("words", [[], ["--force"], ["--resume"]], ids=str)
def test_two_runs_of_one_name_do_not_mix(words, interrupted, call, folder):
    before = {path: Path(path).read_bytes() for path in listing(folder)}
    holder = [sys.executable, "-c", "from gatewise.files import only_run\nwith only_run('model'): print(), input()"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.read(1)
        done = call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, *words)
        assert (done.code, done.out) == (2, "")
        message = one_line(done.err)
        assert f"'model' is being written by another run (process {other.pid})" in message
        assert f"stop it with `kill {other.pid}`, or name another output" in message
        other.kill()
    assert call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, "--resume", "-q").code == 0
    assert listing(folder) == ["model", "model.metrics.jsonl", "rhyme.txt"]
    assert before.keys() - set(listing(folder)) == {"model.checkpoint"}


def test_force_starts_over(interrupted, call, folder):
    assert call("fit", "generate", "rhyme.txt", "-o", "model", *TINY, "--force", "-q").code == 0
    assert listing(folder) == ["model", "model.metrics.jsonl", "rhyme.txt"]
    assert bundle.read_header("model").document["options"]["epochs"] == 0.05


@pytest.mark.slow
def test_a_training_that_was_stopped_from_outside(folder):
    """Real processes and real signals: SIGINT, then SIGTERM and SIGHUP to those that go on, then to the end."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    words = ["fit", "generate", "rhyme.txt", "-o", "model", *TINY[:-1], "3", "--dropout", "0.2", "--threads", "1"]

    def start(*more):
        ready = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored, after an &
        code = f"{ready}; from gatewise.cli import main; sys.exit(main())"
        command = [sys.executable, "-W", "error", "-c", code, *words, *more]
        return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    for more, number in (([], signal.SIGINT), (["--resume"], signal.SIGTERM), (["--resume"], signal.SIGHUP)):
        child = start(*more)
        try:
            heard = []
            while not heard or not heard[-1].startswith("step "):
                heard.append(child.stderr.readline())
                assert heard[-1], "".join(heard)
            time.sleep(0.02)
            child.send_signal(number)
            out, err = child.communicate(timeout=20)
        finally:
            child.kill()
            child.wait()
        assert child.returncode == 130, err
        assert err.splitlines()[-1] == f"To continue: gatewise {' '.join(words)} --resume"
        assert "Traceback" not in err
        assert "bits/char" in out
        bundle.load("model")
        assert Path("model.checkpoint").exists()

    assert main([*words, "--resume", "-q"]) == 0
    words[4] = "whole"
    assert main([*words, "-q"]) == 0
    assert_same_model("model", "whole")
    assert lines("model.metrics.jsonl") == lines("whole.metrics.jsonl")


def test_a_terminal_that_is_closed_during_training(folder):
    """Its processes get SIGHUP, and can write nothing any more; what was learned stays, and can be continued."""
    words = ["fit", "generate", "rhyme.txt", "-o", "model", *TINY[:-1], "20", "--threads", "1"]
    ours, theirs = pty.openpty()
    code = "import sys; from gatewise.cli import main; sys.exit(main())"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm"}
    command = [sys.executable, "-W", "error", "-c", code, *words]
    child = subprocess.Popen(command, env=environment, preexec_fn=lambda: os.login_tty(theirs))
    os.close(theirs)
    try:
        shown = b""
        while b" val " not in shown:  # the bar, after the first evaluation
            shown += os.read(ours, 65536)
        os.close(ours)
        assert child.wait(timeout=30) in (2, 130)
    finally:
        child.kill()
        child.wait()
    assert listing(folder) == ["model", "model.checkpoint", "model.metrics.jsonl", "rhyme.txt"]
    bundle.load("model")
    assert checkpoint.read(Path("model.checkpoint"))[0]["counters"]["step"] >= lines("model.metrics.jsonl")[-1]["step"]


def test_interrupted_before_there_is_a_curve(call, folder, monkeypatch):
    interrupt(monkeypatch, signal.SIGTERM, step=1)
    done = call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, "--plot", "curve.png", "-q")
    assert done.code == 130
    assert Path("curve.png").exists() or "'curve.png' was not drawn: there is no loss yet." in done.err


# --- trouble ----------------------------------------------------------------------------------------------------------


def limited(size, act):
    """Do it while no file may grow beyond this size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        return act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_from_the_start(call, folder):
    done = limited(3000, lambda: call("fit", "generate", "rhyme.txt", "-o", "model", *TINY, "-q"))
    assert (done.code, done.out) == (2, "")
    message = one_line(done.err)
    assert message.startswith("cannot write model.checkpoint: File too large. Nothing was learned yet.")
    assert listing(folder) == ["rhyme.txt"]


def test_a_disk_that_fills_up_while_training(call, folder, interrupted):
    size = Path("model.checkpoint").stat().st_size
    before = Path("model.checkpoint").read_bytes()
    fit = ("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, "--resume")
    # Half: what was interrupted between two validations keeps the last one too.
    done = limited(size // 2, lambda: call(*fit, "-q"))
    assert (done.code, done.out) == (2, "")
    message = one_line(done.err)
    assert "cannot write model.checkpoint: File too large." in message
    assert "Make room, then resume." in message
    assert message.endswith("The best weights so far are in model.")
    assert listing(folder) == ["model", "model.checkpoint", "model.metrics.jsonl", "rhyme.txt"]
    assert Path("model.checkpoint").read_bytes() == before
    assert call("sample", "model", "-n", "3").code == 0
    assert call(*fit, "-q").code == 0


def test_a_disk_that_is_full_when_the_model_is_saved(call, folder, monkeypatch):
    real = files._flush

    def flush(path):
        if path.name.startswith(".model.") and "checkpoint" not in path.name and "metrics" not in path.name:
            raise OSError(28, "No space left on device")
        real(path)

    fit = ("fit", "generate", "rhyme.txt", "-o", "model", *TINY, "-q")
    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush", flush)
        done = call(*fit)
    assert (done.code, done.out) == (2, "")
    message = one_line(done.err)
    assert message.startswith("cannot write 'model': No space left on device. What was learned is kept in model.checkp")
    assert listing(folder) == ["model.checkpoint", "model.metrics.jsonl", "rhyme.txt"]
    assert call(*fit, "--resume").code == 0
    assert listing(folder) == ["model", "model.metrics.jsonl", "rhyme.txt"]


def test_a_loss_that_stays_no_number(call, folder, monkeypatch):
    from gatewise.tasks.generate.text.network import LanguageModel

    real, calls = LanguageModel.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        return real(self, batch) * (float("nan") if len(calls) >= 30 else 1)

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)
    done = call("fit", "generate", "rhyme.txt", "-o", "model", *LONGER, "-q")
    assert (done.code, done.out) == (2, "")
    message = one_line(done.err)
    assert "the loss became nan at step 29" in message  # as it was back at 28, three times
    assert "start again with --learning-rate 0.00012" in message
    assert "The last good checkpoint is model.checkpoint (step 28)" in message
    assert "best weights so far are in model" in message
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert call("sample", "model", "-n", "3").code == 0


BAD = {  # what is wrong -> (words, what is said)
    "missing file": ("fit generate none.txt", "no file or folder named 'none.txt'"),
    "one of several missing": ("fit generate rhyme.txt none.txt", "no file or folder named 'none.txt'"),
    "empty file": ("fit generate empty.txt", "'empty.txt' is empty. Give a file with text in it"),
    "short file": ("fit generate short.txt", "the text is too short: its training part has 17 tokens"),
    "long chunk": (
        "fit generate rhyme.txt --chunk-length 9999",
        "needs 10000. Give more text, or lower --chunk-length",
    ),
    "binary file": ("fit generate noise.bin", "'noise.bin' is a binary file, not text: a NUL byte at offset 0"),
    "latin-1 file": ("fit generate latin.txt", "byte 0xe9 at offset 3 is not text. It reads as latin-1: pass --enc"),
    "unknown encoding": ("fit generate rhyme.txt --encoding utf8x", "no text encoding named 'utf8x'. Did you mean"),
    "empty folder": ("fit generate nothing", "the folder 'nothing' holds no text file"),
    "unknown verb": ("fti generate rhyme.txt", "no verb named 'fti'. Did you mean 'fit'?"),
    "unknown task": ("fit generat rhyme.txt", "no task named 'generat'. Did you mean 'generate'?"),
    "unknown cell": ("fit generate rhyme.txt --cell lsmt", "no cell named 'lsmt'. Did you mean 'lstm'?"),
    "unknown preset": ("fit generate rhyme.txt --preset larg", "no preset named 'larg'. Did you mean 'large'?"),
    "unknown tokens": ("fit generate rhyme.txt --tokens word", "no kind of tokens named 'word'. Did you mean 'words'?"),
    "unknown option": ("fit generate rhyme.txt --hiden-size 3", "no option named '--hiden-size'. Did you mean"),
    "size 0": ("fit generate rhyme.txt --hidden-size 0", "--hidden-size must be a whole number, 1 or more, not 0"),
    "size -1": ("fit generate rhyme.txt --num-layers -1", "--num-layers must be a whole number, 1 or more, not -1"),
    "size a": ("fit generate rhyme.txt --batch-size a", "--batch-size cannot be 'a'"),
    "size 1.5": ("fit generate rhyme.txt --chunk-length 1.5", "--chunk-length cannot be '1.5'"),
    "rate 0": ("fit generate rhyme.txt --learning-rate 0", "--learning-rate must be a number above 0, up to 10"),
    "rate 1e30": ("fit generate rhyme.txt --learning-rate 1e30", "--learning-rate must be a number above 0, up to 10"),
    "rate nan": ("fit generate rhyme.txt --learning-rate nan", "--learning-rate must be a number above 0, up to 10"),
    "epochs -1": ("fit generate rhyme.txt --epochs -1", "--epochs must be a number above 0"),
    "dropout 1": ("fit generate rhyme.txt --dropout 1", "--dropout must be a number from 0 to below 1, not 1.0"),
    "threads 0": ("fit generate rhyme.txt --threads 0", "--threads must be a whole number, 1 or more, not 0"),
    "seed -1": ("fit generate rhyme.txt --seed -1", "--seed must be a whole number, 0 or more, not -1"),
    "patience -1": ("fit generate rhyme.txt --patience -1", "--patience must be a whole number, 1 or more, not -1"),
    "split of two": ("fit generate rhyme.txt --split 0.5,0.5", "--split takes 3 numbers such as 0.9,0.05,0.05"),
    "split of 2": ("fit generate rhyme.txt --split 1,0.5,0.5", "--split is (1.0, 0.5, 0.5), which sums to 2"),
    "split without validation": (
        "fit generate rhyme.txt --split 0.9999,0.0001,0",
        "the validation part of the text has",
    ),
    "memory": ("fit generate rhyme.txt --hidden-size 1000000", "needs about 96"),
    "no folder": ("fit generate rhyme.txt -o none/model", "'none/model' cannot be written: there is no folder 'none'"),
    "a folder": ("fit generate rhyme.txt -o nothing", "'nothing' is a folder. Name a file in it"),
    "not writable": ("fit generate rhyme.txt -o /proc/model", "'/proc/model' cannot be written in '/proc'"),
    "output exists": ("fit generate rhyme.txt -o model", "'model' exists. Pass --force to replace it"),
    "picture": ("fit generate rhyme.txt --plot curve.doc", "--plot writes .png or .svg, not 'curve.doc'"),
    "picture folder": ("fit generate rhyme.txt --plot none/curve.png", "there is no folder 'none'"),
    "no checkpoint": ("fit generate rhyme.txt --resume", "there is no checkpoint at rhyme.gatewise.checkpoint"),
    "no data": ("fit generate", "`gatewise fit generate` needs DATA"),
    "no task": ("fit", "`gatewise fit` needs a task: generate"),
    "gru does not project": ("fit generate rhyme.txt --cell gru --proj-size 3", "--proj-size is 3, but the cell 'gru'"),
    "prompt": (
        "sample model -p füß",
        "2 characters that this vocabulary has not: 'ü', 'ß'. Take them out, or pass --unk",
    ),
    "unknown unknown": ("sample model --unknown mabye", "--unknown is 'mabye'. Give 'error' or 'skip'"),
    "length 0": ("sample model -n 0", "--length must be a whole number, 1 or more, not 0"),
    "temperature": (
        "sample model --temperature -1",
        "--temperature must be a number of 0 or more (0: always the best token), not -1.0",
    ),
    "top-k": ("sample model --top-k 0", "--top-k must be a whole number, 1 or more, not 0"),
    "top-p": ("sample model --top-p 2", "--top-p must be a number above 0, up to 1, not 2.0"),
    "no model": ("sample modle", "there is no file 'modle'. Did you mean 'model'?"),
    "text as model": ("sample rhyme.txt", "'rhyme.txt' is not a model: it looks like text"),
    "cut model": ("sample cut", "'cut' is cut off"),
    "state of nothing": ("sample model --state rhyme.txt", "'rhyme.txt' is not the state of a text"),
    "state nowhere": ("sample model --state none/state", "there is no folder 'none'"),
    "evaluate no model": ("evaluate rhyme.txt rhyme.txt", "'rhyme.txt' is not a model"),
    "evaluate no text": ("evaluate model none.txt", "no file or folder named 'none.txt'"),
    "evaluate strange text": ("evaluate model strange.txt", "'漢'. Take them out, or pass --unknown skip"),
    "evaluate nothing known": ("evaluate model strange.txt --unknown skip", "at least 2 are needed"),
    "no cell file": ("fit generate rhyme.txt --cell none.py:a", "there is no file 'none.py'. A cell is FILE.py:NAME"),
    "no cell in it": ("fit generate rhyme.txt --cell rhyme.txt:a", "'rhyme.txt' is no Python file"),
    "a file alone": ("fit generate rhyme.txt --cell mine.py", "'mine.py' is a file. Name the cell in it, too"),
    "unknown cell shown": ("cells gur", "no cell named 'gur'. Did you mean 'gru'?"),
    "program of all": ("cells --program", "--program, --latex, --walk and --text show one cell. Name it"),
    "unknown demo": ("demo generat", "no demo named 'generat'. Did you mean 'generate'?"),
    "demo exists": ("demo -o model", "'model' exists. Pass --force"),
}


@pytest.mark.parametrize(("words", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_leaves_nothing(words, said, call, folder, model):
    for name, content in {
        "empty.txt": b"",
        "short.txt": b"To be, or not to be",
        "noise.bin": bytes(range(256)),
        "latin.txt": "cafés à Paris ".encode("latin-1") * 30,
        "cut": Path("model").read_bytes()[:3000],
        "strange.txt": "漢".encode(),
    }.items():
        Path(name).write_bytes(content)
    Path("nothing").mkdir()
    before = listing(folder)
    done = call(*words.split())
    assert (done.code, done.out) == (2, "")
    assert said in one_line(done.err)
    assert listing(folder) == before
    assert "Traceback" not in done.err


# --- evaluate, sample, cells, demo ------------------------------------------------------------------------------------


def test_evaluate(call, model):
    done = call("evaluate", model, "rhyme.txt", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == bundle.read_header(model).document["training"]["metrics"]
    Path("other.txt").write_text("Peter Piper picked a peck of pickled peppers, a péck.")
    assert call("evaluate", model, "other.txt").code == 2
    done = call("evaluate", model, "other.txt", "--unknown", "skip", "--json")
    found = json.loads(done.out)
    assert found.keys() == {"all", "baselines", *verdict.KEYS}
    assert found["all"]["skipped_characters"] == 1
    text = call("evaluate", model, "other.txt", "--unknown", "skip").out
    assert f"all  {found['all']['bits_per_character']:>19.3f}" in text
    assert "plain methods on the same text" in text


def test_sample(call, model):
    done = call("sample", model, "-p", "Peter ", "-n", "60", "--temperature", "0")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Peter Piper picked")
    assert len(done.out) == len("Peter ") + 60 + 1
    found = json.loads(call("sample", model, "-p", "Peter ", "-n", "60", "--temperature", "0", "--json").out)
    assert found["prompt"] + found["text"] + "\n" == done.out
    seeded = [call("sample", model, "-n", "60", "--temperature", "2", "--seed", s).out for s in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
    free = [call("sample", model, "-n", "60", "--temperature", "2").out for _ in range(2)]
    assert free[0] != free[1]
    stopped = call("sample", model, "-p", "Peter ", "--temperature", "0", "--stop", " pick").out
    assert stopped == "Peter Piper\n"
    limited = call("sample", model, "-n", "40", "--top-k", "1", "--top-p", "0.5").out
    assert limited == call("sample", model, "-n", "40", "--temperature", "0").out


def test_sample_from_standard_input_and_a_state(call, model, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Peter ")))
    whole = call("sample", model, "-p", "Peter ", "-n", "60", "--temperature", "0").out
    first = call("sample", model, "-p", "-", "-n", "20", "--temperature", "0", "--state", "state").out
    second = call("sample", model, "-n", "40", "--temperature", "0", "--state", "state").out
    assert first.removesuffix("\n") + second == whole
    assert listing(folder) == ["model", "rhyme.txt", "state"]


def test_a_state_that_does_not_fit_on_the_disk(call, model, folder):
    done = limited(100, lambda: call("sample", model, "-n", "5", "--state", "state"))
    assert done.code == 2
    assert one_line(done.err) == "cannot write the state to 'state': File too large"
    assert listing(folder) == ["model", "rhyme.txt"]


def test_a_reader_that_leaves_early(model, folder):
    command = f"{shlex.quote(sys.executable)} -m gatewise sample model -n 100000 --seed 1 | head -c 100"
    environment = os.environ | {"LANG": "C", "LC_ALL": "C"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=20, env=environment)
    assert len(done.stdout) == 100
    assert done.stderr == b""


def test_cells(call):
    listed = call("cells")
    assert listed.code == 0
    rows = json.loads(call("cells", "--json").out)
    assert {"lstm", "gru", "lstmp"} <= {row["name"] for row in rows}
    assert max(map(len, listed.out.splitlines())) <= 80
    for row in rows:
        assert f"{row['name']} " in listed.out
        assert f"{row['parameters']:,}  {row['summary']}" in listed.out
        shown = call("cells", row["name"]).out
        assert row["source"] in shown
        assert f"{row['parameters']:,}" in shown
        found = json.loads(call("cells", row["name"], "--program", "--json").out)
        assert found["parameter_count"] == row["parameters"]
        assert found["program"].rstrip() == call("cells", row["name"], "--program").out.rstrip()
        assert "\n".join(found["latex"]) == call("cells", row["name"], "--latex").out.rstrip()
    assert (
        "parameters  12 (input size 1, hidden size 1)"
        in call("cells", "lstm", "--input-size", "1", "--hidden-size", "1").out
    )


def test_demo_quick(call, folder, monkeypatch):
    from gatewise.cli import demo
    from gatewise.data.datasets import builtin

    text = builtin.python_documentation()[:9_000]
    monkeypatch.setattr(builtin, "python_documentation", lambda: text)
    assert list(demo.TASKS) == ["generate", "translate", "caption"]
    done = call("demo", "--quick")
    assert done.code == 0
    assert "Learning to write from 9,000 characters of Python's documentation" in done.err
    assert all(word in done.out for word in ("5-gram", "xz", "A generated passage:", "More: gatewise sample demo.gat"))
    assert listing(folder) == ["demo.gatewise", "demo.gatewise.metrics.jsonl", "rhyme.txt"]
    assert bundle.read_header("demo.gatewise").document["training"]["data"]["name"] == "pydoc_data.topics"
    done = call("demo", "--quick", "--force", "--json", "-o", "other")
    assert json.loads(done.out)["model"] == "other"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("translate", ("nearest (baseline)", "the third of March, 2031    ", "More: echo 'May the 4th, 1977' | gate")),
        (
            "caption",
            ("nearest image (baseline)", "  actual:    ", "  generated: ", "More: gatewise predict demo.gatewise PIC"),
        ),
    ],
)
def test_other_demos_quick(task, said, call, folder, monkeypatch):
    from gatewise.data.datasets import scenes

    drawn = scenes.scenes
    monkeypatch.setattr(scenes, "scenes", lambda count, part="train": drawn(min(count, 60), part))
    done = call("demo", task, "--quick")
    assert done.code == 0
    assert all(word in done.out for word in said)
    assert "demo.gatewise" in listing(folder)


def test_a_demo_that_was_stopped_goes_on(call, folder, monkeypatch):
    from gatewise.data.datasets import builtin

    monkeypatch.setattr(builtin, "python_documentation", lambda: "The short text of a test.\n" * 80)
    with monkeypatch.context() as patch:
        interrupt(patch, signal.SIGTERM, step=3)
        done = call("demo", "--quick")
    assert done.code == 130
    assert done.err.splitlines()[-1] == "To continue: gatewise demo --quick --resume"
    assert call("demo", "--quick", "--resume").code == 0


@pytest.mark.parametrize("columns", [52, 60, 77, 78, 100])
@pytest.mark.parametrize("verb", ["", "fit", "fit generate", "evaluate", "sample", "info", "cells", "demo"])
def test_help_cuts_no_option_off(columns, verb, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = call(*verb.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= columns
    if verb == "fit generate":
        assert all(option in done.out for option in ("--embedding-size", "--variational-dropout", "--no-tie-weights"))


# --- the language of messages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("hidden_size must be 1 or more, not 0", "--hidden-size must be 1 or more, not 0"),
        ("seed must be 0 or more. A seed is", "--seed must be 0 or more. A seed is"),
        ("try hidden_size=64, or seed=1e-5.", "try --hidden-size 64, or --seed 1e-5."),
        ("pass unknown='skip'.", "pass --unknown skip."),
        ("'hidden_size' and my_hidden_size and a/seed=3 stay", "'hidden_size' and my_hidden_size and a/seed=3 stay"),
        ("--hidden-size stays, and data=3", "--hidden-size stays, and data=3"),
        ("lower hidden_size (now 3), hidden_size.", "lower --hidden-size (now 3), --hidden-size."),
    ],
)
def test_messages_name_options_as_the_user_wrote_them(message, said):
    options = {"hidden_size": "--hidden-size", "seed": "--seed", "unknown": "--unknown", "data": "data"}
    assert with_flags(message, options) == said
