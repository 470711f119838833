"""`forbidden_text`: what is searched for is found wherever it stands and wherever the image is cut."""

from __future__ import annotations

import os

import pytest
from example_plugins import MIB, TIERS, Check, cut, said
from hypothesis import given
from hypothesis import strategies as st

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----"
TEXT = "forbidden_text:ForbiddenText"
PLAN = '[[plugin]]\nname = "text"\nuse = "plugins/forbidden_text.py:ForbiddenText"\n'


@given(
    before=st.integers(0, 90),
    after=st.integers(0, 90),
    cuts=st.lists(st.integers(0, 220), max_size=30),
    full=st.booleans(),
)
def test_a_text_is_found_however_the_image_is_cut(before: int, after: int, cuts: list[int], full: bool) -> None:
    data = bytes(before) + (KEY if full else KEY[:-1]) + bytes(after)
    assert said(TEXT, cut(data, cuts)) == (("refused", "forbidden-text") if full else ("accepted", None))


@pytest.mark.parametrize(
    "place", [MIB - len(KEY), MIB - len(KEY) + 1, MIB - 1, MIB, 2 * MIB - 2 * len(KEY), 3 * MIB - 35]
)
def test_a_text_is_found_at_the_borders_of_windows(place: int) -> None:
    data = bytearray(3 * MIB)
    data[place : place + len(KEY)] = KEY
    assert said(TEXT, cut(bytes(data), range(0, len(data), 999_983)))[0] == "refused"


@pytest.mark.parametrize("tier", TIERS)
def test_in_its_cage_it_finds_a_text_across_chunks_and_says_where(check: Check, tier: str) -> None:
    noise = os.urandom(3 * MIB)
    assert check(noise, PLAN, tier=tier).says == ("accepted", None)
    place = MIB - 7
    run = check(noise[:place] + KEY + noise[place:], PLAN, tier=tier)
    assert run.says == ("refused", "forbidden-text")
    assert KEY.decode() in run.report["message"]
    assert f"at offset {place}" in run.told


@pytest.mark.parametrize("data", [b"", b"-", KEY[:-1]])
def test_what_is_shorter_than_the_text_passes(data: bytes) -> None:
    assert said(TEXT, data) == ("accepted", None)


def test_each_of_several_texts_counts_and_in_its_encoding() -> None:
    config = {"texts": ["geheim", "päss"], "encoding": "utf-16-le"}
    assert said(TEXT, "ein päss".encode("utf-16-le"), **config)[0] == "refused"
    assert said(TEXT, "ein päss geheim".encode(), **config)[0] == "accepted"


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("texts = []", "at least one"),
        ('texts = [""]', "empty"),
        ('encoding = "klingon"', "klingon"),
        ("texts = 7", "texts"),
    ],
)
def test_what_the_operator_wrote_wrong_stops_the_start(check: Check, config: str, word: str) -> None:
    run = check(b"", PLAN + f"config = {{ {config} }}\n")
    assert run.code == 2
    assert word in run.told
