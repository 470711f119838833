"""Bytes are known again by their tag, and others are not."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from douane.glance.staged.tag import Tag


def of(key: bytes, *pieces: bytes) -> bytes:
    tag = Tag(key)
    for piece in pieces:
        tag.update(piece)
    assert tag.size == sum(map(len, pieces))
    return tag.end()


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=70)))
def test_it_is_gmac_however_the_bytes_come(key: bytes, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert of(key, *pieces) == of(key, data) == AESGCM(key).encrypt(bytes(12), b"", data)


@given(st.binary(), st.binary())
def test_other_bytes_or_another_key_have_another_tag(one: bytes, other: bytes) -> None:
    key = os.urandom(32)
    assert (of(key, one) == of(key, other)) == (one == other)
    assert of(key, one) != of(os.urandom(32), one)


def test_a_tag_has_a_key_of_its_own_and_ends_once() -> None:
    tag = Tag()
    assert tag.key != Tag().key
    tag.update(memoryview(b"data"))
    assert not Tag(tag.key).is_of(b"")
    tag.end()
    with pytest.raises(Exception, match="finalized"):
        tag.update(b"more")
