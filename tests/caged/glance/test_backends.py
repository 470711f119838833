"""The engine in Glance's own process."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.errors import PlanError
from douane.glance.backends import LocalBackend
from douane.glance.settings import Settings
from douane.plan.binding import Sender

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


BOUND = (
    '[[plugin]]\nname = "format"\nuse = "format"\n'
    '[[plugin]]\nname = "unpack"\nuse = "decompress"\nonly = "import"\nexempt_roles = ["service"]\n'
)


@pytest.mark.parametrize(
    ("sender", "size"),
    [
        *((Sender("upload"), None), (Sender("import", ("member", "service")), None)),
        *((Sender("import", ("member",)), len(DATA)), (Sender(), len(DATA))),
    ],
)
def test_a_bound_transform_leaves_other_images_alone(tmp_path: Path, sender: Sender, size: int | None) -> None:
    config, image = tmp_path / "douane.toml", tmp_path / "image"
    config.write_text(BOUND)
    packed = gzip.compress(DATA)
    image.write_bytes(packed)
    backend = LocalBackend(Settings(str(config)))
    assert backend.upload_transforms == {}
    inspection = backend.begin(DeclaredImage(), len(packed), "an image", sender)
    inspection.write(packed)
    with image.open("rb") as file:
        reports = [inspection.finish(), backend.inspect(file.fileno(), DeclaredImage(), "an image", None, sender)]
    for report in reports:
        assert report.outcome == "accepted"
        assert report.is_transformed == (size is not None)
        assert report.stored.size == (size or len(packed))


def test_an_inspector_cannot_be_bound(tmp_path: Path) -> None:
    config = tmp_path / "douane.toml"
    config.write_text(f'{LIMITS}[[plugin]]\nname = "format"\nuse = "format"\nonly = "import"\n')
    with pytest.raises(PlanError, match="'format' is an inspector, which sees every image"):
        LocalBackend(Settings(str(config)))
