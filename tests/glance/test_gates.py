"""The gate of a Glance without an agent: the engine itself, with the plan of the operator."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.glance.backends import FedPassage, LocalGate
from douane.glance.settings import Settings

DATA = bytes(range(256)) * 5000


LIMITS = '[[plugin]]\nname = "limits"\nuse = "limits"\nconfig = { max_size = "1GiB" }\n'
TRANSFORM = '[[plugin]]\nname = "unpack"\nuse = "decompress"\n'


def through(config: Path, text: str) -> FedPassage:
    config.write_text(text)
    gate = LocalGate(Settings(str(config)))
    passage = gate.begin(DeclaredImage(name="an image"), len(DATA), "an image")
    for at in range(0, len(DATA), 70_000):
        passage.write(DATA[at : at + 70_000])
    passage.finish()
    return passage


@pytest.mark.parametrize("listed", [None, "[]", '["md5"]', '["md5", "sha256", "sha512"]'])
@pytest.mark.parametrize("plan", [LIMITS, TRANSFORM])
def test_whatever_digests_the_plan_lists_one_is_taken_where_the_image_may_change_and_else_none(
    tmp_path: Path, listed: str | None, plan: str
) -> None:
    """Glance takes its own. Without one, nobody could say of an image that may change that it is stored as it came."""
    importing = "" if listed is None else f"[import]\ndigests = {listed}\n"
    report = through(tmp_path / "douane.toml", importing + plan).report
    assert report is not None
    expected = {"sha256": hashlib.sha256(DATA).hexdigest()} if plan == TRANSFORM else {}
    assert report.received.digests() == expected
    assert not report.is_transformed
