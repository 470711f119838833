"""All examples give the same answer for all cuts."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from example_plugins import MIB, PLUGINS
from test_example_disks import EFI_SYSTEM, fixed, table

from douane_plugin.testing import assert_same_for_all_cuts

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----"
NOISE = random.Random(5).randbytes(200_000)


@pytest.mark.parametrize(
    ("plugin", "image", "near", "outcome", "more"),
    [
        ("forbidden_text:ForbiddenText", KEY, [], "refused", {}),
        ("forbidden_text:ForbiddenText", bytes(MIB - 20) + KEY, [MIB - 20, MIB + 15], "refused", {}),
        ("forbidden_text:ForbiddenText", b"-" * 250, [], "accepted", {}),
        ("efi_partition:EfiPartition", table([EFI_SYSTEM]), [512, 1024, 17408], "accepted", {}),
        ("head_fingerprint:HeadFingerprint", NOISE, [], "accepted", {}),
        (
            "blocked_digests:BlockedDigests",
            NOISE,
            [],
            "refused",
            {"grants": {"rules": hashlib.sha256(NOISE).hexdigest()}},
        ),
        ("random_share:RandomShare", NOISE, [64 << 10], "refused", {}),
        ("fixed_vhd:FixedVhd", fixed(NOISE), [], "accepted", {"declared": {"disk_format": "vhd"}}),
        ("fixed_vhd:FixedVhd", fixed(b"a disk")[:-1], [], "incomplete", {"declared": {"disk_format": "vhd"}}),
        ("iso_boot_file:IsoBootFile", NOISE, [32768], "accepted", {}),
    ],
)
def test_the_answer_is_the_same_for_all_cuts(
    plugin: str, image: bytes, near: list[int], outcome: str, more: dict[str, Any]
) -> None:
    file, _, name = plugin.partition(":")
    result = assert_same_for_all_cuts(f"{PLUGINS}/{file}.py:{name}", image, near=near, **more)
    assert result.outcome == outcome


@pytest.mark.parametrize("image", [b"", b"\0", b"\xff" * 511])
@pytest.mark.parametrize("declared", [{}, {"disk_format": "vhd", "name": "", "owner": ""}])
@pytest.mark.parametrize(
    ("plugin", "config"),
    [
        ("forbidden_text:ForbiddenText", {}),
        ("allowed_owners:AllowedOwners", {"owners": ["p"]}),
        ("image_names:ImageNames", {"patterns": ["*"]}),
        ("recommended_properties:RecommendedProperties", {}),
        ("efi_partition:EfiPartition", {}),
        ("head_fingerprint:HeadFingerprint", {}),
        ("iso_boot_file:IsoBootFile", {}),
        ("uefi_by_gpt:UefiByGpt", {}),
        ("random_share:RandomShare", {}),
        ("fixed_vhd:FixedVhd", {}),
    ],
)
def test_a_tiny_image_gets_an_answer(
    plugin: str, config: dict[str, Any], image: bytes, declared: dict[str, Any]
) -> None:
    file, _, name = plugin.partition(":")
    result = assert_same_for_all_cuts(f"{PLUGINS}/{file}.py:{name}", image, config=config, declared=declared)
    assert result.outcome != "failed"
