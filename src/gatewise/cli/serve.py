"""`gatewise serve`: models over HTTP and WebSocket. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .frame import note


def serve(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model files.", show_default=False)],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    api_key: Annotated[
        str | None, typer.Option(help="What requests must show.", envvar="GATEWISE_API_KEY", show_envvar=True)
    ] = None,
    state_key: Annotated[
        str | None,
        typer.Option(
            help="Secret that signs the states which clients keep.", envvar="GATEWISE_STATE_KEY", show_envvar=True
        ),
    ] = None,
    states: Annotated[
        Path | None, typer.Option(help="Folder that keeps sessions from the end of a server to the next start.")
    ] = None,
    sessions: Annotated[
        int, typer.Option(help="Live states of one model at a time.", rich_help_panel="Limits")
    ] = 10_000,
    body: Annotated[int, typer.Option(help="Bytes of a body or message.", rich_help_panel="Limits")] = 8_000_000,
    steps: Annotated[
        int, typer.Option(help="Steps of a message, tokens of a prompt or answer.", rich_help_panel="Limits")
    ] = 10_000,
    queue: Annotated[int, typer.Option(help="Messages of one session that wait.", rich_help_panel="Limits")] = 16,
    requests: Annotated[int, typer.Option(help="Requests answered at a time.", rich_help_panel="Limits")] = 256,
    idle: Annotated[
        float, typer.Option(help="Seconds after which an unused session expires.", rich_help_panel="Limits")
    ] = 600.0,
    patience: Annotated[
        float, typer.Option(help="Seconds that a client may take to send or read.", rich_help_panel="Limits")
    ] = 30.0,
) -> None:
    """Serve models: predictions, live streams, and text by an interface that clients of OpenAI's know.

    A page to try them is at the address that is printed. SIGTERM or Ctrl-C ends the server in order: it finishes what
    was begun, and with `--states` the next one goes on with all sessions.
    """
    from ..serve.hall import Hall
    from ..serve.kept import Responses
    from ..serve.limits import Limits
    from ..serve.metrics import Metrics
    from ..serve.models import Models
    from ..serve.sealing import Seal
    from ..serve.server import is_local, listening
    from ..serve.server import serve as run

    limits = Limits(
        sessions=sessions, body=body, steps=steps, queue=queue, requests=requests, idle=idle, patience=patience
    )
    metrics = Metrics()
    bound = listening(host, port)
    hall = Hall(
        models=Models(models, limits, metrics),
        limits=limits,
        metrics=metrics,
        seal=Seal(state_key),
        responses=Responses(limits),
        api_key=api_key,
        local=is_local(host),
    )
    run(hall, bound, states, note)
