"""A real Glance that does not store all properties: they decide over no image."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.plans import INSPECT
from support.glance.site import Site, with_douane

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
DENY = """
[^acts[.]]
create = !
read = @
update = !
delete = !
[.*]
create = @
read = @
update = @
delete = @
"""
DOORS = ["file", "glance-direct", "web-download"]


def bring_in(site: Site, image: str, door: str) -> None:
    """Upload or import the bytes, and wait for the end."""
    if door == "web-download":
        site.download(image, DATA)
    else:
        assert site.put(image, "file" if door == "file" else "stage", DATA).status == 204
    if door == "glance-direct":
        site.start_import(image)
    if door != "file":
        settled(site.api, image)


@pytest.fixture(scope="module", params=["quota", "protection"])
def narrow_site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """A Glance that stores three properties of an image, or none of the plugin `acts`, which sets three."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(INSPECT)
    (folder / "protection.conf").write_text(DENY)
    options = {
        "quota": {"image_property_quota": "3"},
        "protection": {"property_protection_file": str(folder / "protection.conf")},
    }
    config = with_douane(folder / "state", {"config": str(folder / "douane.toml")})
    return Site(start_glance(replace(config, options={"DEFAULT": options[request.param]})), downloads)


@pytest.mark.parametrize("door", DOORS)
def test_an_image_gets_in_though_the_properties_of_its_plugins_are_not_stored(narrow_site: Site, door: str) -> None:
    image = narrow_site.create("good", mine="x", other="y")
    bring_in(narrow_site, image, door)
    state = narrow_site.state(image)
    assert (state.status, state.staged) == ("active", ())
    assert narrow_site.glance.folders.data(image) == DATA
    assert state.properties == {"mine": "x", "other": "y"}
    assert f"image {image}: properties cannot be set" in narrow_site.glance.log or (
        f"the properties of image '{image}' cannot be set" in narrow_site.glance.log
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_refused_image_is_queued_though_the_reason_is_not_stored(narrow_site: Site, door: str) -> None:
    image = narrow_site.create("refuse", mine="x", other="y")
    if door == "web-download":
        narrow_site.download(image, DATA)
        assert settled(narrow_site.api, image) == "queued"
        (task,) = narrow_site.api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
        assert "there is evil in the image" in task["message"]
    else:
        assert narrow_site.put(image, "file" if door == "file" else "stage", DATA).status == 422
    state = narrow_site.state(image)
    assert (state.status, state.staged, state.stored) == ("queued", (), ())
    assert {"mine": "x", "other": "y"}.items() <= state.properties.items()
