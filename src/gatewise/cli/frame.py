"""What all verbs share: finding the verb, printing its result, and reporting errors on one line.

A verb is a function with typer's annotations. Its docstring is its help. It imports what it needs inside the function,
so that `--help` stays fast, and prints through `result` and `note`. If a verb has sub-commands (`gatewise fit TASK`),
its file has a `Group` of the same name instead.

Exit codes: 0 success, 1 a bug in Gatewise, 2 a mistake that the user can fix, 130 Ctrl-C, 141 stdout was closed.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..errors import GatewiseError, ModelFileError, Notice, OptionError, missing_extra, suggest
from ..launch import started
from ..lifeline import speaks
from ..terminal import guarded
from .usage_errors import UsageMistake, in_our_words, with_flags

SHORT_SPIN = "1000"

words_given: list[str] = []  # the command line as it was called, for hints that repeat it

_SETTINGS = {"help_option_names": ["--help", "-h"]}  # the levels below inherit them

# For a verb's signature: `json: Json = False`, handed on to `result`.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Unknown = Annotated[
    str, typer.Option(help="What to do about characters outside the model's vocabulary: error, or skip to drop them.")
]
Query = Annotated[
    str | None, typer.Option(help="SQL query whose result is the table; in it, the rows of a file are called `data`.")
]
Captions = Annotated[str | None, typer.Option(help="File with captions, if the data are a folder of images.")]
Lists = Annotated[
    str | None, typer.Option(help="Comma-separated files with names of images, one per line; read only these.")
]
_REFUSED = re.compile(r"tried to allocate (\d\S* \w+)", re.IGNORECASE)  # torch's message when it is out of memory
LESS = "Lower sizes such as --hidden-size, or learn from less at once."

_DIVIDED = {  # verb -> how it is done by several processes
    "predict": "Start `gatewise predict` several times, each with its --shard (1/2, 2/2)",
    "tune": "Start `gatewise tune` without torchrun: --workers says by how many processes",
}


@dataclass(frozen=True)
class Group:
    """A verb with sub-commands, such as `gatewise fit TASK`.

    Args:
        kind: What a sub-command is called, in one word: "task".
        help: The help text.
        rows: Name -> "module:function" (or "module:group"), in the order of the help.
    """

    kind: str
    help: str
    rows: Mapping[str, str]


def result(text: str, document: Any, json: bool) -> None:
    """Print a verb's result to stdout: `text`, or `document` as JSON, in which NaN and infinities are null."""
    if json:
        from json import dumps

        from ..bundle import plain

        text = dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    print(text)


def note(text: str) -> None:
    """Print progress or a hint to stderr immediately."""
    print(f"{text}\n", end="", file=sys.stderr, flush=True)  # at once: other processes may write there too


def width(stream: TextIO | None = None) -> int | None:
    """Width of the terminal behind `stream` (default: stdout); None for a file or pipe, which gets no wrapping."""
    stream = stream or sys.stdout
    return typer.get_terminal_size().columns if stream is not None and stream.isatty() else None


def printable(text: str) -> str:
    """`text` on one line, with control characters escaped: an untrusted file may contain terminal commands."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def refuse_models(data: str | Sequence[str]) -> None:
    """OptionError if something that is to be read as data is a model."""
    from ..bundle import read_header

    for path in [data] if isinstance(data, str) else data:
        if os.path.isfile(path):
            with suppress(ModelFileError):
                read_header(path)
                raise OptionError(f"'{path}' is a model, where data is wanted. `gatewise info {path}` describes it")


def run(verbs: Mapping[str, str], arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `gatewise.cli.main`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # it is None when closed, and a test's substitute may lack the method
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # even if LANG=C or Windows says otherwise
    # Idle OpenMP threads spin while they wait for work. If another program needs the same core, they take time from it,
    # until both hardly progress. A short spin costs nothing on an idle machine, and little on a busy one.
    os.environ.setdefault("GOMP_SPINCOUNT", SHORT_SPIN)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # --debug may be anywhere, so it is removed here. Words after "--" are arguments and stay.
    ours = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in ours
    words = [word for word in ours if word != "--debug"] + words[len(ours) :]
    words_given[:] = words
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, warnings.showwarning)
            code = _invoke(_root(verbs), words)
        for stream in (sys.stdout, sys.stderr):  # here, where a closed pipe or a full disk can still be reported
            if stream is not None:
                stream.flush()
        return code
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        code, message = _verdict(error)
        with suppress(OSError):
            if speaks() and (debug or code == 1):
                with guarded():
                    traceback.print_exc()
            if speaks() and message and sys.stderr is not None:
                note(f"gatewise: {printable(message)}")
        _abandon_output()
        return code


def _show_warning(
    usual: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any, **more: Any
) -> None:
    """Ours as one line, without the place in the code; others as Python does."""
    if issubclass(category, Notice):
        note(f"gatewise: {printable(str(message))}")
    else:
        usual(message, category, *where, **more)


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit code and the message for the exception that ended a verb."""
    match error:
        case GatewiseError():
            return 2, str(error)
        case UsageMistake():
            return 2, in_our_words(error)
        case KeyboardInterrupt() | typer.Abort():
            return 130, "stopped by Ctrl-C."
        case BrokenPipeError():
            return 141, ""  # 128 + SIGPIPE, as for other programs whose output is closed
        case ModuleNotFoundError() if missing := missing_extra(error):
            return 2, str(missing)
        case RuntimeError() if refused := _REFUSED.search(str(error)):
            return 2, f"there is not enough memory for {refused[1]}. {LESS}"
        case MemoryError():
            return 2, f"there is not enough memory. {LESS}"
        case OSError(strerror=str(reason), filename=None):
            return 2, f"the system refused to read or write: {reason}."
        case OSError(strerror=str(reason), filename=name):
            return 2, f"'{name}': {reason}."
        case _:
            # Here the traceback is always printed: nobody should have to repeat hours of training to see it.
            return (
                1,
                f"{type(error).__name__} is a bug in Gatewise {__version__}. Please report it with the lines above.",
            )


