"""Streams: input in pieces, output as soon as it is certain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

State = TypeVar("State")


class Stream(ABC, Generic[State]):
    """A model that reads its input piece by piece.

    All that it remembers of what it has read is its `state`, a value: `push` replaces it and never changes it in place.
    So a state can be kept, and set again on this stream or on another one of the same model, any number of times.
    """

    def __init__(self) -> None:
        self.reset()

    @property
    def state(self) -> State:
        """What the stream remembers, to be set again later. Do not change it."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state

    def reset(self) -> None:
        """Forget everything: the next piece is the first."""
        self.state = self._initial_state()

    @abstractmethod
    def push(self, piece: Any) -> Any:
        """Read the next piece.

        Returns:
            What the model predicts so far, or for this piece: each task says which. None where it only reads.

        Raises:
            DataError: The piece is not what the model reads. The state is then what it was before.
        """

    def finish(self) -> Any:
        """No piece follows: read what was held back, if anything.

        Returns:
            As `push`; None where nothing is ever held back.
        """
        return None

    @abstractmethod
    def _initial_state(self) -> State:
        """The state before the first piece."""
