"""States that clients keep, so that no server has to: bytes that the server knows again as its own."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

from ..errors import ModelFileError

_MARK = 32  # bytes


class Seal:
    """Signs states, if there is a key: HMAC-SHA256 behind the bytes of the safetensors file.

    Without a key a state is taken from whoever sends it: it is checked for its model and its shapes, and can spoil
    nothing but the answers to that client.

    Args:
        key: A secret that all servers share which take one another's states; None for none.
    """

    def __init__(self, key: str | None = None):
        self._key = None if key is None else key.encode()

    def closed(self, state: bytes) -> bytes:
        """A state to give away."""
        return state if self._key is None else state + self._mark(state)

    def opened(self, sealed: bytes) -> bytes:
        """The state in what a client sent. ModelFileError if it was not given away like this."""
        if self._key is None:
            return sealed
        state, mark = sealed[:-_MARK], sealed[-_MARK:]
        if not hmac.compare_digest(mark, self._mark(state)):
            raise ModelFileError("the state was not made by this server, or was changed")
        return state

    def text(self, state: bytes) -> str:
        """`closed`, for JSON: base64."""
        return b64encode(self.closed(state)).decode()

    def of_text(self, text: str) -> bytes:
        """Undo `text`."""
        try:
            sealed = b64decode(text, validate=True)
        except ValueError:
            raise ModelFileError("the state is not base64") from None
        return self.opened(sealed)

    def _mark(self, state: bytes) -> bytes:
        assert self._key is not None
        return hmac.digest(self._key, b"gatewise state\0" + state, hashlib.sha256)
