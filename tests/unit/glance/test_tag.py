"""The tag recognises the same bytes, and no others."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from douane.glance.staged.tag import Tag


def tag_of(key: bytes, *pieces: bytes) -> bytes:
    tag = Tag(key)
    for piece in pieces:
        tag.update(piece)
    assert tag.size == sum(map(len, pieces))
    return tag.finish()


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=70)))
def test_a_tag_is_gmac_whatever_the_pieces(key: bytes, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert tag_of(key, *pieces) == tag_of(key, data) == AESGCM(key).encrypt(bytes(12), b"", data)


@given(st.binary(), st.binary())
def test_other_bytes_or_another_key_have_another_tag(first: bytes, second: bytes) -> None:
    key = os.urandom(32)
    assert (tag_of(key, first) == tag_of(key, second)) == (first == second)
    assert tag_of(key, first) != tag_of(os.urandom(32), first)


def test_a_tag_has_its_own_key_and_finishes_once() -> None:
    tag = Tag()
    assert tag.key != Tag().key
    tag.update(memoryview(b"data"))
    assert not Tag(tag.key).matches(b"")
    tag.finish()
    with pytest.raises(Exception, match="finalized"):
        tag.update(b"more")
