"""The import plugin in a real Glance: after each outcome, the tenant can go on with the image."""

from __future__ import annotations

import gzip
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_config import GlanceConfig
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.plans import INSPECT, inspect_plan
from support.glance.site import Site
from support.glance.state import State
from support.waiting import until

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
TRANSFORM = f"""
[[plugin]]
name = "unpack"
use = "decompress"
[[plugin]]
name = "convert"
use = "convert"
{INSPECT}
"""


@dataclass
class PlannedSite(Site):
    """A Glance with the plugin, and the file of its plan."""

    config: Path

    def plan(self, text: str) -> None:
        """Replace the plan."""
        new = self.config.with_suffix(".new")
        new.write_text(text)
        new.rename(self.config)

    def import_image(self, image: str, method: str, data: bytes = DATA, **options: object) -> None:
        """Stage and import, or have Glance download."""
        if method == "glance-direct":
            assert self.put(image, "stage", data).status == 204
        else:
            options["uri"] = self.downloads.add(image, data)
        self.start_import(image, **options)


def version(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.all_versions)  # test_insulation.py has each of them


@pytest.fixture(scope="module", params=["33", version("31"), version("29")])
def site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> PlannedSite:
    folder = tmp_path_factory.mktemp("douane")
    config = folder / "douane.toml"
    config.write_text(INSPECT)
    environment = {"DOUANE_CONFIG": str(config)}
    glance = start_glance(GlanceConfig(version=request.param, import_plugins=("douane",), environment=environment))
    return PlannedSite(glance, downloads, config)


@pytest.fixture(autouse=True)
def usual_plan(site: PlannedSite) -> None:
    site.plan(INSPECT)


METHODS = pytest.mark.parametrize("method", ["glance-direct", "web-download"])


def can_be_imported_again(state: State) -> bool:
    return (state.status, state.staged, state.stored, state.importing_to) == ("queued", (), (), "")


@METHODS
def test_an_accepted_image_is_active_with_its_properties(site: PlannedSite, method: str) -> None:
    image = site.create("good", mine="x")
    site.import_image(image, method)
    assert settled(site.api, image) == "active"
    state = site.state(image)
    assert site.glance.folders.data(image) == DATA
    assert (state.staged, state.failed_stores, state.tasks) == ((), "", ("success",))
    assert state.properties["acts.seen"] == str(len(DATA))
    assert state.properties["acts.declared"] == "mine"
    assert state.properties["acts.owner"]


@METHODS
@pytest.mark.parametrize(
    ("name", "outcome", "code"),
    [
        ("refuse", "refused", "evil"),
        ("defer", "deferred", "deferred"),
        ("crash", "undecided", "plugin-died"),
        ("hang", "undecided", "plugin-stalled"),
    ],
)
def test_an_image_that_is_not_accepted_says_why_and_can_be_imported_again(
    site: PlannedSite, method: str, name: str, outcome: str, code: str
) -> None:
    image = site.create(name, mine="x")
    site.import_image(image, method)
    assert settled(site.api, image) == "queued"
    state = site.state(image)
    assert can_be_imported_again(state), state
    assert (state.failed_stores, state.tasks) == ("fast", ("failure",))
    assert state.properties["douane_outcome"] == outcome
    assert state.properties["douane_code"] == code
    assert state.properties["mine"] == "x"
    (task,) = site.api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
    assert state.properties["douane_reason"] in task["message"]

    site.rename(image, "ok")
    site.import_image(image, method)
    assert settled(site.api, image) == "active"
    state = site.state(image)
    assert site.glance.folders.data(image) == DATA
    assert state.failed_stores == ""
    assert not any(name.startswith("douane_") for name in state.properties)


