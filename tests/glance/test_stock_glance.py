"""What Douane's integration relies on, in a Glance without Douane: if one of these fails, Glance has changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from harness.clients import run_client, sdk
from harness.downloads import Downloads
from harness.glance_config import GlanceConfig
from harness.glance_server import Glance, StartGlance
from harness.http import Api
from harness.images import POLLS, create, put, settled, start_import
from harness.keystone import Keystone
from harness.state import State, state_of
from harness.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

PLUGINS = Path(__file__).parent / "plugins"
DATA = os.urandom(300_000)
JSON_PATCH = "application/openstack-images-v2.1-json-patch"


@pytest.fixture(scope="module")
def glance(start_glance: StartGlance) -> Glance:
    return start_glance(GlanceConfig(import_plugins=("as_told",), python_path=(PLUGINS,)))


@pytest.fixture
def api(glance: Glance) -> Api:
    return glance.api()


def state(api: Api, glance: Glance, image: str) -> State:
    return state_of(api, glance.folders, image)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upload_makes_an_active_image(glance: Glance, api: Api, chunked: bool) -> None:
    image = create(api)
    pieces = iter([DATA[:100_000], DATA[100_000:]]) if chunked else DATA
    assert put(api, image, "file", pieces, chunked=chunked).status == 204
    assert state(api, glance, image).status == "active"
    assert glance.folders.data(image) == DATA


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_what_is_staged_is_imported_into_the_stores_that_are_asked_for(glance: Glance, api: Api, chunked: bool) -> None:
    image = create(api)
    pieces = iter([DATA[:100_000], DATA[100_000:]]) if chunked else DATA
    assert put(api, image, "stage", pieces, chunked=chunked).status == 204
    assert state(api, glance, image).staged == (image,)
    assert start_import(api, image, all_stores=True).status == 202
    assert settled(api, image) == "active"
    after = state(api, glance, image)
    assert (after.staged, after.stored) == ((), (f"fast/{image}", f"second/{image}"))
    assert glance.folders.data(image, "second") == DATA


def test_web_download_fetches_from_where_it_may(glance: Glance, api: Api, downloads: Downloads) -> None:
    image = create(api)
    assert start_import(api, image, "web-download", uri=downloads.add("image", DATA)).status == 202
    assert settled(api, image) == "active"
    assert glance.folders.data(image) == DATA


def test_staged_data_cannot_be_replaced(glance: Glance, api: Api) -> None:
    """Hence a refusal has to come before Glance has the last byte."""
    image = create(api)
    put(api, image, "stage", DATA)
    assert put(api, image, "stage", DATA).status == 409


def test_a_plugin_that_only_raises_leaves_a_staged_image_stuck(glance: Glance, api: Api) -> None:
    image = create(api, do="raise")
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "importing"
    after = state(api, glance, image)
    assert (after.tasks, after.staged, after.importing_to) == (("failure",), (image,), "fast")
    assert (put(api, image, "stage", DATA).status, start_import(api, image).status) == (409, 409)


def test_a_plugin_that_only_raises_leaves_a_downloaded_image_usable(
    glance: Glance, api: Api, downloads: Downloads
) -> None:
    image = create(api, do="raise")
    url = downloads.add("refused", DATA)
    start_import(api, image, "web-download", uri=url)
    assert settled(api, image) == "queued"
    after = state(api, glance, image)
    assert (after.staged, after.stored, after.failed_stores) == ((), (), "fast")
    assert after.properties["told"] == "raise"
    assert start_import(api, image, "web-download", uri=url).status == 202
    settled(api, image)


def test_a_plugin_that_cleans_up_before_it_raises_leaves_a_staged_image_usable(glance: Glance, api: Api) -> None:
    image = create(api, do="refuse-and-clean")
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "queued"
    after = state(api, glance, image)
    assert (after.staged, after.stored, after.failed_stores) == ((), (), "fast")
    assert after.properties["told"] == "refuse-and-clean"
    change(api, image, "do", "accept")
    assert put(api, image, "stage", DATA).status == 204
    assert start_import(api, image).status == 202
    for _ in range(POLLS):
        if state(api, glance, image).tasks == ("failure", "success"):
            break
        time.sleep(0.2)
    assert state(api, glance, image).status == "active"


def test_a_plugin_that_cleans_up_a_download_leaves_it_locked(glance: Glance, api: Api, downloads: Downloads) -> None:
    """Glance's own clean-up stumbles over it: `queued` to `queued` is no legal change."""
    image = create(api, do="refuse-and-clean")
    url = downloads.add("cleaned", DATA)
    start_import(api, image, "web-download", uri=url)
    assert settled(api, image) == "queued"
    again = start_import(api, image, "web-download", uri=url)
    assert (again.status, "active task" in again.text) == (409, True)


