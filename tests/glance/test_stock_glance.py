"""Facts about stock Glance on which Douane relies: if one of these tests fails, Glance has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.glance.clients import run_client, sdk
from support.glance.downloads import Downloads
from support.glance.glance_config import GlanceConfig
from support.glance.glance_server import Glance, StartGlance
from support.glance.http import Api
from support.glance.images import create, put, settled, start_import
from support.glance.keystone import Keystone
from support.glance.state import State, state_of
from support.glance.wsgi_servers import Serving
from support.waiting import until

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
def test_a_staged_image_is_imported_into_the_requested_stores(glance: Glance, api: Api, chunked: bool) -> None:
    image = create(api)
    pieces = iter([DATA[:100_000], DATA[100_000:]]) if chunked else DATA
    assert put(api, image, "stage", pieces, chunked=chunked).status == 204
    assert state(api, glance, image).staged == (image,)
    assert start_import(api, image, all_stores=True).status == 202
    assert settled(api, image) == "active"
    end_state = state(api, glance, image)
    assert (end_state.staged, end_state.stored) == ((), (f"fast/{image}", f"second/{image}"))
    assert glance.folders.data(image, "second") == DATA


def test_web_download_fetches_from_allowed_hosts_only(glance: Glance, api: Api, downloads: Downloads) -> None:
    image = create(api)
    assert start_import(api, image, "web-download", uri=downloads.add("image", DATA)).status == 202
    assert settled(api, image) == "active"
    assert glance.folders.data(image) == DATA


def test_staged_data_cannot_be_replaced(glance: Glance, api: Api) -> None:
    """So a refusal must come before Glance has the last byte."""
    image = create(api)
    put(api, image, "stage", DATA)
    assert put(api, image, "stage", DATA).status == 409


def test_a_plugin_that_only_raises_leaves_a_staged_image_stuck(glance: Glance, api: Api) -> None:
    image = create(api, do="raise")
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "importing"
    end_state = state(api, glance, image)
    assert (end_state.tasks, end_state.staged, end_state.importing_to) == (("failure",), (image,), "fast")
    assert (put(api, image, "stage", DATA).status, start_import(api, image).status) == (409, 409)


def test_a_plugin_that_only_raises_leaves_a_downloaded_image_usable(
    glance: Glance, api: Api, downloads: Downloads
) -> None:
    image = create(api, do="raise")
    url = downloads.add("refused", DATA)
    start_import(api, image, "web-download", uri=url)
    assert settled(api, image) == "queued"
    end_state = state(api, glance, image)
    assert (end_state.staged, end_state.stored, end_state.failed_stores) == ((), (), "fast")
    assert end_state.properties["acted"] == "raise"
    assert start_import(api, image, "web-download", uri=url).status == 202
    settled(api, image)


def test_a_plugin_that_cleans_up_before_it_raises_leaves_a_staged_image_usable(glance: Glance, api: Api) -> None:
    image = create(api, do="refuse-and-clean")
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "queued"
    end_state = state(api, glance, image)
    assert (end_state.staged, end_state.stored, end_state.failed_stores) == ((), (), "fast")
    assert end_state.properties["acted"] == "refuse-and-clean"
    change(api, image, "do", "accept")
    assert put(api, image, "stage", DATA).status == 204
    assert start_import(api, image).status == 202
    until("the second import ends", lambda: state(api, glance, image).tasks == ("failure", "success"))
    assert state(api, glance, image).status == "active"


def test_a_plugin_that_cleans_up_a_download_leaves_it_locked(glance: Glance, api: Api, downloads: Downloads) -> None:
    """Glance's own cleanup then fails: `queued` to `queued` is no valid transition."""
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
    end_state = state(api, glance, image)
    assert (end_state.status, end_state.stored) == ("active", ())


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
    end_state = state(api, glance, image)
    assert (end_state.properties["acted"], end_state.staged, end_state.stored) == ("accept", (), (f"fast/{image}",))


def test_a_plugin_that_cannot_be_imported_lets_the_image_through(start_glance: StartGlance) -> None:
    glance = start_glance(GlanceConfig(import_plugins=("missing",), python_path=(PLUGINS,)))
    api = glance.api()
    image = create(api)
    put(api, image, "stage", DATA)
    start_import(api, image)
    assert settled(api, image) == "active"
    assert glance.folders.data(image) == DATA


def test_a_killed_import_stays_importing(glance: Glance, api: Api) -> None:
    image = create(api, do="wait")
    put(api, image, "stage", DATA)
    start_import(api, image)
    until("the plugin waits", lambda: state(api, glance, image).properties.get("acted") == "wait")
    glance.kill()
    glance.restart()
    end_state = state(api, glance, image)
    assert (end_state.status, end_state.tasks, end_state.staged) == ("importing", ("processing",), (image,))
    assert (put(api, image, "stage", DATA).status, start_import(api, image).status) == (409, 409)
    assert api.request("DELETE", f"/v2/images/{image}").status == 204
    assert glance.folders.staged(image) == []


def test_common_clients_work(glance: Glance, keystone: Keystone, tmp_path: Path) -> None:
    keystone.publish(glance.port)
    tenant = keystone.tenant("tenant")
    file = tmp_path / "image"
    file.write_bytes(DATA)
    output = run_client(
        tenant, "openstack", *("image", "create", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", str(file), "-f", "json", "from-a-file"),
    )  # fmt: skip
    assert output.status == 0, output.err
    assert glance.folders.data(json.loads(output.out)["id"]) == DATA
    output = run_client(
        tenant, "glance", *("image-create-via-import", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", str(file), "--name", "imported"),
    )  # fmt: skip
    assert output.status == 0, output.err
    names = {image.name for image in sdk(tenant, glance.port).image.images()}
    assert {"from-a-file", "imported"} <= names


def change(api: Api, image: str, name: str, value: str) -> None:
    """Replace a property of the image."""
    patch = json.dumps([{"op": "replace", "path": f"/{name}", "value": value}]).encode()
    assert api.request("PATCH", f"/v2/images/{image}", patch, headers={"Content-Type": JSON_PATCH}).status == 200
