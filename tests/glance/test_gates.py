"""The gate of a Glance without an agent: the engine itself, with the plan of the operator."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from douane.glance.gates import LocalGate
from douane.glance.settings import Settings

DATA = bytes(range(256)) * 5000


@pytest.mark.parametrize("listed", [None, "[]", '["md5"]', '["md5", "sha256", "sha512"]'])
def test_whatever_digests_the_plan_lists_the_bytes_are_known_again_by_one(tmp_path: Path, listed: str | None) -> None:
    """Glance takes its own. Without one, nobody could say that an upload is stored as it came."""
    config = tmp_path / "douane.toml"
    importing = "" if listed is None else f"[import]\ndigests = {listed}\n"
    config.write_text(f'{importing}[[plugin]]\nname = "limits"\nuse = "limits"\nconfig = {{ max_size = "1GiB" }}\n')
    passage = LocalGate(Settings(str(config))).begin({"name": "an image"}, len(DATA), "an image")
    for at in range(0, len(DATA), 70_000):
        passage.write(DATA[at : at + 70_000])
    passage.finish()
    assert passage.report is not None
    assert passage.report.received.digests() == {"sha256": hashlib.sha256(DATA).hexdigest()}
    assert not passage.report.is_transformed