def _abandon_output() -> None:
    """Redirect stdout to the null device if it cannot be flushed; Python would print one more error at exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, sys.stdout.fileno())
            os.close(nothing)


def _invoke(command: Any, words: list[str]) -> int:
    if "_GATEWISE_COMPLETE" in os.environ:  # the shell asks for completions
        command.main(words, prog_name="gatewise")
    try:
        # Not command.main(), which prints errors in its own format.
        with command.make_context("gatewise", words) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    return 0


def _root(verbs: Mapping[str, str]) -> Any:
    def root(
        context: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
        ] = False,
        debug: Annotated[
            bool, typer.Option("--debug", help="Show the traceback of an error; may also follow a verb.")
        ] = False,
    ) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help(), end="")

    return _group(root, Group("verb", "Learn from sequences with the LSTM family.", verbs), completion=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gatewise {__version__}")
        raise typer.Exit()


def _group(callback: Any, group: Group, completion: bool = False) -> Any:
    app = typer.Typer(cls=_Level, add_completion=completion, rich_markup_mode=_help_style(), context_settings=_SETTINGS)
    app.callback(invoke_without_command=True, help=group.help, subcommand_metavar=f"{group.kind.upper()} ...")(callback)
    level = typer.main.get_command(app)
    assert isinstance(level, _Level)
    level.group = group
    return level


class _Level(TyperGroup):
    """A group of verbs that imports the file of a verb only when it is used."""

    group: Group

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.group.rows)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.group.rows:
            return None
        module, _, name = self.group.rows[cmd_name].partition(":")
        verb = getattr(import_module(module), name)
        if isinstance(verb, Group):
            return _named(cmd_name, _group(_needs_one(verb), verb))
        app = typer.Typer(add_completion=False, rich_markup_mode=_help_style())
        app.command(cmd_name, cls=_Verb)(verb)
        return typer.main.get_command(app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.group.rows and not ctx.resilient_parsing:
            listing = f"`{ctx.command_path} --help` lists all of them."
            raise OptionError(suggest(self.group.kind, args[0], self.group.rows, listing))
        return super().resolve_command(ctx, args)


class _Verb(TyperCommand):
    """A verb whose errors name options as they are written on the command line."""

    def invoke(self, ctx: Any) -> Any:
        if started():
            _refuse_several(ctx.command_path)
        try:
            with guarded():
                return super().invoke(ctx)
        except GatewiseError as error:
            error.args = (with_flags(str(error), {p.name: max(p.opts, key=len) for p in self.params}), *error.args[1:])
            raise


def _refuse_several(command: str) -> None:
    """OptionError if several processes were started for what one does."""
    verb = command.split()[1]
    if verb in ("fit", "demo"):
        return
    hint = _DIVIDED.get(verb, "Start it without torchrun")
    raise OptionError(
        f"torchrun started {os.environ['WORLD_SIZE']} processes, but only `gatewise fit` is divided among them. {hint}"
    )


def _help_style() -> Any:
    """Panels, or plain text on a terminal so narrow that panels would cut off option names."""
    return "markdown" if typer.get_terminal_size().columns >= 78 else None


def _named(name: str, command: Any) -> Any:
    command.name = name
    return command


def _needs_one(group: Group) -> Any:
    def level(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            raise OptionError(
                f"`{context.command_path}` needs a {group.kind}: {', '.join(group.rows)}. "
                f"`{context.command_path} {next(iter(group.rows))} --help` explains the first."
            )

    return level
