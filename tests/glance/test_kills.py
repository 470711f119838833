"""Glance is killed with kill -9 in the middle of everything: what it was doing goes back to its tenants."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.downloads import Downloads
from harness.glance_server import StartGlance
from harness.images import settled
from harness.plans import inspect_plan
from harness.site import Site, with_douane
from harness.under_way import UnderWay, has_bytes, is_given_back
from harness.waiting import until
from harness.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

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
    """Plugins may hang for long here: what ends them is the kill. And the import inspects, whatever the filter has."""
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(inspect_plan(stall="1h", timeout="1h"))
    where = {"config": str(folder / "douane.toml"), "again": "true"}
    serving = Serving("uwsgi", processes=2, threads=4)
    config = with_douane(folder / "state", where, version=request.param, serving=serving)
    return Site(start_glance(config), downloads)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What the test leaves open."""
    with ExitStack() as stack:
        yield stack


def comes_in(site: Site, image: str, door: str) -> None:
    """Assert that the same image, sent again, is let in, and that nothing is told of before any more."""
    site.rename(image, "good")
    if door == "download":
        site.download(image, DATA)
    else:
        reply = site.put(image, door, DATA)
        assert reply.status == 204, reply.text
    if door == "stage":
        site.start_import(image)
    if door != "file":
        settled(site.api, image)
    state = site.state(image)
    assert (state.status, state.staged, state.stored) == ("active", (), (f"fast/{image}",))
    assert site.glance.folders.data(image) == DATA
    assert not any(name.startswith("douane_") for name in state.properties)


def test_what_a_killed_glance_was_doing_can_be_done_again(site: Site, closing: ExitStack) -> None:
    under_way = UnderWay(site, closing, DATA)
    sent = {under_way.half_sent(door): door for door in ("stage", "file")}
    sent |= {under_way.all_sent(door): door for door in ("stage", "file")}
    imported = {under_way.importing(): "stage", under_way.half_downloaded(): "download"}
    imported[under_way.downloaded()] = "download"
    staged = site.create("good:only-staged")
    assert site.put(staged, "stage", DATA).status == 204

    site.glance.kill()
    closing.close()
    site.glance.restart()

    for image in sent:
        state = site.state(image)
        assert is_given_back(state), state
        assert (state.tasks, state.failed_stores) == ((), "")
    for image in imported:
        state = site.state(image)
        assert is_given_back(state), state
        assert (state.tasks, state.failed_stores) == (("failure",), "fast")
    assert site.state(staged).staged == (staged,)
    site.start_import(staged)
    assert settled(site.api, staged) == "active"
    for image, door in (sent | imported).items():
        comes_in(site, image, door)
    assert len(list((site.glance.folder / "staging" / ".douane").iterdir())) <= 2, "each worker has its last"


def test_what_was_accepted_and_half_stored_is_gone(site: Site) -> None:
    """Large, so that to store it takes a while; what the import has set on the image by then is taken back."""
    image = site.create("good:half-stored", mine="x")
    assert site.put(image, "stage", bytes(200_000_000)).status == 204
    stored = site.glance.folder / "stores" / "fast" / image
    site.start_import(image)
    until("a part of it is stored", lambda: has_bytes(stored), pause=0.002)
    site.glance.kill()
    assert stored.stat().st_size < 200_000_000, "it was stored before it could be killed"
    site.glance.restart()
    state = site.state(image)
    assert is_given_back(state), state
    assert (state.tasks, state.failed_stores) == (("failure",), "fast")
    assert not any(name.startswith("acts.") for name in state.properties), state
    assert state.properties["mine"] == "x"
    comes_in(site, image, "stage")


def test_the_same_where_only_the_workers_are_killed(site: Site, closing: ExitStack) -> None:
    """As the kernel does where memory is short; the server starts others at once."""
    under_way = UnderWay(site, closing, DATA)
    images = {under_way.half_sent("stage"): "stage", under_way.half_sent("file"): "file"}
    images |= {under_way.importing(): "stage", under_way.downloaded(): "download"}
    for worker in workers_of(site.glance.process.pid):
        os.kill(worker, signal.SIGKILL)
    for image, door in images.items():
        until("it is given back", lambda image=image: is_given_back(site.state(image)))
        comes_in(site, image, door)


def workers_of(master: int) -> list[int]:
    """The processes that this one has started (proc(5))."""
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
