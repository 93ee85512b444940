"""Labels in file names: by a pattern of the user's such as `{label}_{speaker}_{index}`, or by common conventions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from ...errors import DataError, OptionError
from ..sequences import Column, category_column

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


def columns_of(names: Sequence[str], label_from: str) -> dict[str, Column]:
    """One category for each name in braces. A pattern with / covers folders. DataError for a name that does not fit."""
    pattern, depth, found = pattern_of(label_from), label_from.count("/") + 1, []
    for name in names:
        match = pattern.fullmatch("/".join(PurePosixPath(name).with_suffix("").parts[-depth:]))
        if match is None:
            raise DataError(f"the name of '{name}' does not fit --label-from '{label_from}'.")
        found.append(match.groupdict())
    return {key: category_column(key, [fields[key] for fields in found]) for key in found[0]}


def folder_or_prefix(names: Sequence[str]) -> dict[str, Column]:
    """The `label` of each name: the folder it lies in, or else what stands before its first _; none if neither tells
    names apart. DataError if some names have a _ and others do not."""
    paths = [PurePosixPath(name).with_suffix("") for name in names]
    folders = [path.parent.name for path in paths]
    if all(folders) and len(set(folders)) > 1:
        return {"label": category_column("label", folders)}
    labelled = Counter("_" in path.name for path in paths)
    if not labelled[True]:
        return {}
    if labelled[False]:
        odd = next(name for name, path in zip(names, paths, strict=True) if "_" not in path.name)
        raise DataError(
            f"'{odd}' has no _ to end its label, as {labelled[True]} others have. Say --label-from PATTERN."
        )
    return {"label": category_column("label", [path.name.split("_", 1)[0] for path in paths])}


def folders_and_suffix(names: Sequence[str]) -> dict[str, Column]:
    """The `label` of each name: the folders it lies in, less those that all share; and the `writer`: what stands after
    the last _. Each only where names have it."""
    paths = [PurePosixPath(name) for name in names]
    folders = [path.parent.parts for path in paths]
    depths = enumerate(zip(*folders, strict=False))  # down to the shallowest
    shared = next((depth for depth, level in depths if len(set(level)) > 1), min(map(len, folders)))
    found = {}
    if len(set(folders)) > 1:
        found["label"] = category_column("label", ["/".join(parts[shared:]) or "." for parts in folders])
    if all("_" in path.stem for path in paths):
        found["writer"] = category_column("writer", [path.stem.rpartition("_")[2] for path in paths])
    return found
