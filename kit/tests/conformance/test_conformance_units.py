"""The parts of the suite that need no process: cuts, descriptions, constants, minimising, judging, codes."""

from __future__ import annotations

import dataclasses
import gzip
import re
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_kit.conformance import MENDS, images, judge, words
from douane_kit.conformance.cases import Case, Outcome, cut_offsets
from douane_kit.conformance.findings import describe_bytes
from douane_kit.conformance.minimise import minimise

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
PLUGIN = '''
import re

MAGIC = b"MAGIC"
KEY = re.compile(rb"k[0-9]{3}")

class Table:
    """A docstring with the word never."""

    def inspect(self, image, signature="55aa"):
        return image.read(1 << 9)
'''


@pytest.mark.parametrize(
    ("cuts", "length", "offsets"), [(0, 9, []), (3, 9, [3, 6]), (3, 10, [3, 6, 9]), ((2, 7, 9, 20), 9, [2, 7])]
)
def test_cuts_are_a_length_or_offsets(cuts, length, offsets):
    assert list(cut_offsets(cuts, length)) == offsets


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 300)), max_size=12))
def test_a_description_of_bytes_is_short(parts):
    data = b"".join(piece + bytes(zeros) for piece, zeros in parts)
    assert len(describe_bytes(data)) < 4000


def test_a_description_of_bytes_has_runs_and_the_bytes_between():
    assert describe_bytes(bytes(1000) + b"MARK" + b"\xff" * 20) == "1000 x 00, 4d41524b, 20 x ff"
    assert describe_bytes(bytes(range(200))).endswith("... (in all 200 bytes)")


def test_constants_become_tokens_and_offsets():
    constants = words.constants({"plugin.py": PLUGIN, "broken.py": "def"}, ["setting"], "Table")
    built = words.build(constants, "stream", 0)
    assert {b"MAGIC", b"magic", b"\x55\xaa", b"55aa", b"\x00\x02", b"setting"} <= set(built.tokens)
    assert {511, 512, 513} <= set(built.offsets)
    assert built.patterns
    assert all(re.search(rb"k[0-9]{3}", token) for token in built.patterns)


def test_a_head_bounds_the_offsets():
    assert max(words.build([100, 5000], "head:512", 0).offsets) == 512


def test_containers_hold_their_payload():
    containers = dict(images.containers(0))
    payload = images.payload(0)
    assert gzip.decompress(containers["gzip"]) == payload
    assert zipfile.ZipFile(BytesIO(containers["zip"])).read("disk.img") == payload
    with tarfile.open(fileobj=BytesIO(containers["tar"])) as archive:
        assert archive.extractfile("disk.img").read() == payload


def test_minimising_ends_with_the_smallest_image():
    case = Case(images.filler(3000, 1) + b"\x07" + bytes(500))
    smallest, _ = minimise(case, lambda cases: [b"\x07" in case.data for case in cases])
    assert smallest.data == b"\x07"


def test_minimising_ends_with_the_fewest_cuts():
    case = Case(images.filler(300, 1), tuple(range(7, 300, 7)))

    def holds(cases):
        return [b"\x07" in case.data and len(list(cut_offsets(case.cuts, len(case.data)))) > 1 for case in cases]

    smallest, _ = minimise(dataclasses.replace(case, data=case.data + b"\x07"), holds)
    assert len(smallest.data) <= 4
    assert len(list(cut_offsets(smallest.cuts, len(smallest.data)))) == 2


@pytest.mark.parametrize(
    ("message", "is_fault"),
    [
        ("bad thing", True),
        ("ValueError: bad thing", True),
        ("the table of the image is damaged (bad thing); make it anew", False),
    ],
)
def test_a_message_that_only_quotes_an_exception_is_a_fault(message, is_fault):
    cause = ("ValueError", "bad thing", "ValueError('bad thing')")
    outcome = Outcome("refused", code="bad", message=message, cause=cause)
    assert (judge.judge(Case(b""), outcome, {}) is not None) == is_fault


def test_every_code_is_documented():
    listed = set(re.findall(r"`([a-z-]+)`", PAGE.read_text().partition("## Codes of findings")[2]))
    assert set(MENDS) <= listed
