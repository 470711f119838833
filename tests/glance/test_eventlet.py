"""Glance under eventlet, its own server of before 32: green threads in one process, and `douane agent` inspects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.glance.agent_server import AgentServer
from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.half_upload import HalfUpload
from support.glance.images import settled
from support.glance.plans import inspect_plan
from support.glance.processes import DidNotStart
from support.glance.site import Site, is_as_new, with_douane
from support.glance.wsgi_servers import Serving

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(3_000_000)
EVENTLET = Serving("eventlet", processes=1)


@pytest.fixture(scope="module", params=["31", pytest.param("29", marks=pytest.mark.all_versions)])
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def site(
    version: str, start_glance: StartGlance, downloads: Downloads, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("douane")
    (folder / "douane.toml").write_text(inspect_plan(stall="1h", timeout="1h"))
    with ExitStack() as stack:
        agent = AgentServer(version, folder / "douane.toml", "--at-once", "4")
        stack.callback(agent.close)
        agent.start()
        config = with_douane(folder / "state", {"agent": agent.socket}, version=version, serving=EVENTLET)
        yield Site(start_glance(config), downloads)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("action", ["file", "stage"])
def test_an_upload_is_inspected(site: Site, action: str, chunked: bool) -> None:
    image = site.create("refuse")
    body = iter([DATA[:100_000], DATA[100_000:]]) if chunked else DATA
    reply = site.put(image, action, body, chunked=chunked)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
    assert is_as_new(site.state(image))
    site.rename(image, "good")
    assert site.put(image, action, DATA).status == 204
    if action == "stage":
        site.start_import(image)
        assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


@pytest.mark.parametrize(("name", "status"), [("good", "active"), ("refuse", "queued")])
def test_a_download_is_inspected(site: Site, name: str, status: str) -> None:
    image = site.create(name)
    site.download(image, DATA)
    assert settled(site.api, image) == status
    assert site.state(image).properties.get("douane_code") == (None if name == "good" else "evil")


def test_uploads_go_on_beside_an_upload_that_stands_still(site: Site) -> None:
    """One green thread that waited in a system call would stop all others."""
    slow = site.create("good")
    with HalfUpload(site.api, slow, "file", DATA, 1_000_000) as upload:
        images = [site.create("good") for _ in range(3)]
        with ThreadPoolExecutor() as pool:
            statuses = list(pool.map(lambda image: site.put(image, "file", DATA).status, images))
        assert statuses == [204] * 3
        assert upload.finish().status == 204
    assert site.glance.folders.data(slow) == DATA


def test_glance_does_not_start_with_the_engine_in_it(version: str, start_glance: StartGlance, tmp_path: Path) -> None:
    (tmp_path / "douane.toml").write_text(inspect_plan())
    config = with_douane(
        tmp_path / "state", {"config": str(tmp_path / "douane.toml")}, version=version, serving=EVENTLET
    )
    with pytest.raises(DidNotStart, match="this Glance runs under eventlet"):
        start_glance(config)