@METHODS
def test_a_transformed_image_is_stored_with_its_size_and_formats(
    site: PlannedSite, method: str, tmp_path: Path
) -> None:
    site.plan(TRANSFORM)
    (tmp_path / "raw").write_bytes(DATA[: 512 * 500])
    words = ["qemu-img", "convert", "-q", "-O", "qcow2", str(tmp_path / "raw"), str(tmp_path / "qcow2")]
    subprocess.run(words, check=True)
    image = site.create("good", disk_format="qcow2")
    packed = gzip.compress((tmp_path / "qcow2").read_bytes())
    site.import_image(image, method, packed, all_stores=True)
    assert settled(site.api, image) == "active"
    record = site.api.must("GET", f"/v2/images/{image}")
    assert (record["disk_format"], record["container_format"]) == ("raw", "bare")
    assert (record["size"], record["virtual_size"]) == (512 * 500, 512 * 500)
    for store in ("fast", "second"):
        assert site.glance.folders.data(image, store) == DATA[: 512 * 500]
    assert site.state(image).staged == ()


@METHODS
def test_an_image_that_cannot_be_stored_gets_its_old_metadata(site: PlannedSite, method: str) -> None:
    site.plan(TRANSFORM)
    image = site.create("good", disk_format="raw")
    obstacle = site.glance.folder / "stores" / "fast" / image
    obstacle.write_bytes(b"in the way")
    site.import_image(image, method, gzip.compress(DATA))
    assert settled(site.api, image) == "queued"
    obstacle.unlink()
    state = site.state(image)
    assert can_be_imported_again(state), state
    assert state.properties["douane_code"] == "not-stored"
    assert not any(name.startswith("acts.") for name in state.properties)
    site.import_image(image, method, gzip.compress(DATA))
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


@METHODS
def test_a_broken_plan_lets_no_image_in(site: PlannedSite, method: str) -> None:
    image = site.create("good")
    site.plan('[[plugin]]\nname = "x"\nuse = "no-such-plugin"\n')
    site.import_image(image, method)
    assert settled(site.api, image) == "queued"
    state = site.state(image)
    assert can_be_imported_again(state), state
    assert state.properties["douane_code"] == "wrong-configuration"
    assert "no-such-plugin" in site.glance.log
    site.plan(INSPECT)
    site.import_image(image, method)
    assert settled(site.api, image) == "active"


@pytest.mark.parametrize("replacement", ["nothing", "a link", "a part"])
def test_missing_or_incomplete_staged_data_is_not_imported(site: PlannedSite, replacement: str) -> None:
    image = site.create("good")
    assert site.put(image, "stage", DATA).status == 204
    path = site.glance.folder / "staging" / image
    if replacement == "a part":
        os.truncate(path, 1000)
    else:
        path.unlink()
    if replacement == "a link":
        path.symlink_to("/etc/passwd")
    site.start_import(image)
    assert settled(site.api, image) == "queued"
    assert can_be_imported_again(site.state(image)), site.state(image)
    site.import_image(image, "glance-direct")
    assert settled(site.api, image) == "active"


def test_an_edit_by_the_tenant_during_the_import_is_kept(site: PlannedSite) -> None:
    image = site.create("hang")
    site.import_image(image, "glance-direct")
    # An edit that Glance reads before that, and writes after it, takes the image's state back: it writes the whole row.
    until("the import has begun", lambda: site.state(image).status == "importing")
    site.change(image, {"op": "add", "path": "/edited", "value": "yes"})
    assert settled(site.api, image) == "queued"
    assert site.state(image).properties["edited"] == "yes"


def test_the_next_import_recovers_killed_imports(site: PlannedSite) -> None:
    site.plan(inspect_plan(stall="1h", timeout="1h"))
    killed = {"glance-direct": site.create("hang:direct"), "web-download": site.create("hang:web")}
    for method, image in killed.items():
        site.import_image(image, method)
    for name in ("hang:direct", "hang:web"):
        until("the plugin has all bytes", lambda name=name: f"has all of {name}." in site.glance.log)
    site.glance.kill()
    site.glance.restart()
    assert [site.state(image).status for image in killed.values()] == ["importing", "importing"]
    next_image = site.create("good")
    site.import_image(next_image, "glance-direct")
    assert settled(site.api, next_image) == "active"
    for method, image in killed.items():
        state = site.state(image)
        assert can_be_imported_again(state), state
        assert state.properties["douane_code"] == "interrupted"
        assert (state.failed_stores, state.tasks) == ("fast", ("failure",))
        site.rename(image, "ok")
        site.import_image(image, method)
        assert settled(site.api, image) == "active"
        assert site.glance.folders.data(image) == DATA
