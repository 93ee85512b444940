import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
import types
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

import gatewise
from gatewise import cli
from gatewise.cli import frame
from gatewise.errors import EXTRA_OF, DataError, ModelFileError

ROOT = Path(gatewise.__file__).parents[2]


class Size(str, Enum):  # noqa: UP042 - typer's older spelling has to work too
    small = "small"
    large = "large"


def greet(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom.")],
    times: Annotated[int, typer.Option(min=1, help="How often.")] = 1,
    size: Annotated[Size, typer.Option(help="How loud.")] = Size.small,
    way: Annotated[Literal["plain", "fancy"], typer.Option(help="How.")] = "plain",
    json: frame.Json = False,
) -> None:
    """Greet someone; needs gatewise[train] to do so."""
    frame.note("greeting")
    frame.result("\n".join([f"hello {name}"] * times), {"name": name, "loss": float("nan")}, json)


def fails(how: str) -> None:
    """Fail in some way."""
    raise {
        "ours": DataError("line 3 of 'a.csv'\nhas 2 columns, not 3. \x1b[31mMend it."),
        "bug": KeyError("x"),
        "system": PermissionError(13, "Permission denied", "/root/x"),
        "full": OSError(28, "No space left on device"),
        "memory": MemoryError("Unable to allocate 1 TiB"),
        "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1024 bytes."),
        "device": RuntimeError("CUDA out of memory. Tried to allocate 3.5 GiB. GPU 0 has"),
        "torch": ModuleNotFoundError("No module named 'torch'", name="torch"),
        "fabric": ModuleNotFoundError("No module named 'lightning.fabric'", name="lightning.fabric"),
        "unknown": ModuleNotFoundError("No module named 'gatewise.nn.typo'", name="gatewise.nn.typo"),
        "interrupt": KeyboardInterrupt(),
        "abort": typer.Abort(),
        "exit": typer.Exit(7),
        "pipe": BrokenPipeError(32, "Broken pipe"),
    }[how]


def poem(data: str) -> None:
    """Learn poems."""
    print(f"poems from {data}")


verbs = types.ModuleType("verbs_of_the_test")
verbs.__dict__.update(
    greet=greet,
    fails=fails,
    poem=poem,
    fit=frame.Group("task", "Train a model.", {"generate": "verbs_of_the_test:poem", "tag": "verbs_of_the_test:poem"}),
)
VERBS = {name: f"verbs_of_the_test:{name}" for name in ("greet", "fails", "fit")} | {"lost": "no.such.module:lost"}


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    monkeypatch.setitem(sys.modules, "verbs_of_the_test", verbs)
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def call(capsys):
    def call(*words):
        code = frame.run(VERBS, words)
        return code, *capsys.readouterr()

    return call


def environment(**more):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT / "src")} | more


def process(*words, code=None, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()} | options
    start = ["-c", textwrap.dedent(code)] if code else ["-m", "gatewise"]
    return subprocess.Popen([sys.executable, *start, *words], **options)


def outcome(*words, **options):
    started = process(*words, **options)
    out, err = started.communicate(timeout=60)
    return started.returncode, (out or b"").decode(), (err or b"").decode()


def test_results_and_progress_part_ways(call):
    assert call("greet", "you", "--times", "2") == (0, "hello you\nhello you\n", "greeting\n")


