import hashlib
import hmac

import pytest

from gatewise.errors import ModelFileError
from gatewise.serve.sealing import Seal


def test_a_signed_state_ends_with_its_hmac():
    sealed = Seal("key").closed(b"state")
    assert sealed == b"state" + hmac.new(b"key", b"gatewise state\0state", hashlib.sha256).digest()
    assert Seal("key").opened(sealed) == b"state"
    assert Seal("key").of_text(Seal("key").text(b"state")) == b"state"


def test_without_a_key_it_is_the_state():
    assert Seal().closed(b"state") == b"state" == Seal().opened(b"state")


@pytest.mark.parametrize("place", [0, 4, 5, -1])
def test_a_changed_one_is_refused(place):
    sealed = bytearray(Seal("key").closed(b"state"))
    sealed[place] ^= 1
    with pytest.raises(ModelFileError, match="not made by this server, or was changed"):
        Seal("key").opened(bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"short", b"state", Seal("other").closed(b"state")])
def test_one_of_nobody_is_refused(sealed):
    with pytest.raises(ModelFileError, match="not made by this server"):
        Seal("key").opened(sealed)


def test_text_that_is_no_base64_is_refused():
    with pytest.raises(ModelFileError, match="not base64"):
        Seal().of_text("no!")