def test_a_plugin_that_returns_none_makes_an_active_image_without_data(glance: Glance, api: Api) -> None:
    image = create(api, do="nothing")
    put(api, image, "stage", DATA)
    start_import(api, image)
    settled(api, image)
    after = state(api, glance, image)
    assert (after.status, after.stored) == ("active", ())


@pytest.mark.all_versions
@pytest.mark.parametrize("server", ["uwsgi", "gunicorn"])
@pytest.mark.parametrize("version", ["33", "31", "29"])
def test_each_version_imports_what_a_plugin_accepts(start_glance: StartGlance, version: str, server: str) -> None:
    serving = Serving(server, processes=2, threads=2)
    config = GlanceConfig(version, import_plugins=("as_told",), python_path=(PLUGINS,), serving=serving)
    glance = start_glance(config)
    api = glance.api()
    image = create(api)
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "active"
    after = state(api, glance, image)
    assert (after.properties["told"], after.staged, after.stored) == ("accept", (), (f"fast/{image}",))


def test_a_plugin_that_cannot_be_imported_lets_the_image_through(start_glance: StartGlance) -> None:
    glance = start_glance(GlanceConfig(import_plugins=("not_there",), python_path=(PLUGINS,)))
    api = glance.api()
    image = create(api)
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "active"
    assert glance.folders.data(image) == DATA


def test_an_import_that_was_killed_stays_importing(glance: Glance, api: Api) -> None:
    image = create(api, do="wait")
    put(api, image, "stage", DATA)
    start_import(api, image)
    for _ in range(POLLS):
        if state(api, glance, image).properties.get("told") == "wait":
            break
        time.sleep(0.2)
    glance.kill()
    glance.restart()
    after = state(api, glance, image)
    assert (after.status, after.tasks, after.staged) == ("importing", ("processing",), (image,))
    assert (put(api, image, "stage", DATA).status, start_import(api, image).status) == (409, 409)
    assert api.request("DELETE", f"/v2/images/{image}").status == 204
    assert glance.folders.staged(image) == []


def test_the_clients_that_people_have(glance: Glance, keystone: Keystone, tmp_path: Path) -> None:
    keystone.publish(glance.port)
    tenant = keystone.tenant("tenant")
    file = tmp_path / "image"
    file.write_bytes(DATA)
    made = run_client(
        tenant, "openstack", *("image", "create", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", str(file), "-f", "json", "from-a-file"),
    )  # fmt: skip
    assert made.status == 0, made.err
    assert glance.folders.data(json.loads(made.out)["id"]) == DATA
    made = run_client(
        tenant, "glance", *("image-create-via-import", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", str(file), "--name", "imported"),
    )  # fmt: skip
    assert made.status == 0, made.err
    names = {image.name for image in sdk(tenant, glance.port).image.images()}
    assert {"from-a-file", "imported"} <= names


def change(api: Api, image: str, name: str, value: str) -> None:
    """Replace a property of the image."""
    what = json.dumps([{"op": "replace", "path": f"/{name}", "value": value}]).encode()
    assert api.request("PATCH", f"/v2/images/{image}", what, headers={"Content-Type": JSON_PATCH}).status == 200
