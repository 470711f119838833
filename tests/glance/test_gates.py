"""The gate of a Glance without an agent: the engine itself, with the plan of the operator."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from douane.glance.gates import FedPassage, LocalGate
from douane.glance.settings import Settings

DATA = bytes(range(256)) * 5000


LIMITS = '[[plugin]]\nname = "limits"\nuse = "limits"\nconfig = { max_size = "1GiB" }\n'
TRANSFORM = '[[plugin]]\nname = "unpack"\nuse = "decompress"\n'


def through(config: Path, text: str, *, known_again: bool) -> FedPassage:
    config.write_text(text)
    gate = LocalGate(Settings(str(config)))
    passage = gate.begin({"name": "an image"}, len(DATA), "an image", known_again=known_again)
    for at in range(0, len(DATA), 70_000):
        passage.write(DATA[at : at + 70_000])
    passage.finish()
    return passage


@pytest.mark.parametrize("listed", [None, "[]", '["md5"]', '["md5", "sha256", "sha512"]'])
@pytest.mark.parametrize(("plan", "known_again"), [(LIMITS, True), (TRANSFORM, True), (TRANSFORM, False)])
def test_whatever_digests_the_plan_lists_the_bytes_are_known_again_by_one(
    tmp_path: Path, listed: str | None, plan: str, known_again: bool
) -> None:
    """Glance takes its own. Without one, nobody could say that an upload is stored as it came."""
    importing = "" if listed is None else f"[import]\ndigests = {listed}\n"
    passage = through(tmp_path / "douane.toml", importing + plan, known_again=known_again)
    assert passage.report is not None
    assert passage.report.received.digests() == {"sha256": hashlib.sha256(DATA).hexdigest()}
    assert not passage.report.is_transformed
    assert passage.transforms is (plan == TRANSFORM)


def test_no_digest_is_taken_of_an_upload_that_nobody_compares(tmp_path: Path) -> None:
    passage = through(tmp_path / "douane.toml", LIMITS, known_again=False)
    assert passage.report is not None
    assert (passage.report.received.digests(), passage.transforms) == ({}, False)
