"""One file of HTML out of the parts of a page and those that all pages share."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def assembled(
    body: str,
    *,
    style: str,
    script: str,
    title: str = "Gatewise",
    data: Mapping[str, Any] | None = None,
    libraries: Mapping[str, str] | None = None,
    policy: Mapping[str, str] | None = None,
) -> str:
    """A page that asks nobody for anything. Of scripts and styles, only those that stand in it may run.

    Args:
        body: HTML. Buttons with the ids `language` and `theme` do what they say once the script calls `switches`, see
            `base.js`.
        style: CSS, after `base.css`.
        script: JavaScript, after `base.js`.
        title: Until the script says another.
        data: Id of an element -> what the script reads in it, as JSON. ValueError if a number of it is not finite.
        libraries: Id of an element -> JavaScript that runs before the script, and does not need `base.js`.
        policy: Directive -> what it allows besides, such as {"connect-src": "'self'"}.
    """
    elements = [f'<script type="application/json" id="{name}">{_json(value)}</script>' for name, value in _of(data)]
    elements += [f'<script id="{name}">{text}</script>' for name, text in _of(libraries)]
    style = parts(__package__, "base.css") + style
    script = parts(__package__, "base.js") + script
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(_digest, [script, *(libraries or {}).values()])),
        "style-src": _digest(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    for directive, more in _of(policy):
        allowed[directive] = f"{allowed.get(directive, '')} {more}".strip()
    inside = {
        "policy": "; ".join(f"{directive} {sources}" for directive, sources in allowed.items()),
        "title": html.escape(title),
        "style": style,
        "body": body.strip(),
        "elements": "\n".join(elements),
        "script": script,
    }
    return re.sub(r"\{(\w+)\}", lambda match: inside[match[1]], parts(__package__, "page.html"))


def parts(package: str, *names: str) -> str:
    """The text of files in the folder `page` of a package, one behind the other."""
    return "".join((files(package) / "page" / name).read_text(encoding="utf-8") for name in names)


def _of(given: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    return list((given or {}).items())


def _json(value: Any) -> str:
    """In few bytes, and so that no text of a user ends the element that it is in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
