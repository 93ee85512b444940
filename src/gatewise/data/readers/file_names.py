"""What the names of files say of what is in them: `{label}_{speaker}_{index}`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from ...errors import DataError, OptionError
from .._lines import category
from ..sequences import Column

NAME = r"\{([^\W\d]\w*)\}"  # {name} in a pattern


def pattern_of(label_from: str) -> re.Pattern[str]:
    """A pattern as a regular expression. OptionError if it lacks {label} or has a name twice."""
    literals, names = re.split(NAME, label_from)[::2], re.findall(NAME, label_from)
    if "label" not in names or len(set(names)) < len(names) or "file" in names:
        raise OptionError(
            f"--label-from '{label_from}' must hold {{label}} and each other name once, such as {{label}}_{{index}}."
        )
    groups = [f"(?P<{name}>[^/]+?)" for name in names] + [""]
    return re.compile("".join(re.escape(literal) + group for literal, group in zip(literals, groups, strict=True)))


def facts_of(names: Sequence[str], label_from: str) -> dict[str, Column]:
    """One category per name in braces. A pattern with / takes in folders. DataError for a name that does not fit."""
    pattern, depth, found = pattern_of(label_from), label_from.count("/") + 1, []
    for name in names:
        match = pattern.fullmatch("/".join(PurePosixPath(name).with_suffix("").parts[-depth:]))
        if match is None:
            raise DataError(f"the name of '{name}' does not fit --label-from '{label_from}'.")
        found.append(match.groupdict())
    return {key: category(key, [fields[key] for fields in found]) for key in found[0]}
