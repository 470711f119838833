"""A real Glance that would not, or does not, run the import plugin: no image gets in unnoticed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_config import STORES
from support.glance.glance_server import StartGlance
from support.glance.images import settled, start_import
from support.glance.pipeline import PasteFilter
from support.glance.plans import INSPECT
from support.glance.site import Site, with_douane
from support.waiting import until

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
PLUGINS = Path(__file__).parent / "plugins"


def filter_settings(folder: Path, **settings: str) -> dict[str, str]:
    (folder / "douane.toml").write_text(INSPECT)
    return {"config": str(folder / "douane.toml"), **settings}


@pytest.fixture(scope="module")
def without_plugin(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The filter is in the pipeline, and Glance's list of import plugins has a typing error."""
    folder = tmp_path_factory.mktemp("douane")
    config = with_douane(folder / "state", filter_settings(folder))
    return Site(start_glance(replace(config, import_plugins=("duoane",))), downloads)


def test_an_import_is_refused_and_the_log_says_why(without_plugin: Site) -> None:
    site = without_plugin
    image = site.create("good")
    assert site.put(image, "stage", DATA).status == 204
    reply = start_import(site.api, image)
    assert (reply.status, reply.headers["x-douane-code"]) == (503, "import-not-guarded")
    assert "Imports are closed here until the operator" in reply.text
    state = site.state(image)
    assert (state.status, state.staged) == ("uploading", (image,))
    assert "image_import_plugins names duoane, and not douane: write" in site.glance.log
    assert "`image_import_plugins = [douane,duoane]` below [image_import_opts]" in site.glance.log


def test_a_download_is_refused(without_plugin: Site) -> None:
    site = without_plugin
    image = site.create("good")
    reply = start_import(site.api, image, "web-download", uri=site.downloads.add(image, DATA))
    assert (reply.status, reply.headers["x-douane-code"]) == (503, "import-not-guarded")
    assert site.state(image).status == "queued"


def test_a_checked_image_can_be_copied_to_another_store(without_plugin: Site) -> None:
    site = without_plugin
    image = site.create("good")
    assert site.put(image, "file", DATA).status == 204
    admin = site.glance.api("admin")  # who owns the task, too
    assert start_import(admin, image, "copy-image", stores=[STORES[1]]).status == 202
    assert settled(admin, image) == "active"
    assert set(site.api.must("GET", f"/v2/images/{image}")["stores"].split(",")) == set(STORES)
    assert "douane_outcome" not in site.state(image).properties


@pytest.fixture(scope="module")
def forgetting(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The configuration is correct, but Glance runs no plugin."""
    folder = tmp_path_factory.mktemp("douane")
    config = with_douane(folder / "state", filter_settings(folder))
    forgets = PasteFilter("forgets", "glance_forgets:filter_factory")
    return Site(start_glance(replace(config, filters=(*config.filters, forgets), python_path=(PLUGINS,))), downloads)


def test_an_image_imported_without_the_plugin_is_flagged(forgetting: Site) -> None:
    """The first import only: then the guard of this Glance knows."""
    site = forgetting
    image = site.create("refuse")
    site.download(image, DATA)
    assert settled(site.api, image) == "active"
    until("the image is flagged", lambda: "douane_outcome" in site.state(image).properties)
    properties = site.state(image).properties
    assert (properties["douane_outcome"], properties["douane_code"]) == ("unchecked", "import-not-checked")
    assert "imported without being checked" in properties["douane_reason"]
    assert "was IMPORTED WITHOUT BEING CHECKED" in site.glance.log
    assert start_import(site.api, site.create("refuse"), "web-download", uri="http://127.0.0.1/").status == 503


@pytest.fixture(scope="module")
def unguarded(start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site that has, and wants, only the filter."""
    folder = tmp_path_factory.mktemp("douane")
    config = with_douane(folder / "state", filter_settings(folder, imports="unguarded"))
    return Site(start_glance(replace(config, import_plugins=())), downloads)


def test_a_site_with_the_filter_alone_imports_staged_images(unguarded: Site) -> None:
    site = unguarded
    image = site.create("good")
    assert site.put(image, "stage", DATA).status == 204
    site.start_import(image)
    assert settled(site.api, image) == "active"
