"""A Glance whose database is MariaDB: its tables are utf8mb3, and take no character beyond U+FFFF."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.images import settled
from support.glance.keystone import Keystone
from support.glance.mariadb import MariaDb
from support.glance.site import Site, is_as_new, with_douane

from .conftest import glances

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(300_000)
PLUGIN = """
from douane_plugin import Inspector, Reject

class Emoji(Inspector):
    def inspect(self, image):
        size = sum(len(chunk) for chunk in image)
        if image.name == "refuse":
            raise Reject("evil", "there is evil \\U0001f608 in it: r\\u00e9parez-le")
        return {"mood": "\\U0001f600 tr\\u00e8s bien"}
"""


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    server = MariaDb()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def start(
    mariadb: MariaDb, keystone: Keystone, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartGlance]:
    with glances(mariadb, keystone, downloads, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def site(start: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("douane")
    (folder / "emoji.py").write_text(PLUGIN)
    (folder / "douane.toml").write_text('[[plugin]]\nname = "emoji"\nuse = "emoji.py:Emoji"\n')
    return Site(start(with_douane(folder / "state", {"config": str(folder / "douane.toml")})), downloads)


@pytest.mark.parametrize("method", ["download", "stage"])
def test_a_task_ends_whatever_characters_its_reason_has(site: Site, method: str) -> None:
    image = site.create("refuse")
    if method == "download":
        site.download(image, DATA)
    else:
        site.rename(image, "good")
        assert site.put(image, "stage", DATA).status == 204
        site.rename(image, "refuse")
        (site.glance.folder / "staging" / image).write_bytes(DATA[::-1])  # it is inspected again
        site.start_import(image)
    assert settled(site.api, image) == "queued"
    state = site.state(image)
    assert is_as_new(state), state
    (task,) = site.api.must("GET", f"/v2/images/{image}/tasks")["tasks"]
    reason = "The image is refused: there is evil ? in it: r\u00e9parez-le"
    assert (task["status"], task["message"]) == ("failure", f"{reason} (evil)")
    assert state.properties["douane_reason"] == reason


@pytest.mark.parametrize("action", ["file", "stage"])
def test_properties_are_set_whatever_characters_they_have(site: Site, action: str) -> None:
    image = site.create("good")
    assert site.put(image, action, DATA).status == 204
    if action == "stage":
        site.start_import(image)
        assert settled(site.api, image) == "active"
    assert site.state(image).properties["emoji.mood"] == "? tr\u00e8s bien"
