"""Signed summaries and bills of materials of images in a real Glance, with the key in Glance or in `douane agent`."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.glance.agent_server import AgentServer
from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.plans import INSPECT, UNPACK
from support.glance.site import Site, is_as_new, with_douane
from support.glance.wsgi_servers import Serving
from support.planted_packages import STATUS, image_of, planted_tree

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
PACKAGES = """
[[plugin]]
name = "packages"
use = "packages"
mode = "warn"
on_incomplete = "warn"
"""
VERIFIER = "https://images.example.org/douane"


@dataclass
class SignedSite:
    """A Glance whose plan signs with the `key`."""

    site: Site
    folder: Path
    packs: bool
    """True if the plan unpacks, so that other bytes are stored than were sent."""

    @property
    def key(self) -> Path:
        return self.folder / "evidence.pem"

    def summary(self, image: str) -> Path:
        return self.folder / "summaries" / f"{image}.json"

    def packages(self, image: str) -> list[str]:
        """The names in the image's bill of materials."""
        bill = json.loads((self.folder / "summaries" / f"{image}.cdx.json").read_bytes())
        return [component["name"] for component in bill["components"]]

    def verify(self, image: str) -> int:
        """The exit code of `douane verify` for the bytes that Glance serves."""
        served = self.folder / "served"
        served.write_bytes(self.site.glance.folders.data(image))
        program = self.site.glance.environment.program("douane")
        words = [program, "verify", str(served), str(self.summary(image)), "--key", str(self.folder / "evidence.pub")]
        return subprocess.run([*words, "--verifier", VERIFIER], check=False, capture_output=True).returncode


@pytest.fixture(scope="module", params=["Glance", "agent"])
def signed_site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SignedSite]:
    folder = tmp_path_factory.mktemp("douane")
    key = folder / "evidence.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", folder / "evidence.pub"], check=True)
    key.chmod(0o600)
    (folder / "summaries").mkdir()
    by_agent = request.param == "agent"
    evidence = f'[evidence]\nkey = "evidence.pem"\nverifier = "{VERIFIER}"\n'
    (folder / "douane.toml").write_text(evidence + (UNPACK if by_agent else INSPECT) + PACKAGES)
    settings = {name: str(folder / "summaries") for name in ("summaries", "bills")}
    settings["config"] = str(folder / "douane.toml")
    with ExitStack() as stack:
        if by_agent:
            agent = AgentServer("31", folder / "douane.toml")
            stack.callback(agent.close)
            agent.start()
            settings["agent"] = agent.socket
        # Beside the agent, the Glance that could not run a sandbox itself: green threads in one process.
        how = {"version": "31", "serving": Serving("eventlet", processes=1)} if by_agent else {}
        glance = start_glance(with_douane(folder / "state", settings, **how))
        yield SignedSite(Site(glance, downloads), folder, by_agent)


def test_each_accepted_image_has_a_summary_that_is_about_its_bytes(signed_site: SignedSite) -> None:
    site = signed_site.site
    uploaded, staged, downloaded, refused = (site.create(name) for name in ("good", "good", "good", "refuse"))
    assert site.put(uploaded, "file", DATA).status == 204
    assert site.put(staged, "stage", DATA).status == 204
    assert not signed_site.summary(staged).exists()
    site.start_import(staged)
    site.download(downloaded, gzip.compress(DATA) if signed_site.packs else DATA)
    assert site.put(refused, "file", DATA).status == 422
    assert [settled(site.api, image) for image in (staged, downloaded)] == ["active", "active"]
    for image in (uploaded, staged, downloaded):
        assert signed_site.verify(image) == 0
    assert not signed_site.summary(refused).exists()
    signed_site.summary(uploaded).write_bytes(signed_site.summary(refused).with_suffix("").name.encode())
    assert signed_site.verify(uploaded) == 1


def test_each_accepted_image_has_a_bill_of_its_packages(signed_site: SignedSite, tmp_path: Path) -> None:
    disk = image_of(planted_tree(STATUS), tmp_path).read_bytes()
    site = signed_site.site
    uploaded, staged, downloaded = (site.create("good") for _ in range(3))
    assert site.put(uploaded, "file", disk).status == 204
    assert site.put(staged, "stage", disk).status == 204
    site.start_import(staged)
    site.download(downloaded, gzip.compress(disk) if signed_site.packs else disk)
    assert [settled(site.api, image) for image in (staged, downloaded)] == ["active", "active"]
    for image in (uploaded, staged, downloaded):
        assert sorted(signed_site.packages(image)) == ["debian", "gcc", "libssl3", "telnetd"]
        assert signed_site.verify(image) == 0


def test_no_image_gets_in_while_the_key_is_missing(signed_site: SignedSite) -> None:
    site = signed_site.site
    uploaded, downloaded = site.create("good"), site.create("good")
    hidden = signed_site.key.rename(signed_site.folder / "hidden")
    try:
        reply = site.put(uploaded, "file", DATA)
        assert (reply.status, reply.headers["x-douane-code"]) == (500, "wrong-configuration")
        site.download(downloaded, DATA)
        assert settled(site.api, downloaded) == "queued"
        assert site.state(downloaded).properties["douane_code"] == "wrong-configuration"
        assert is_as_new(site.state(uploaded))
        assert not signed_site.summary(uploaded).exists()
        assert not signed_site.summary(downloaded).exists()
    finally:
        hidden.rename(signed_site.key)
    assert site.put(uploaded, "file", DATA).status == 204
    assert signed_site.verify(uploaded) == 0
