"""LUKS, versions 1 and 2: both headers, and the place of the disk."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from support.examination import codes, examine, fields, match_of, names, policies
from support.fuzzing.header_mutants import header_mutants
from support.fuzzing.seeds import seeds
from support.images import be, patched

MiB = 1 << 20
SEEDS = seeds()
SECOND = 16384


@pytest.fixture
def luks1() -> bytes:
    """A disk of 1 MiB by qemu-img: a seed, as qemu-img sometimes fails to make one on a busy machine."""
    return SEEDS["luks1"]


def test_luks1_of_qemu_img_is_read(luks1: bytes) -> None:
    for size_known in (True, False):
        match = match_of(luks1, "luks1", size_known=size_known)
        assert (match.disk_format, match.virtual_size) == ("luks", MiB)
        assert policies(examine(luks1, size_known=size_known)) == {"encrypted": "warn"}
    assert fields(match)["cipher-name"] == "aes"
    assert fields(match)["keys"] == 1


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (6, be(0, 2), "version"),
        (6, be(3, 2), "version"),
        (8, b"x" * 32, "header"),
        (104, be(0, 4), "header"),
        (104, be(7, 4), "header"),
        (104, be(8, 4), "overlap"),
        (104, be(0xFFFFFFFF, 4), "outside-file"),
        (164, be(0, 4), "header"),
        (208, be(0, 4), "header"),
        (212, be(0, 4), "header"),
        (208 + 40, be(0, 4), "overlap"),
        (208 + 40, be(4, 4), "overlap"),
        (208 + 44, be(0, 4), "header"),
        (108, be(0xFFFFFFFF, 4), "overlap"),
    ],
)
def test_contradictory_luks1_header_is_refused(luks1: bytes, at: int, value: bytes, code: str) -> None:
    assert code in codes(examine(patched(luks1, (at, value))))


def test_overlapping_luks1_keys_are_refused(luks1: bytes) -> None:
    assert codes(examine(patched(luks1, (256, luks1[208:256])))) == {"encrypted", "overlap"}


@pytest.mark.parametrize("length", [6, 7, 8, 591])
def test_luks1_truncated_in_its_header_is_refused(luks1: bytes, length: int) -> None:
    assert names(examine(luks1[:length])) == ["luks1"]
    assert "truncated" in codes(examine(luks1[:length]))


def test_luks1_truncated_in_its_keys_is_refused(luks1: bytes) -> None:
    assert "outside-file" in codes(examine(luks1[: MiB // 2]))


def sealed(header: bytes) -> bytes:
    """The header with its checksum."""
    blank = header[:0x1C0] + bytes(64) + header[0x200:]
    return blank[:0x1C0] + hashlib.sha256(blank).digest().ljust(64, b"\0") + blank[0x200:]


def luks2(
    changes: dict[str, Any] | None = None,
    *,
    text: bytes | None = None,
    first: tuple[tuple[int, bytes], ...] = (),
    second: tuple[tuple[int, bytes], ...] = (),
) -> bytes:
    """The seed with another JSON area, and other bytes in either header, with right checksums."""
    image = SEEDS["luks2"]
    area = json.loads(image[4096:SECOND].rstrip(b"\0")) | (changes or {})
    body = (json.dumps(area).encode() if text is None else text).ljust(SECOND - 4096, b"\0")
    first_header = sealed(patched(image[:4096] + body, *first))
    second_header = sealed(patched(image[SECOND : SECOND + 4096] + body, *second))
    return first_header + second_header + image[2 * SECOND :]


def test_luks2_is_read() -> None:
    for size_known in (True, False):
        match = match_of(luks2(), "luks2", size_known=size_known)
        assert (match.disk_format, match.virtual_size) == ("luks", 65536)
        assert policies(examine(luks2(), size_known=size_known)) == {"encrypted": "warn"}
    assert fields(match)["label"] == "label"


def test_luks2_with_a_fixed_size_is_read() -> None:
    segment = {"type": "crypt", "offset": "65536", "size": "32768", "encryption": "aes-xts-plain64"}
    assert match_of(luks2({"segments": {"0": segment}}), "luks2").virtual_size == 32768
    outside = luks2({"segments": {"0": {**segment, "size": "65537"}}})
    assert codes(examine(outside)) == {"encrypted", "outside-file"}


@pytest.mark.parametrize("at", [0x30, 4096 + 5, 12000, SECOND + 0x30, SECOND + 4096 + 5, 0x1C0, SECOND + 0x1C0])
def test_changed_byte_in_luks2_is_a_checksum_finding(at: int) -> None:
    assert "checksum" in codes(examine(patched(luks2(), (at, b"\xfe"))))


def test_luks2_without_second_header_is_refused() -> None:
    assert "checksum" in codes(examine(patched(luks2(), (SECOND, bytes(8)))))


@pytest.mark.parametrize(
    "image",
    [
        luks2(first=((16, be(9, 8)),)),
        luks2(second=((4096, b'{"segments": 1}' + bytes(600)),)),
        luks2(first=((8, be(1 << 62, 8)),)),
        luks2(first=((8, be(20000, 8)),)),
        luks2(first=((256, be(5, 8)),)),
        luks2(second=((256, be(5, 8)),)),
        luks2(text=b"not JSON"),
        luks2(text=b"[" * 5000),
        luks2(text=b"[]"),
        luks2(text=b'{"segments": {"0": {"type": "crypt", "offset": -1, "size": "dynamic"}}}'),
        luks2(text=b'{"segments": {"0": {"type": "crypt", "offset": ' + b"9" * 6000 + b', "size": "dynamic"}}}'),
        luks2({"segments": {}}),
        luks2({"segments": {"x": {}}}),
        luks2({"segments": None}),
        luks2({"segments": {"0": {"type": "crypt", "offset": "1e5", "size": "dynamic"}}}),
    ],
    ids=range(15),
)
def test_malformed_luks2_is_refused(image: bytes) -> None:
    assert "header" in codes(examine(image))


def test_luks2_with_another_checksum_algorithm() -> None:
    for name in (b"sha3-x", b"", b"shake_128"):
        assert "unknown-feature" in codes(examine(luks2(first=((72, name.ljust(32, b"\0")),))))


def test_luks2_with_disk_or_key_inside_the_headers_is_refused() -> None:
    disk = {"0": {"type": "crypt", "offset": "16384", "size": "dynamic"}}
    assert "overlap" in codes(examine(luks2({"segments": disk})))
    key = {"0": {"type": "luks2", "area": {"type": "raw", "offset": "4096", "size": "4096"}}}
    assert "overlap" in codes(examine(luks2({"keyslots": key})))
    key["0"]["area"] = {"type": "raw", "offset": "32768", "size": "1000000"}
    assert "outside-file" in codes(examine(luks2({"keyslots": key})))


def test_luks2_with_requirements_is_refused() -> None:
    config = {"requirements": {"mandatory": ["online-reencrypt-v2"]}}
    assert codes(examine(luks2({"config": config}))) == {"encrypted", "unknown-feature"}


@pytest.mark.parametrize("length", [8, 4095, 5000, SECOND - 1])
def test_truncated_luks2_is_refused(length: int) -> None:
    assert {"encrypted", "truncated"} == codes(examine(luks2()[:length]))


HOSTILE = [SEEDS["luks2"][: 3 * SECOND], SEEDS["luks1"][: MiB // 4]]

test_mutants_upset_nothing = header_mutants(lambda: HOSTILE, 620)
