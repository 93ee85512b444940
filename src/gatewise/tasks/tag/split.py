"""Training, validation and test parts of sequences with a target per step."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...data.groups import groups_of
from ...data.sequences import Sequences
from ...data.split import equal_sequences, equal_together, shuffled_split, split_by_time
from ...errors import DataError

FEW_SEQUENCES = 10  # fewer sequences than this are each split by time
FEW_STEPS = 2000  # with fewer training steps than this, a validation part would choose by chance


def split_sequences(
    data: Sequences,
    shares: Sequence[float],
    seed: int,
    group: Sequence[str] = (),
    may_differ: Collection[str] | None = None,
) -> dict[str, Sequences]:
    """The parts that are not empty, by name. Many sequences are shuffled; few are each split by time, the earlier steps
    for training and the later ones for validation and test.

    Args:
        group: Columns whose values no two parts share; then whole sequences are shuffled, however few they are.
        may_differ: Sequences that are equal in all columns but these are in one part, unless groups say otherwise. If
            omitted, they are not looked for, as with models of before.

    Raises:
        DataError: There is nothing to learn from.
        OptionError: There are too few groups.
    """
    groups = groups_of(data, group, shares)
    if int(data.offsets[-1]) * shares[0] < 1:
        raise DataError(f"{data.name} has {int(data.offsets[-1])} steps, which leaves none to learn from")
    if int(data.offsets[-1]) * shares[0] < FEW_STEPS:
        shares = (shares[0] + shares[1], 0.0, shares[2])
    if len(data) >= FEW_SEQUENCES or groups is not None:
        places = shuffled_split(len(data), shares, seed, groups=groups)
        if may_differ is not None and groups is None:
            places = equal_together(places, equal_sequences(data, may_differ))
        found = {name: data.take(some) for name, some in places.items()}
    else:
        found = split_by_time(data, shares)
    return {name: part for name, part in found.items() if part.offsets[-1]}
