"""What every verb shares: finding it, printing its result, and saying on one line what went wrong.

A verb is a function with typer's annotations. Its docstring is its help, it imports what it needs inside (so that
`--help` stays quick), and it prints through `result` and `note`. Where a verb has a level below it (`gatewise fit
TASK`), its file holds a `Group` of the same name instead.

Exit codes: 0 done, 1 a bug of ours, 2 a mistake that the user can mend, 130 Ctrl-C, 141 the reader of stdout left.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..errors import GatewiseError, MissingExtra, OptionError, suggest
from .usage_errors import UsageMistake, in_our_words, with_flags

EXTRA_OF = {  # package -> the extra that brings it; a test compares this with pyproject.toml
    "torch": "train",
    "lightning": "train",
    "tokenizers": "text",
    "sacrebleu": "text",
    "matplotlib": "plot",
    "soundfile": "audio",
    "adbc_driver_postgresql": "postgres",
}

SHORT_SPIN = "1000"

words_given: list[str] = []  # the command line as it was called, for advice that repeats it

_SETTINGS = {"help_option_names": ["--help", "-h"]}  # the levels below inherit them

# For a verb's signature: `json: Json = False`, handed on to `result`.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Unknown = Annotated[
    str, typer.Option(help="What to do about characters that the model never saw: error, or skip to leave them out.")
]
Query = Annotated[str | None, typer.Option(help="SQL whose result is the table; a file's own is called `data` in it.")]
_REFUSED = re.compile(r"tried to allocate (\d\S* \w+)", re.IGNORECASE)  # what torch says where there is no memory
LESS = "Lower sizes such as --hidden-size, or learn from less at once."


@dataclass(frozen=True)
class Group:
    """A verb with a level below it, such as `gatewise fit TASK`.

    Args:
        kind: What the level below is called, in one word: "task".
        help: What `--help` says.
        rows: Name -> "module:function" (or "module:group"), in the order of the help.
    """

    kind: str
    help: str
    rows: Mapping[str, str]


def result(text: str, document: Any, json: bool) -> None:
    """Print a verb's result to stdout: `text` for people, or `document` as JSON, where NaN and infinities are null."""
    if json:
        from json import dumps

        from ..bundle import plain

        text = dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    print(text)


def note(text: str) -> None:
    """Print progress or advice to stderr, at once."""
    print(text, file=sys.stderr, flush=True)


def width(stream: TextIO | None = None) -> int | None:
    """Columns of the terminal that `stream` (stdout) is, or None where lines need not be wrapped: a file or a pipe."""
    stream = stream or sys.stdout
    return typer.get_terminal_size().columns if stream is not None and stream.isatty() else None


def printable(text: str) -> str:
    """`text` on one line, with control characters escaped: a stranger's file may hold commands for the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def run(verbs: Mapping[str, str], arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `gatewise.cli.main`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None when closed; a test's stand-in may lack it
            stream.reconfigure(
                encoding="utf-8", errors="backslashreplace"
            )  # also where LANG=C or Windows says otherwise
    # Idle OpenMP threads spin for the next piece of work, and where another program wants the same core they spin in
    # its place, until both all but stand still. A short spin loses nothing when alone and little when not.
    os.environ.setdefault("GOMP_SPINCOUNT", SHORT_SPIN)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # --debug may stand anywhere, so it is taken out here; what follows "--" is the user's own.
    ours = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in ours
    words = [word for word in ours if word != "--debug"] + words[len(ours) :]
    words_given[:] = words
    try:
        code = _invoke(_root(verbs), words)
        for stream in (sys.stdout, sys.stderr):  # here, where a reader that left or a full disk can still be reported
            if stream is not None:
                stream.flush()
        return code
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        code, message = _verdict(error)
        with suppress(OSError):
            if debug or code == 1:
                traceback.print_exc()
            if message and sys.stderr is not None:
                note(f"gatewise: {printable(message)}")
        _abandon_output()
        return code


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit code and the message for whatever ended a verb."""
    match error:
        case GatewiseError():
            return 2, str(error)
        case UsageMistake():
            return 2, in_our_words(error)
        case KeyboardInterrupt() | typer.Abort():
            return 130, "stopped by Ctrl-C."
        case BrokenPipeError():
            return 141, ""  # as a shell reports other programs whose reader left
        case ModuleNotFoundError(name=str(name)) if (package := name.partition(".")[0]) in EXTRA_OF:
            return 2, str(MissingExtra(package, EXTRA_OF[package]))
        case RuntimeError() if refused := _REFUSED.search(str(error)):
            return 2, f"there is not enough memory for {refused[1]}. {LESS}"
        case MemoryError():
            return 2, f"there is not enough memory. {LESS}"
        case OSError(strerror=str(reason), filename=None):
            return 2, f"the system refused to read or write: {reason}."
        case OSError(strerror=str(reason), filename=name):
            return 2, f"'{name}': {reason}."
        case _:
            # The traceback above this line is printed unasked: repeating hours of training to see it would be worse.
            return (
                1,
                f"{type(error).__name__} is a bug in Gatewise {__version__}. Please report it with the lines above.",
            )


def _abandon_output() -> None:
    """Point stdout at nothing if it cannot take what is left, or Python would complain once more on its way out."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, sys.stdout.fileno())
            os.close(nothing)


def _invoke(command: Any, words: list[str]) -> int:
    if "_GATEWISE_COMPLETE" in os.environ:  # the shell asks what could stand here
        command.main(words, prog_name="gatewise")
    try:
        # Not command.main(), which would print errors in a form of its own.
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
            bool, typer.Option("--debug", help="With an error, show where in the code it arose; also after a verb.")
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
    """A level of verbs that imports the file of a verb when it is asked for."""

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
    """A verb whose errors call its options by the names that they have here."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GatewiseError as error:
            error.args = (with_flags(str(error), {p.name: max(p.opts, key=len) for p in self.params}), *error.args[1:])
            raise


def _help_style() -> Any:
    """Panels; plain text where they would be so narrow that names of options are cut off."""
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