def test_json_is_one_document_without_nan(call):
    code, out, _ = call("greet", "中", "--json")
    assert code == 0
    assert json.loads(out) == {"name": "中", "loss": None}
    assert "中" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gret"], "no verb named 'gret'. Did you mean 'greet'? `gatewise --help` lists all of them."),
        (["zzz"], "no verb named 'zzz'. Known: fails, fit, greet, lost. `gatewise --help` lists all of them."),
        (["--zzz"], "no option named '--zzz'. Known: --debug, --help"),
        (["--verzion"], "no option named '--verzion'. Did you mean '--version'?"),
        (["greet"], "`gatewise greet` needs NAME. `gatewise greet --help` says what that is."),
        (["greet", "a", "--tims", "2"], "no option named '--tims'. Did you mean '--times'?"),
        (["greet", "a", "--tims=2"], "no option named '--tims'. Did you mean '--times'?"),
        (["greet", "a", "-q"], "no option named '-q'. Known: "),
        (["greet", "a", "b"], "(b). `gatewise greet --help` shows how it is used."),
        (["greet", "a", "--times"], "option '--times' requires an argument."),
        (["greet", "a", "--json=yes"], "--json"),
        (["greet", "a", "--times", "x"], "--times cannot be 'x': should be a valid integer"),
        (["greet", "a", "--times", "0"], "--times cannot be '0': should be greater than or equal to 1."),
        (["greet", "a", "--size", "smal"], "no value for --size named 'smal'. Did you mean 'small'?"),
        (["greet", "a", "--way", "fanci"], "no value for --way named 'fanci'. Did you mean 'fancy'?"),
        (["greet", "a", "--way", "zzz"], "no value for --way named 'zzz'. Known: fancy, plain."),
        (["fit"], "`gatewise fit` needs a task: generate, tag. `gatewise fit generate --help` explains"),
        (["fit", "generat", "x"], "no task named 'generat'. Did you mean 'generate'? `gatewise fit --help` lists"),
        (["fit", "generate"], "`gatewise fit generate` needs DATA."),
        (["fails", "ours"], r"line 3 of 'a.csv' has 2 columns, not 3. \x1b[31mMend it."),
        (["fails", "torch"], "this needs torch, which is not installed. Install it: pip install 'gatewise[train]'"),
        (["fails", "fabric"], "this needs lightning, which is not installed."),
        (["fails", "system"], "'/root/x': Permission denied."),
        (["fails", "full"], "the system refused to read or write: No space left on device."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exits_with_2(call, words, said):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert err.startswith("gatewise: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    "words", [["--debug", "fails", "ours"], ["fails", "--debug", "ours"], ["fails", "ours", "--debug"]]
)
def test_debug_brings_the_traceback_back_from_anywhere(call, words):
    code, _, err = call(*words)
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("gatewise: line 3")


def test_debug_after_two_dashes_is_the_users_own(call):
    assert call("greet", "--", "--debug")[1] == "hello --debug\n"


@pytest.mark.parametrize("how", ["bug", "unknown"])
def test_a_bug_of_ours_shows_where_without_being_asked(call, how):
    code, out, err = call("fails", how)
    assert (code, out) == (1, "")
    assert err.startswith("Traceback")
    assert "is a bug in Gatewise 0." in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("how", "asked"), [("memory", ""), ("allocator", " for 1024 bytes"), ("device", " for 3.5 GiB")]
)
def test_sizes_that_no_memory_holds_are_one_line(call, how, asked):
    code, out, err = call("fails", how)
    assert (code, out) == (2, "")
    assert err == (
        f"gatewise: there is not enough memory{asked}. Lower sizes such as --hidden-size, or learn from less at once.\n"
    )


@pytest.mark.parametrize(("how", "code"), [("interrupt", 130), ("abort", 130)])
def test_ctrl_c_is_one_line(call, how, code):
    assert call("fails", how) == (code, "", "gatewise: stopped by Ctrl-C.\n")


def test_a_reader_that_left_is_no_news(call):
    assert call("fails", "pipe") == (141, "", "")


def test_a_verb_can_choose_its_exit_code(call):
    assert call("fails", "exit") == (7, "", "")


def test_a_level_below(call):
    assert call("fit", "generate", "a.txt") == (0, "poems from a.txt\n", "")
    code, out, _ = call("fit", "--help")
    assert code == 0
    assert "gatewise fit" in out
    assert "Train a model." in out
    assert "Learn poems." in out


def test_help_keeps_square_brackets(call):
    assert "gatewise[train]" in call("greet", "--help")[1]
    assert call("greet", "-h") == call("greet", "--help")


