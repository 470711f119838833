"""The same plugin files and configuration give the same verdicts in `douane check`, in each Glance and in the
conformance suite."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from douane.glance.image_metadata import property_text
from douane_plugin.testing import image_bytes
from support.glance.downloads import Downloads
from support.glance.environments import ROOT, Environment
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.site import Site, is_as_new, with_douane
from support.glance.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

CONFIG = ROOT / "examples" / "douane.toml"
DECLARED = {"os_distro": "debian", "os_version": "13"}
KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def fixed_vhd() -> bytes:
    """A disk, and a footer that the plan's transform removes."""
    disk = image_bytes("mbr")
    footer = bytearray(512)
    footer[:8], footer[8:16], footer[16:24] = b"conectix", b"\0\0\0\2\0\1\0\0", b"\xff" * 8
    footer[28:32], footer[36:40] = b"qem2", b"Wi2k"
    footer[40:48] = footer[48:56] = len(disk).to_bytes(8, "big")
    footer[56:60], footer[60:64] = b"\0\x3c\x04\x11", b"\0\0\0\2"
    footer[64:68] = (~sum(footer) & 0xFFFFFFFF).to_bytes(4, "big")
    return disk + bytes(footer)


IMAGES: dict[str, tuple[str, bytes]] = {
    "a disk with a GPT": ("raw", image_bytes("gpt", data=b"data")),
    "a qcow2": ("qcow2", image_bytes("qcow2")),
    "a disk to be changed": ("vhd", fixed_vhd()),
    "a private key": ("raw", image_bytes("raw", 3 << 20, data={(1 << 20) - 9: KEY})),
    "a web page": ("raw", b"<!DOCTYPE html><html>not found</html>" * 100),
    "a blocked image": ("raw", b"a blocked image\n"),
    "another format than declared": ("raw", image_bytes("qcow2")),
    "a qcow2 that leads outside": ("qcow2", image_bytes("qcow2", backing="/etc/passwd")),
    "half a qcow2": ("qcow2", image_bytes("qcow2")[:70_000]),
    "a VHD without an end": ("vhd", bytes(100)),
}
EVERY = pytest.mark.parametrize("name", IMAGES)


@dataclass(frozen=True)
class Verdict:
    """What `douane check` says of an image."""

    outcome: str
    code: str | None
    properties: dict[str, str]
    size: int
    sha256: str
    is_transformed: bool

    @property
    def answer(self) -> tuple[int, str | None]:
        """Status and code of an upload."""
        return {"accepted": 204, "refused": 422, "undecided": 500}[self.outcome], self.code


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    folder = tmp_path_factory.mktemp("check")
    return {name: check(folder, form, data) for name, (form, data) in IMAGES.items()}


def check(folder: Path, form: str, data: bytes) -> Verdict:
    """Raises ValueError if there is no report."""
    file = folder / "image"
    file.write_bytes(data)
    words = ["check", "--json", "--config", str(CONFIG), "--disk-format", form, "--container-format", "bare"]
    words += [word for name, value in DECLARED.items() for word in ("--property", f"{name}={value}")]
    report = json.loads(run(*words, str(file)).stdout)
    properties = report["properties"] | {name: proposal["value"] for name, proposal in report["proposed"].items()}
    return Verdict(
        report["outcome"],
        report["code"],
        DECLARED | {name: property_text(value) for name, value in properties.items()},
        report["stored"]["size"],
        report["stored"].get("sha256", ""),
        report["outcome"] == "accepted" and report["stored"] != report["received"],
    )


def run(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [Environment("clients").program("douane"), *words]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, env=env)


@pytest.fixture(scope="module", params=["33", "31", "29"])
def site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    state = tmp_path_factory.mktemp("douane") / "state"
    serving = Serving("uwsgi", processes=1, threads=4)
    config = with_douane(state, {"config": str(CONFIG)}, version=request.param, serving=serving)
    return Site(start_glance(config), downloads)


def test_the_images_cover_every_outcome(verdicts: dict[str, Verdict]) -> None:
    """Without this, the tests below would compare nothing."""
    assert {verdict.outcome for verdict in verdicts.values()} == {"accepted", "refused", "undecided"}
    assert [name for name, verdict in verdicts.items() if verdict.is_transformed] == ["a disk to be changed"]
    codes = [verdict.code for verdict in verdicts.values() if verdict.code is not None]
    assert len(set(codes)) == len(codes) == 7
    assert verdicts["a disk with a GPT"].properties["hw_firmware_type"] == "uefi"


def create(site: Site, name: str) -> str:
    return site.create("image", disk_format=IMAGES[name][0], **DECLARED)


def assert_is_stored(site: Site, image: str, verdict: Verdict) -> None:
    record: dict[str, Any] = site.api.must("GET", f"/v2/images/{image}")
    assert (record["status"], record["size"]) == ("active", verdict.size)
    assert hashlib.sha256(site.glance.folders.data(image)).hexdigest() == verdict.sha256
    assert site.state(image).properties == verdict.properties


@EVERY
def test_an_upload_has_the_verdict_of_check(site: Site, verdicts: dict[str, Verdict], name: str) -> None:
    verdict, data = verdicts[name], IMAGES[name][1]
    image = create(site, name)
    reply = site.put(image, "file", data)
    if verdict.is_transformed:
        assert (reply.status, reply.headers.get("x-douane-code")) == (422, "needs-import")
    else:
        assert (reply.status, reply.headers.get("x-douane-code")) == verdict.answer
    if reply.status == 204:
        assert_is_stored(site, image, verdict)
        return
    assert is_as_new(site.state(image))
    reply = site.put(image, "stage", data)
    assert (reply.status, reply.headers.get("x-douane-code")) == verdict.answer
    if reply.status == 204:
        site.start_import(image)
        assert settled(site.api, image) == "active"
        assert_is_stored(site, image, verdict)
    else:
        assert is_as_new(site.state(image))


@EVERY
def test_a_download_has_the_verdict_of_check(site: Site, verdicts: dict[str, Verdict], name: str) -> None:
    verdict, data = verdicts[name], IMAGES[name][1]
    image = create(site, name)
    site.download(image, data)
    if settled(site.api, image) == "active":
        assert_is_stored(site, image, verdict)
        return
    state = site.state(image)
    assert is_as_new(state)
    assert (state.properties["douane_outcome"], state.properties["douane_code"]) == (verdict.outcome, verdict.code)


PLUGINS = [table["name"] for table in tomllib.loads(CONFIG.read_text())["plugin"]]
QUICK = ("forbidden-text", "no-web-page")


@pytest.mark.parametrize(
    "plugin", [name if name in QUICK else pytest.param(name, marks=pytest.mark.all_versions) for name in PLUGINS]
)
def test_the_plugins_pass_the_conformance_suite(plugin: str, tmp_path: Path) -> None:
    """The suite compares the engine's verdict with the plugin's own."""
    images = []
    for number, (_, data) in enumerate(IMAGES.values()):
        images += ["--image", str(tmp_path / str(number))]
        (tmp_path / str(number)).write_bytes(data)
    process = run("plugin", "test", "--config", str(CONFIG), "--name", plugin, "--json", *images)
    assert process.returncode == 0, process.stdout + process.stderr
    assert json.loads(process.stdout)["findings"] == []
