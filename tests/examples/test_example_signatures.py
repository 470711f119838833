"""`forbidden_text` finds a text at any offset and for all cuts."""

from __future__ import annotations

import os

import pytest
from example_plugins import MIB, TIERS, Check, answer_of, cut
from hypothesis import given
from hypothesis import strategies as st

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----"
TEXT = "forbidden_text:ForbiddenText"
PLAN = '[[plugin]]\nname = "text"\nuse = "plugins/forbidden_text.py:ForbiddenText"\n'


@given(
    prefix=st.integers(0, 90),
    suffix=st.integers(0, 90),
    cuts=st.lists(st.integers(0, 220), max_size=30),
    full=st.booleans(),
)
def test_a_text_is_found_for_all_cuts(prefix: int, suffix: int, cuts: list[int], full: bool) -> None:
    data = bytes(prefix) + (KEY if full else KEY[:-1]) + bytes(suffix)
    assert answer_of(TEXT, cut(data, cuts)) == (("refused", "forbidden-text") if full else ("accepted", None))


@pytest.mark.parametrize(
    "offset", [MIB - len(KEY), MIB - len(KEY) + 1, MIB - 1, MIB, 2 * MIB - 2 * len(KEY), 3 * MIB - 35]
)
def test_a_text_is_found_at_the_borders_of_windows(offset: int) -> None:
    data = bytearray(3 * MIB)
    data[offset : offset + len(KEY)] = KEY
    assert answer_of(TEXT, cut(bytes(data), range(0, len(data), 999_983)))[0] == "refused"


@pytest.mark.parametrize("tier", TIERS)
def test_in_the_sandbox_a_text_across_chunks_is_found_with_its_offset(check: Check, tier: str) -> None:
    noise = os.urandom(3 * MIB)
    assert check(noise, PLAN, tier=tier).answer == ("accepted", None)
    offset = MIB - 7
    run = check(noise[:offset] + KEY + noise[offset:], PLAN, tier=tier)
    assert run.answer == ("refused", "forbidden-text")
    assert KEY.decode() in run.report["message"]
    assert f"at offset {offset}" in run.stderr


@pytest.mark.parametrize("data", [b"", b"-", KEY[:-1]])
def test_an_image_shorter_than_the_text_is_accepted(data: bytes) -> None:
    assert answer_of(TEXT, data) == ("accepted", None)


def test_any_of_several_texts_is_found_in_its_encoding() -> None:
    config = {"texts": ["geheim", "päss"], "encoding": "utf-16-le"}
    assert answer_of(TEXT, "ein päss".encode("utf-16-le"), **config)[0] == "refused"
    assert answer_of(TEXT, "ein päss geheim".encode(), **config)[0] == "accepted"


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("texts = []", "at least one"),
        ('texts = [""]', "empty"),
        ('encoding = "klingon"', "klingon"),
        ("texts = 7", "texts"),
    ],
)
def test_a_wrong_configuration_stops_the_start(check: Check, config: str, word: str) -> None:
    run = check(b"", PLAN + f"config = {{ {config} }}\n")
    assert run.code == 2
    assert word in run.stderr
