"""Which operations of a pass need one another's results of the step before."""

from __future__ import annotations

from collections.abc import Mapping

from ...runtime.recording import Operation, Vector, inputs_of


class Circles:
    """The circles on which operations stand.

    Args:
        maker: The operation that makes a vector.
        kept: The vector that a state becomes after a step.
    """

    def __init__(self, maker: Mapping[Vector, Operation], kept: Mapping[Vector, Vector]):
        self._maker, self._kept = maker, kept
        self._found: dict[Operation, list[Operation]] = {}
        self._reached: dict[Operation, dict[Operation, None]] = {}

    def of(self, op: Operation) -> list[Operation]:
        """All that stand on a circle with it, itself among them; none if it stands on no circle."""
        if not self._kept:
            return []
        if op not in self._found:
            found = [each for each in self._reach(op) if op in self._reach(each)]
            for each in found or [op]:
                self._found[each] = found
        return self._found[op]

    def _reach(self, op: Operation) -> dict[Operation, None]:
        """The operations that it needs the results of, at this step or before."""
        if op not in self._reached:
            found: dict[Operation, None] = {}
            stack = [op]
            while stack:
                for vector in inputs_of(stack.pop()):
                    made = self._maker.get(self._kept.get(vector, vector))
                    if made is not None and made not in found:
                        found[made] = None
                        stack.append(made)
            self._reached[op] = found
        return self._reached[op]
