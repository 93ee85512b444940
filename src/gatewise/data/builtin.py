"""Text that every machine has."""

from __future__ import annotations

from ..errors import DataError


def python_documentation() -> str:
    """Python's own language reference, as `help()` shows it: about half a megabyte of technical English.

    Many topics quote each other. Each paragraph is kept once only, where it first stands, so that text held out for
    testing was not also learned by heart.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "this Python carries no documentation (pydoc_data). Use any text: gatewise fit generate FILE"
        ) from error
    seen: set[str] = set()
    paragraphs = []
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            if len(paragraph) > 60:  # shorter ones are headings and the like, which a text may repeat
                words = " ".join(paragraph.split())  # topics quote with another indent, and lines broken elsewhere
                if words in seen:
                    continue
                seen.add(words)
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)
