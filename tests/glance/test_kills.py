"""Glance is killed with kill -9 in the middle of its work: the images go back to their tenants."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.images import settled, start_import
from support.glance.plans import inspect_plan
from support.glance.site import Site, with_douane
from support.glance.under_way import UnderWay, has_bytes, is_recovered
from support.glance.wsgi_servers import Serving
from support.waiting import until

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

PLUGINS = Path(__file__).parent / "plugins"
DATA = os.urandom(3_000_000)


@pytest.fixture(
    scope="module",
    params=["33", *(pytest.param(version, marks=pytest.mark.all_versions) for version in ("31", "29"))],
)
def site(
    request: pytest.FixtureRequest,
    start_glance: StartGlance,
    downloads: Downloads,
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    """Plugins may hang for long: the kill ends them. The import inspects again, whatever the filter has inspected."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(inspect_plan(stall="1h", timeout="1h"))
    settings = {"config": str(folder / "douane.toml"), "again": "true"}
    serving = Serving("uwsgi", processes=2, threads=4)
    config = with_douane(folder / "state", settings, version=request.param, serving=serving)
    config = replace(config, import_plugins=("late", "douane"), python_path=(PLUGINS,))
    return Site(start_glance(config), downloads)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """Closes the connections of the test."""
    with ExitStack() as stack:
        yield stack


def assert_gets_in(site: Site, image: str, action: str) -> None:
    """Assert that the same image gets in when it is sent again, and has no reason from before."""
    site.rename(image, "good")
    if action == "download":
        site.download(image, DATA)
    else:
        reply = site.put(image, action, DATA)
        assert reply.status == 204, reply.text
    if action == "stage":
        site.start_import(image)
    if action != "file":
        settled(site.api, image)
    state = site.state(image)
    assert (state.status, state.staged, state.stored) == ("active", (), (f"fast/{image}",))
    assert site.glance.folders.data(image) == DATA
    assert not any(name.startswith("douane_") for name in state.properties)


def test_the_work_of_a_killed_glance_can_be_repeated(site: Site, closing: ExitStack) -> None:
    under_way = UnderWay(site, closing, DATA)
    sent = {under_way.half_sent(action): action for action in ("stage", "file")}
    sent |= {under_way.all_sent(action): action for action in ("stage", "file")}
    imported = {under_way.importing(): "stage", under_way.half_downloaded(): "download"}
    imported[under_way.downloaded()] = "download"
    staged = site.create("good:only-staged")
    assert site.put(staged, "stage", DATA).status == 204

    site.glance.kill()
    closing.close()
    site.glance.restart()

    for image in sent:
        state = site.state(image)
        assert is_recovered(state), state
        assert (state.tasks, state.failed_stores) == ((), "")
    for image in imported:
        state = site.state(image)
        assert is_recovered(state), state
        assert (state.tasks, state.failed_stores) == (("failure",), "fast")
    assert site.state(staged).staged == (staged,)
    site.start_import(staged)
    assert settled(site.api, staged) == "active"
    for image, action in (sent | imported).items():
        assert_gets_in(site, image, action)
    assert len(list((site.glance.folder / "staging" / ".douane").iterdir())) <= 2, "each worker keeps its last entry"


def test_an_accepted_half_stored_image_is_deleted(site: Site) -> None:
    """The image is large, so that storing takes a while. The properties of the import are undone."""
    image = site.create("good:half-stored", mine="x")
    assert site.put(image, "stage", bytes(200_000_000)).status == 204
    stored = site.glance.folder / "stores" / "fast" / image
    site.start_import(image)
    until("a part of it is stored", lambda: has_bytes(stored), pause=0.002)
    site.glance.kill()
    assert stored.stat().st_size < 200_000_000, "it was stored before Glance could be killed"
    site.glance.restart()
    state = site.state(image)
    assert is_recovered(state), state
    assert (state.tasks, state.failed_stores) == (("failure",), "fast")
    assert not any(name.startswith("acts.") for name in state.properties), state
    assert state.properties["mine"] == "x"
    assert_gets_in(site, image, "stage")


def test_the_work_of_killed_workers_can_be_repeated(site: Site, closing: ExitStack) -> None:
    """The kernel kills workers if memory is short; the server starts others at once."""
    under_way = UnderWay(site, closing, DATA)
    images = {under_way.half_sent("stage"): "stage", under_way.half_sent("file"): "file"}
    images |= {under_way.importing(): "stage", under_way.downloaded(): "download"}
    for worker in workers_of(site.glance.process.pid):
        os.kill(worker, signal.SIGKILL)
    for image, action in images.items():
        until("the image is recovered", lambda image=image: is_recovered(site.state(image)))
        assert_gets_in(site, image, action)


@pytest.mark.parametrize("method", ["glance-direct", "web-download"])
def test_an_import_killed_before_the_plugin_is_called_can_be_repeated_at_once(site: Site, method: str) -> None:
    """Glance has answered 202, and has locked the image; a plugin before Douane's holds the import there."""
    image = site.create("good", do="wait")
    if method == "glance-direct":
        assert site.put(image, "stage", DATA).status == 204
        site.start_import(image)
    else:
        site.download(image, DATA)
    until("the import waits", lambda: f"of image {image} waits." in site.glance.log)
    site.glance.kill()
    site.glance.restart()
    state = site.state(image)
    assert (state.tasks, state.stored) == (("failure",), ())
    assert state.staged == ((image,) if method == "glance-direct" else ())
    site.change(image, {"op": "remove", "path": "/do"})
    if method == "glance-direct":
        assert start_import(site.api, image).status == 202
    else:
        site.download(image, DATA)
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


def workers_of(master: int) -> list[int]:
    """The child processes of `master` (proc(5))."""
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
