"""Where a plugin of root's reads files whatever their mode, it still reads none of the host's private ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import sandbox
from douane.sandbox import base_files, spawn
from support.sandbox.process import Cell


@pytest.fixture
def outside_tmp() -> Iterator[Path]:
    """A folder that is not in /tmp, which in tier `full` is the plugin's own with all that is mounted there."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_private_key_beside_certificates_cannot_be_read(
    tier: sandbox.Tier, outside_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = outside_tmp / "certs"
    for name, mode in {"ca.crt": 0o644, "site.key": 0o600, "open/ca.crt": 0o644, "closed/site.key": 0o644}.items():
        path = certificates / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
        path.chmod(mode)
    (certificates / "closed").chmod(0o700)
    (certificates / "link.key").symlink_to(certificates / "site.key")
    single = outside_tmp / "openssl.cnf"
    single.write_bytes(b"password")
    single.chmod(0o600)
    monkeypatch.setattr(base_files, "_FILLED", (str(outside_tmp),))
    monkeypatch.setattr(base_files, "shown_files", lambda: (str(certificates), str(single)))
    monkeypatch.setattr(spawn, "shown_files", lambda: (str(certificates), str(single)))
    granted = outside_tmp / "granted"
    granted.write_bytes(b"x")
    granted.chmod(0o600)  # so the plugin reads files whatever their mode
    status = granted.stat()
    with Cell(tier, granted=(sandbox.GrantedPath(str(granted), status.st_dev, status.st_ino, True),)) as cell:
        assert cell.report.layers["identity"]["capabilities"] == ["CAP_DAC_READ_SEARCH"]
        for name in ("ca.crt", "open/ca.crt"):
            assert bytes.fromhex(cell.returned("read", str(certificates / name))) == b"content"
        for name in ("site.key", "link.key", "closed/site.key"):
            assert cell.refused("read", str(certificates / name)) == 13
        assert cell.refused("read", str(single)) == 13
