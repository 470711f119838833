"""Growing disks of Bochs, and cloop."""

from __future__ import annotations

import pytest

from support.examination import codes, examine, match_of, names, policies
from support.fuzzing.header_mutants import header_mutants
from support.fuzzing.seeds import seeds
from support.images import be, le, patched

BOCHS, CLOOP = seeds()["bochs"], seeds()["cloop"]


@pytest.mark.parametrize("size_known", [True, False])
def test_growing_bochs_disk_passes(size_known: bool) -> None:
    match = match_of(BOCHS, "bochs", size_known=size_known)
    assert (match.disk_format, match.variant, match.virtual_size) == ("bochs", "growing", 4 * 65536)
    assert not examine(BOCHS, size_known=size_known).findings


def test_version_1_of_bochs_passes() -> None:
    image = patched(BOCHS, (64, le(0x10000, 4)), (84, le(3 * 65536, 8)))
    assert match_of(image, "bochs").virtual_size == 3 * 65536
    assert not examine(image).findings


@pytest.mark.parametrize("kind", [b"Undoable", b"Volatile"])
def test_differencing_bochs_disk_is_refused(kind: bytes) -> None:
    assert policies(examine(patched(BOCHS, (48, kind)))) == {"parent": "refuse"}


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (32, b"Other\0", "subformat"),
        (48, b"Other\0", "subformat"),
        (64, le(0x30000, 4), "version"),
        (68, le(0, 4), "overlap"),
        (68, le(1 << 31, 4), "outside-file"),
        (72, le(0xFFFFFFFF, 4), "header"),
        (72, le(3, 4), "virtual-size"),
        (80, le(0, 4), "header"),
        (80, le(65535, 4), "header"),
        (80, le(1 << 24, 4), "header"),
        (88, le(0, 8), "no-disk"),
        (88, le(65537, 8), "unaligned-size"),
        (88, le(1 << 63, 8), "virtual-size"),
        (520, le(3, 4), "outside-file"),
        (520, le(0xFFFFFFFE, 4), "outside-file"),
    ],
)
@pytest.mark.parametrize("size_known", [True, False])
def test_contradictory_bochs_header_is_refused(at: int, value: bytes, code: str, size_known: bool) -> None:
    assert code in codes(examine(patched(BOCHS, (at, value)), size_known=size_known))


@pytest.mark.parametrize("size_known", [True, False])
def test_cloop_passes(size_known: bool) -> None:
    match = match_of(CLOOP, "cloop", size_known=size_known)
    assert (match.disk_format, match.variant, match.virtual_size) == ("cloop", "2.0", 3 * 65536)
    assert not examine(CLOOP, size_known=size_known).findings


def test_other_shell_script_is_not_cloop() -> None:
    assert "cloop" not in names(examine(b"#!/bin/sh\n#V2.0 Format\necho\n"))


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (128, be(0, 4), "header"),
        (128, be(65537, 4), "header"),
        (128, be(1 << 30, 4), "header"),
        (132, be(0, 4), "no-disk"),
        (132, be(0xFFFFFFFF, 4), "virtual-size"),
        (132, be(0x04000000, 4), "header"),
        (132, be(0x01000000, 4), "outside-file"),
        (136, be(8, 8), "overlap"),
        (144, be(0, 8), "header"),
        (160, be(1 << 63, 8), "header"),
        (160, be(1000, 8), "outside-file"),
    ],
)
@pytest.mark.parametrize("size_known", [True, False])
def test_contradictory_cloop_header_is_refused(at: int, value: bytes, code: str, size_known: bool) -> None:
    assert code in codes(examine(patched(CLOOP, (at, value)), size_known=size_known))


@pytest.mark.parametrize("size_known", [True, False])
def test_truncated_image_is_refused(size_known: bool) -> None:
    assert codes(examine(BOCHS[:300], size_known=size_known)) == {"truncated"}
    assert codes(examine(CLOOP[:130], size_known=size_known)) == {"truncated"}
    for image in (BOCHS[:600], BOCHS[:100_000], CLOOP[:150], CLOOP[:-10]):
        assert codes(examine(image, size_known=size_known)) - {"outside-file"} == set()


test_mutants_upset_nothing = header_mutants(lambda: [BOCHS, CLOOP], 180)
