"""OpenStack's own tests of the image service pass with `douane serve` and a real Keystone."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from douane_plugin.testing import image_bytes
from support.glance.douane_service import DouaneService
from support.glance.downloads import Downloads
from support.glance.keystone import Keystone
from support.glance.plans import TEMPEST
from support.glance.tempest import DOUANE_SERVE, run_tempest

pytestmark = [pytest.mark.glance, pytest.mark.timeout(3600)]

DIGESTS = '[import]\ndigests = ["md5", "sha512"]\n'

LEFT_OUT = {
    "ImageLocations": "PATCH of locations is off, as it is by default in Glance",
    "ImageCaching": "there is no cache",
    "ImageTaskCreate": "the tasks of Glance's first import API are left out",
    "MetadataNamespace": "definitions of metadata are left out",
    "MetadataResourceTypes": "definitions of metadata are left out",
}
"""The beginnings of the names of classes whose features `douane serve` does not offer, with the reason."""


def test_tempest_passes(keystone: Keystone, downloads: Downloads, tmp_path: Path) -> None:
    downloads.add("http-image", image_bytes("raw", 64 << 10))
    downloads.add("http-qcow2-image", image_bytes("qcow2"))
    with ExitStack() as stack:
        folder = tmp_path / "serve"
        folder.mkdir()
        service = DouaneService(folder, f"{DIGESTS}{TEMPEST}", keystone, download_port=downloads.port)
        stack.callback(service.close)
        service.start()
        offered = rf"^(?!.*\.({'|'.join(LEFT_OUT)}))"
        outcomes = run_tempest(tmp_path / "tempest", keystone, downloads, offered, features=DOUANE_SERVE)
    wrong = {name: test.why for name, test in outcomes.items() if test.outcome not in ("passed", "skipped")}
    assert not wrong, "\n\n".join(f"{name}\n{why}" for name, why in wrong.items())
    assert sum(outcome.outcome == "passed" for outcome in outcomes.values()) >= 50, outcomes
