"""`douane rescan` beside a `douane serve` whose catalog is in a real PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from douane.advisories.building import build
from douane.plugins.packages.clock import today
from support.catalog_servers import DatabaseServer, create, end_connections, running
from support.gates import Gate
from support.judged import OCTETS
from support.planted_packages import ADVISORIES, STATUS, WHEEL, image_of, osv_zip, planted_tree
from support.program import Program
from support.serve import Serve, serving

pytestmark = pytest.mark.libraries

PLAN = '[[plugin]]\nname = "packages"\nuse = "packages"\ngrants = { cve = "file:cve.sqlite" }\n'
STATUSES = {"old": STATUS, "new": STATUS.replace("3.0.1-1", "3.0.9-1")}


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with running("postgresql") as started:
        yield started


class ServedSite:
    """A running service with two images that were let in before anybody knew of CVE-2024-1."""

    def __init__(self, place: Path, url: str, stack: ExitStack) -> None:
        self.url = url
        self.douane = Program(place)
        self.table = (
            f'[serve]\ndatabase = "{url}"\nworkers = 1\n[serve.stores.a]\nurl = "file:{place}/a"\ndefault = true\n'
        )
        self.config = place / "douane.toml"
        self.config.write_text(self.table + PLAN)
        self.know(ADVISORIES[1:])
        self.service: Serve = stack.enter_context(serving(self.douane.home, self.config))
        self.images = {name: self._upload(name, status) for name, status in STATUSES.items()}

    def _upload(self, name: str, status: str) -> str:
        (self.douane.place / name).mkdir()
        data = image_of(planted_tree(status, **WHEEL), self.douane.place / name).read_bytes()
        image_id = self.service.create(name=name, os_distro="debian")
        assert self.service.client.put(f"/v2/images/{image_id}/file", content=data, headers=OCTETS).status_code == 204
        return image_id

    def know(self, advisories: list[dict[str, object]]) -> None:
        place = self.douane.place
        build([str(osv_zip(place / "osv.zip", advisories))], str(place / "cve.sqlite"), today())

    def rescan(self, *options: object, code: int) -> dict[str, Any]:
        completed = self.douane.run("rescan", "--json", "-c", self.config, *options)
        assert completed.code == code, completed.stderr
        return completed.json

    def status(self) -> dict[str, str]:
        return {name: self.service.image(image_id)["status"] for name, image_id in self.images.items()}


@pytest.fixture
def site(server: DatabaseServer, tmp_path: Path) -> Iterator[ServedSite]:
    with ExitStack() as stack:
        yield ServedSite(tmp_path, create(server, f"rescan-{tmp_path.name}"[:60]), stack)


def test_new_advisories_refuse_an_image_without_reading_it_and_deactivate_it_if_asked(site: ServedSite) -> None:
    result = site.rescan(code=0)
    assert (result["images"], result["unchanged"], result["bytes_read"]) == (2, 2, 0), "the import has judged them"
    site.know(ADVISORIES)
    (site.douane.place / "a").rename(site.douane.place / "away")
    result = site.rescan(code=1)
    assert (result["from_documents"], result["read"], result["accepted"], result["refused"]) == (2, 0, 1, 1)
    assert [(row["image"], row["code"]) for row in result["rows"]] == [(site.images["old"], "packages-vulnerable")]
    assert site.status() == {"old": "active", "new": "active"}
    result = site.rescan("--deactivate", code=1)
    assert (result["unchanged"], result["deactivated"]) == (2, 1)
    assert site.status() == {"old": "deactivated", "new": "active"}


def test_a_killed_rescan_goes_on_where_it_was_also_when_its_connections_ended(site: ServedSite) -> None:
    gate = Gate(site.douane.place)
    gate.config.write_text(site.table + PLAN + gate.config.read_text().partition("\n\n")[0])
    try:
        process = site.douane.start("rescan", "--json", "-c", gate.config)
        with pytest.raises(AssertionError, match="before it came to the gate"):
            gate.wait()  # each plugin is started once without an image, to know what it is
        gate.wait()
        gate.open()
        gate.wait()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = site.douane.start("rescan", "--json", "--trust-services", "--deactivate", "-c", gate.config)
        with pytest.raises(AssertionError, match="before it came to the gate"):
            gate.wait()
        gate.wait()
        assert end_connections(site.url) > 0
        gate.open()
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert b'"unchanged": 1' in out
        assert b'"read": 1' in out
    finally:
        gate.close()
