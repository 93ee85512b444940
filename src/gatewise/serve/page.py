"""The page on which the models of a server can be tried."""

from __future__ import annotations

from functools import cache

from ..pages import assembled, parts

_SCRIPTS = ("words.js", "chart.js", "drawing.js", "page.js")


@cache
def page() -> str:
    """As HTML. It asks nobody but the server that it comes from."""
    return assembled(
        parts(__package__, "body.html"),
        style=parts(__package__, "style.css"),
        script=parts(__package__, *_SCRIPTS),
        policy={"connect-src": "'self'"},
    )