@pytest.mark.parametrize("columns", [52, 78, 120])
def test_help_fits_the_terminal(call, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = call("greet", "--help")
    longest = max(map(len, out.splitlines()))
    assert longest <= columns
    assert longest >= columns - 5 or columns < 78  # below that, without panels


def test_version(call):
    assert call("--version") == (0, f"gatewise {gatewise.__version__}\n", "")


def test_width_is_for_terminals(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    assert frame.width() is None
    assert frame.width(Terminal()) == 100


def test_no_arguments_show_the_help(capsys):
    assert cli.main([]) == 0
    assert "info" in capsys.readouterr().out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_exists_and_has_help(verb, capsys):
    module, _, name = cli.VERBS[verb].partition(":")
    assert hasattr(import_module(module), name)
    assert cli.main([verb, "--help"]) == 0
    assert f"gatewise {verb}" in capsys.readouterr().out


def test_extras_are_those_of_pyproject():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRA_OF.items():
        assert any(requirement.startswith(package.replace("_", "-")) for requirement in extras[extra])


def test_no_help_imports_anything_heavy():
    code = """
        import sys
        from gatewise.cli import VERBS, main
        from gatewise.cli.frame import Group
        from importlib import import_module
        from itertools import chain

        def helps(rows, words):
            yield words
            for verb, where in rows.items():
                module, _, name = where.partition(":")
                below = getattr(import_module(module), name)
                yield from helps(below.rows if isinstance(below, Group) else {}, [*words, verb])

        learning = ("fit", "tune")
        light, others = ({v: w for v, w in VERBS.items() if (v in learning) == learns} for learns in (False, True))
        for words in chain(helps(light, []), helps(others, [])):
            assert main([*words, "--help"]) == 0
            heavy = {"torch", "lightning", "duckdb", "safetensors"} & set(sys.modules)
            if not words or words[0] not in learning:  # their options are read from the estimators, which know numpy
                heavy |= {"numpy"} & set(sys.modules)
            assert not heavy, f"gatewise {' '.join(words)} --help imports {heavy}"
    """
    code, _, err = outcome(code=code)
    assert code == 0, err


def test_the_module_and_utf8_in_a_c_locale():
    code, out, err = outcome("--help", env=environment(LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0"))
    assert code == 0, err
    assert "╭" in out


def test_output_that_does_not_fit_in_unicode_is_escaped():
    code = "from gatewise.cli.frame import *; run({}, ['--version']); result('中\\udc80', {}, False)"
    assert outcome(code=code, env=environment(LC_ALL="C"))[1].endswith("中\\udc80\n")


def test_a_real_pipe_that_closes_is_quiet():
    code = "from gatewise.cli import frame, main; frame.__version__ = 'long ' * 100_000; raise SystemExit(main())"
    started = process("--version", code=code)
    started.stdout.read(10)
    started.stdout.close()
    assert started.stderr.read() == b""
    started.stderr.close()
    assert started.wait(60) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_behind_stdout_is_one_line():
    with open("/dev/full", "wb") as full:
        code, _, err = outcome("--version", stdout=full)
    assert code == 2
    assert err == "gatewise: the system refused to read or write: No space left on device.\n"


def test_a_real_ctrl_c():
    code = """
        import sys, time, types
        from gatewise.cli.frame import note, run
        verbs = sys.modules["verbs"] = types.ModuleType("verbs")
        def wait():
            "Wait."
            note("ready")
            time.sleep(60)
        verbs.wait = wait
        sys.exit(run({"wait": "verbs:wait"}, ["wait"]))
    """
    started = process(code=code)
    assert started.stderr.readline() == b"ready\n"
    time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err) == (130, b"", b"gatewise: stopped by Ctrl-C.\n")


def test_the_shell_can_complete_verbs():
    env = environment(_GATEWISE_COMPLETE="complete_bash", COMP_WORDS="gatewise in", COMP_CWORD="1")
    assert outcome(env=env)[1].split() == ["info"]


def test_errors_with_a_cause_keep_to_their_line(call, monkeypatch):
    def chained(how: str) -> None:
        """Fail."""
        try:
            raise ValueError("depths")
        except ValueError as error:
            raise ModelFileError(f"'{how}' is damaged.") from error

    monkeypatch.setattr(verbs, "fails", chained)
    assert call("fails", "m") == (2, "", "gatewise: 'm' is damaged.\n")
