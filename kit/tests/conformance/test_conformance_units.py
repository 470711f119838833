"""The parts of the suite that can be wrong by themselves: cuts, descriptions, dictionaries, shrinking, codes."""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from douane_kit.conformance import MENDS, dictionary, images, judge
from douane_kit.conformance.cases import Case, Outcome, cut_positions, cuts_at
from douane_kit.conformance.findings import describe_bytes

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"


@given(st.sets(st.integers(1, 200), max_size=20))
def test_cuts_are_at_the_positions_that_were_chosen(positions):
    assert cut_positions(cuts_at(sorted(positions)), 201) == sorted(positions)


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 300)), max_size=12))
def test_a_description_of_bytes_is_short_and_says_how_many_there_are(parts):
    data = b"".join(piece + bytes(zeros) for piece, zeros in parts)
    assert len(describe_bytes(data)) < 4000


def test_a_description_names_runs_and_what_stands_between():
    assert describe_bytes(bytes(1000) + b"MARK" + b"\xff" * 20) == "1000 x 00, 4d41524b, 20 x ff"


def test_constants_become_tokens_and_offsets():
    found = {"bytes": [b"MAGIC".hex()], "texts": ["55aa"], "ints": ["512"], "patterns": [[True, b"k[0-9]{3}".hex(), 0]]}
    words = dictionary.build(found, "stream", 0)
    assert {b"MAGIC", b"magic", b"\x55\xaa", b"55aa", b"\x00\x02"} <= set(words.tokens)
    assert {511, 512, 513} <= set(words.offsets)
    assert words.patterns
    assert all(re.search(rb"k[0-9]{3}", token) for token in words.patterns)


def test_images_are_what_they_seem_to_be():
    made = {name: data for name, data, _ in images.containers(0)}
    inside = images.payload(0)
    assert gzip.decompress(made["gzip"]) == inside
    assert zipfile.ZipFile(BytesIO(made["zip"])).read("disk.img") == inside
    with tarfile.open(fileobj=BytesIO(made["tar"])) as archive:
        assert archive.extractfile("disk.img").read() == inside
    assert images.gpt(0, 3)[510:520] == b"\x55\xaaEFI PART"


def test_shrinking_ends_with_the_smallest_image():
    def holds(cases):
        return [b"\x07" in case.data for case in cases]

    small, _ = judge.shrink(Case(images.filler(3000, 1) + b"\x07" + bytes(500)), holds)
    assert len(small.data) <= 2
    assert b"\x07" in small.data


def test_a_message_that_only_quotes_an_exception_says_nothing():
    cause = ["ValueError", "bad thing", "ValueError('bad thing')"]
    for message, found in (
        ("bad thing", True),
        ("ValueError: bad thing", True),
        ("the table of the image is damaged (bad thing); make it anew", False),
    ):
        outcome = Outcome("refused", {"code": "bad", "message": message, "cause": cause})
        assert (judge.judge(Case(b""), outcome, {}) is not None) == found


def test_every_code_is_in_the_documentation():
    listed = set(re.findall(r"`([a-z-]+)`", PAGE.read_text().partition("## What it may find")[2]))
    assert set(MENDS) <= listed
