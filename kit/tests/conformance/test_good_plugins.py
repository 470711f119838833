"""Of a plugin in which nothing is wrong nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_plugins import EVERY, PLUGINS, classes_in

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "plugins"

EXAMPLES_THAT_RUN = {
    "allowed_owners.py:AllowedOwners": {"config": {"owners": ["0123456789abcdef0123456789abcdef"]}},
    "blocked_digests.py:BlockedDigests": {"grants": {"rules": f"file:{ROOT}/examples/rules/blocked.sha256"}},
    "efi_partition.py:EfiPartition": {},
    "fixed_vhd.py:FixedVhd": {},
    "forbidden_text.py:ForbiddenText": {},
    "head_fingerprint.py:HeadFingerprint": {},
    "image_names.py:ImageNames": {"config": {"patterns": ["*[a-z]*"]}},
    "iso_boot_file.py:IsoBootFile": {},
    "maintenance_window.py:MaintenanceWindow": {},
    "random_share.py:RandomShare": {},
    "recommended_properties.py:RecommendedProperties": {},
    "uefi_by_gpt.py:UefiByGpt": {},
}

BUILT_IN = {
    "format": {},
    "checksum": {"config": {"expected": "0" * 64}},
    "limits": {"config": {"formats": ["raw", "qcow2"], "max_size": "1GiB"}},
    "decompress": {},
    "ova": {},
}


LESS = 0.15
"""Of the search that an author's plugin gets."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [f"{path.name}:{plugin}" for path in sorted(PLUGINS.glob("good_*.py")) for plugin in classes_in(path.name)][
        :: 1 if EVERY else 4
    ],
)
def test_nothing_is_found(conform, use):
    assert [finding.to_json() for finding in conform(use, effort=LESS).findings] == []


@pytest.mark.slow
@pytest.mark.parametrize("use", list(EXAMPLES_THAT_RUN)[:: 1 if EVERY else 4])
def test_nothing_is_found_in_the_examples(conform, use):
    more = EXAMPLES_THAT_RUN[use]
    assert [finding.to_json() for finding in conform(f"{EXAMPLES}/{use}", effort=LESS, **more).findings] == []


@pytest.mark.slow
@pytest.mark.parametrize("use", BUILT_IN)
def test_nothing_is_found_in_what_is_built_in(conform, use):
    assert [finding.to_json() for finding in conform(use, effort=LESS, **BUILT_IN[use]).findings] == []
