"""The engine in Glance's own process."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.glance.backends import LocalBackend
from douane.glance.settings import Settings

DATA = bytes(range(256)) * 5000


LIMITS = '[[plugin]]\nname = "limits"\nuse = "limits"\nconfig = { max_size = "1GiB" }\n'
TRANSFORM = '[[plugin]]\nname = "unpack"\nuse = "decompress"\n'


@pytest.mark.parametrize("digests", [None, "[]", '["md5"]', '["md5", "sha256", "sha512"]'])
@pytest.mark.parametrize("plan", [LIMITS, TRANSFORM])
def test_a_plan_with_a_transform_takes_sha256_and_another_plan_no_digest(
    tmp_path: Path, digests: str | None, plan: str
) -> None:
    """Glance takes its own digests. A transform needs one, to tell whether the image was changed."""
    config = tmp_path / "douane.toml"
    config.write_text(("" if digests is None else f"[import]\ndigests = {digests}\n") + plan)
    inspection = LocalBackend(Settings(str(config))).begin(DeclaredImage(name="an image"), len(DATA), "an image")
    for start in range(0, len(DATA), 70_000):
        inspection.write(DATA[start : start + 70_000])
    report = inspection.finish()
    assert report.outcome == "accepted"
    assert report.received.digests() == ({"sha256": hashlib.sha256(DATA).hexdigest()} if plan == TRANSFORM else {})
    assert not report.is_transformed
