"""`douane rescan --glance` with a real Glance and a real Keystone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from douane.advisories.building import build
from douane.plugins.packages.clock import today
from douane.rescan import glance_place
from douane.rescan.glance_place import open_glance
from support.gates import Gate
from support.glance.glance_config import GlanceConfig
from support.glance.glance_server import Glance, StartGlance
from support.glance.http import Api
from support.glance.images import create, put
from support.glance.keystone import Keystone
from support.planted_packages import ADVISORIES, STATUS, WHEEL, image_of, osv_zip, planted_tree
from support.program import PLUGINS, Completed, Program

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

PATCH = "application/openstack-images-v2.1-json-patch"


@pytest.fixture(scope="module")
def glance(start_glance: StartGlance) -> Glance:
    return start_glance(GlanceConfig())


class RescannedGlance:
    """A stock Glance, and the command with its plan: a list of words that no image may have."""

    def __init__(self, glance: Glance, keystone: Keystone, place: Path) -> None:
        self.glance = glance
        self.keystone = keystone
        self.douane = Program(place)
        self.words = place / "words"
        self.words.write_bytes(b"nothing\n")
        self.plan = place / "words.toml"
        self.plan.write_text(
            f'[[plugin]]\nname = "words"\nuse = "{PLUGINS}/words.py:Words"\ngrants = {{ words = "file:words" }}\n'
        )

    def upload(self, name: str, data: bytes, user: str = "tenant", **fields: object) -> str:
        api = self.glance.api(user)
        image = create(api, name=name, **fields)
        assert put(api, image, "file", data).status == 204
        return image

    def status(self, image: str) -> str:
        return str(self.glance.api("admin").must("GET", f"/v2/images/{image}")["status"])

    def environment(self, user: str) -> dict[str, str]:
        plain = {name: value for name, value in self.douane.env.items() if not name.startswith("OS_")}
        return plain | self.keystone.tenant(user).credentials

    def run(self, *options: object, user: str = "admin") -> Completed:
        place = ("--glance", f"http://127.0.0.1:{self.glance.port}")
        return self.douane.run("rescan", *place, "-c", self.plan, *options, env=self.environment(user))

    def rescan(self, *options: object, code: int, user: str = "admin") -> dict[str, Any]:
        completed = self.run("--json", *options, user=user)
        assert completed.code == code, completed.stderr
        return completed.json


@pytest.fixture
def site(glance: Glance, keystone: Keystone, tmp_path: Path) -> Iterator[RescannedGlance]:
    yield RescannedGlance(glance, keystone, tmp_path)
    remove_all(glance.api("admin"))


def remove_all(admin: Api) -> None:
    for hidden in ("false", "true"):
        for image in admin.must("GET", f"/v2/images?visibility=all&os_hidden={hidden}")["images"]:
            admin.must("DELETE", f"/v2/images/{image['id']}")


def test_what_is_refused_now_is_listed_and_deactivated_if_asked_and_nothing_is_read_twice(
    site: RescannedGlance,
) -> None:
    good = site.upload("good", b"apple pear\n" * 1000)
    bad = site.upload("bad", b"plum\n", user="other", visibility="community")
    hidden = site.upload("hidden", b"cherry\n", os_hidden=True)
    queued = create(site.glance.api(), name="queued")
    result = site.rescan(code=0)
    assert (result["images"], result["read"], result["accepted"]) == (3, 3, 3)
    result = site.rescan(code=0)
    assert (result["unchanged"], result["bytes_read"]) == (3, 0)
    change = [{"op": "add", "path": "/os_distro", "value": "debian"}]
    site.glance.api().json("PATCH", f"/v2/images/{hidden}", change, content_type=PATCH)
    result = site.rescan(code=0)
    assert (result["unchanged"], result["read"]) == (2, 1), "what is declared of it is another"
    site.words.write_bytes(b"plum\n")
    result = site.rescan(code=1)
    assert [(row["image"], row["code"], row["deactivated"]) for row in result["rows"]] == [(bad, "word", False)]
    assert (result["read"], site.status(bad)) == (3, "active")
    result = site.rescan("--deactivate", code=1)
    assert (result["read"], result["deactivated"], result["not_deactivated"]) == (0, 1, 0)
    assert [site.status(image) for image in (good, bad, hidden)] == ["active", "deactivated", "active"]
    assert site.rescan(code=0)["images"] == 2
    assert "is queued: there are no bytes to judge" in site.run(queued).stderr
    site.words.write_bytes(b"nothing\n")
    assert site.rescan(bad, code=0)["accepted"] == 1, "one that is named is judged, though it is deactivated"


def test_new_advisories_refuse_an_image_without_a_second_download(site: RescannedGlance) -> None:
    place = site.douane.place

    def know(advisories: list[dict[str, Any]]) -> None:
        build([str(osv_zip(place / "osv.zip", advisories))], str(place / "cve.sqlite"), today())

    know(ADVISORIES[1:])
    site.plan.write_text('[[plugin]]\nname = "packages"\nuse = "packages"\ngrants = { cve = "file:cve.sqlite" }\n')
    for name, status in {"old": STATUS, "new": STATUS.replace("3.0.1-1", "3.0.9-1")}.items():
        (place / name).mkdir()
        site.upload(name, image_of(planted_tree(status, **WHEEL), place / name).read_bytes())
    result = site.rescan("--jobs", 2, code=0)
    assert (result["read"], result["accepted"]) == (2, 2)
    know(ADVISORIES)
    result = site.rescan(code=1)
    assert (result["from_documents"], result["bytes_read"]) == (2, 0)
    assert [(row["name"], row["code"]) for row in result["rows"]] == [("old", "packages-vulnerable")]


def test_a_token_that_may_not_deactivate_or_download_has_its_reason_in_the_result(site: RescannedGlance) -> None:
    site.words.write_bytes(b"plum\n")
    public = site.upload("public", b"plum\n", user="admin", visibility="public")
    result = site.run("--deactivate", user="tenant")
    assert result.code == 1
    assert f"the image {public} is not deactivated" in result.stderr
    assert "You are not authorized to complete deactivate action.; the token may not" in result.stderr
    assert "1 not deactivated" in result.stderr
    assert "without admin" in result.stderr, "it does not see all images"
    assert site.status(public) == "active"
    own = site.upload("own", b"plum\n", user="tenant")
    result = site.rescan("--deactivate", code=1, user="tenant")
    assert {row["image"]: row["deactivated"] for row in result["rows"]} == {public: False, own: True}
    site.words.write_bytes(b"pear\n")
    [row] = site.rescan(own, code=3, user="tenant")["rows"]
    assert (row["code"], row["message"].partition("; ")[2]) == ("not-downloaded", "the token may not download it")
    undone = site.glance.api().request("POST", f"/v2/images/{own}/actions/reactivate", b"")
    assert undone.status == 204, "as the page about it says: Glance's policy lets members of the project do that"


def test_a_killed_rescan_goes_on_where_it_was_and_runs_at_low_priority(site: RescannedGlance) -> None:
    for number in range(3):
        site.upload(f"image {number}", os.urandom(100_000))
    gate = Gate(site.douane.place)
    env = site.environment("admin")
    command = ("rescan", "--json", "--glance", "env", "--trust-services", "-c", gate.config)
    try:
        process = site.douane.start(*command, env=env)
        pass_start(gate)
        gate.wait()
        running = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert {each.nice() for each in running} == {10 + os.getpriority(os.PRIO_PROCESS, 0)}
        gate.open()
        gate.wait()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = site.douane.start(*command, env=env)
        pass_start(gate)
        for _ in range(2):
            gate.wait()
            gate.open()
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert b'"unchanged": 1' in out
        assert b'"read": 2' in out
    finally:
        gate.close()


def pass_start(gate: Gate) -> None:
    """Each plugin is started once without an image, to know what it is."""
    with pytest.raises(AssertionError, match="before it came to the gate"):
        gate.wait()


def test_images_are_listed_page_by_page_also_when_the_last_of_a_page_is_deleted(
    site: RescannedGlance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Glance refuses an image that was deleted as a marker, unless the token is an administrator's."""
    ids = sorted(site.upload(f"image {number}", b"apple\n") for number in range(5))
    short = [path.replace("limit=100", "limit=2") for path in glance_place._FIRST_PAGES]
    monkeypatch.setattr(glance_place, "_FIRST_PAGES", short)
    listed = []
    url = f"http://127.0.0.1:{site.glance.port}"
    with open_glance(url, [], [], site.environment("tenant"), print) as place:
        for page in place.pages():
            listed += [entry.image for entry in page]
            if len(listed) == 2:
                site.glance.api("admin").must("DELETE", f"/v2/images/{ids[1]}")
                assert [place.has(entry) for entry in page] == [True, False]
    assert listed == ids
