"""A Glance whose images `douane agent` inspects, while the agent or Glance is killed, stopped or restarted."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.glance.agent_server import AgentServer
from support.glance.downloads import Downloads
from support.glance.glance_server import StartGlance
from support.glance.half_upload import HalfUpload
from support.glance.images import settled
from support.glance.plans import inspect_plan
from support.glance.proofs import verified
from support.glance.site import Site, is_as_new, with_douane
from support.glance.under_way import has_bytes
from support.glance.wsgi_servers import Serving
from support.waiting import until

pytestmark = [pytest.mark.glance, pytest.mark.timeout(600)]

DATA = os.urandom(3_000_000)
PACKED = gzip.compress(DATA, 1)


def plan(never: str = "") -> str:
    unpack = '[[plugin]]\nname = "unpack"\nuse = "decompress"\n'
    return unpack + inspect_plan(stall="1h", timeout="1h", never=never)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("douane")


@pytest.fixture(scope="module")
def agent(folder: Path) -> Iterator[AgentServer]:
    """One image at a time: an inspection that does not end would block all others."""
    (folder / "douane.toml").write_text(plan())
    with ExitStack() as stack:
        server = AgentServer("33", folder / "douane.toml", "--at-once", "1")
        stack.callback(server.close)
        server.start()
        yield server


@pytest.fixture(scope="module")
def site(start_glance: StartGlance, downloads: Downloads, agent: AgentServer, folder: Path) -> Site:
    serving = Serving("uwsgi", processes=2, threads=4)
    (folder / "key").write_bytes(os.urandom(32))
    (folder / "key").chmod(0o600)
    settings = {"agent": agent.socket, "key": str(folder / "key")}
    return Site(start_glance(with_douane(folder / "state", settings, serving=serving)), downloads)


def restart_with(agent: AgentServer, folder: Path, never: str = "") -> None:
    agent.process.stop()
    (folder / "douane.toml").write_text(plan(never))
    agent.start()


def assert_gets_in(site: Site, image: str, action: str) -> None:
    site.rename(image, "good")
    reply = site.put(image, action, DATA)
    assert reply.status == 204, reply.text
    if action == "stage":
        site.start_import(image)
        assert settled(site.api, image) == "active"
    assert site.state(image).status == "active"
    assert site.glance.folders.data(image) == DATA


def test_images_that_the_agent_accepted_are_proven(site: Site) -> None:
    """The agent takes no digest: of a staged image, and of what a transform made of it, the import plugin does."""
    uploaded, staged, unpacked = (site.create("good") for _ in range(3))
    assert site.put(uploaded, "file", DATA).status == 204
    for image, data in ((staged, DATA), (unpacked, PACKED)):
        assert site.put(image, "stage", data).status == 204
        site.start_import(image)
        assert settled(site.api, image) == "active"
        assert site.glance.folders.data(image) == DATA
    images = (uploaded, staged, unpacked)
    assert verified(site.glance, *images) == dict.fromkeys(images, "proven")


@pytest.mark.parametrize("action", ["stage", "file"])
def test_the_agent_inspects_uploads(site: Site, action: str) -> None:
    image = site.create("refuse")
    reply = site.put(image, action, DATA)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
    assert is_as_new(site.state(image))
    assert_gets_in(site, image, action)
    assert site.state(image).properties["acts.seen"] == str(len(DATA))


def test_the_agent_transforms_imports(site: Site) -> None:
    image = site.create("good")
    reply = site.put(image, "file", PACKED)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "needs-import")
    site.download(image, PACKED)
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


@pytest.mark.parametrize("action", ["stage", "file"])
def test_an_agent_killed_during_an_upload_lets_no_image_in(site: Site, agent: AgentServer, action: str) -> None:
    image = site.create("good")
    part = site.glance.folder / ("staging" if action == "stage" else "stores/fast") / image
    with HalfUpload(site.api, image, action, DATA, len(DATA) // 2) as upload:
        until("a part of the image is on disk", lambda: has_bytes(part))
        agent.process.kill()
        reply = upload.finish()
    assert (reply.status, reply.headers["x-douane-code"]) == (500, "agent-unavailable"), reply.text
    assert is_as_new(site.state(image)), site.state(image)
    reply = site.put(image, action, DATA)
    assert (reply.status, reply.headers["x-douane-code"]) == (500, "agent-unavailable"), "while the agent is away"
    assert is_as_new(site.state(image)), site.state(image)
    agent.start()
    assert_gets_in(site, image, action)


@pytest.mark.parametrize("method", ["stage", "download"])
def test_an_agent_killed_during_an_import_loses_no_import(
    site: Site, agent: AgentServer, folder: Path, method: str
) -> None:
    name = f"good:killed-{method}"
    image = site.create(name)
    if method == "stage":
        assert site.put(image, "stage", PACKED).status == 204
    restart_with(agent, folder, never=name)
    earlier_count = agent.log.count(f"has all of {name}.")
    if method == "stage":
        site.start_import(image)
    else:
        site.download(image, PACKED)
    until("the plugin has all bytes", lambda: agent.log.count(f"has all of {name}.") > earlier_count)
    agent.process.kill()
    restart_with(agent, folder)
    assert settled(site.api, image) == "active"
    state = site.state(image)
    assert (state.tasks, state.staged, state.failed_stores) == (("success",), (), "")
    assert site.glance.folders.data(image) == DATA


def test_an_import_waits_for_an_agent_that_is_away(site: Site, agent: AgentServer) -> None:
    image = site.create("good")
    agent.process.kill()
    site.download(image, PACKED)
    until("the image is downloaded", lambda: site.glance.folders.staged(image) == [image])
    agent.start()
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


def test_a_stopped_agent_ends_its_current_inspections(site: Site, agent: AgentServer) -> None:
    image = site.create("good:while-stopping")
    with HalfUpload(site.api, image, "file", DATA, len(DATA) // 2) as upload:
        until("the inspection has begun", lambda: "begins with good:while-stopping." in agent.log)
        os.kill(agent.process.pid, signal.SIGTERM)
        until("the agent accepts no more clients", lambda: not Path(agent.socket).exists())
        assert upload.finish().status == 204
    agent.process.stop()
    agent.start()
    assert site.state(image).status == "active"
    assert site.glance.folders.data(image) == DATA


def test_a_killed_glance_frees_the_agent(site: Site, agent: AgentServer) -> None:
    image = site.create("hang:glance-killed")
    with HalfUpload(site.api, image, "file", DATA, len(DATA)):
        until("the plugin has all bytes", lambda: "has all of hang:glance-killed." in agent.log)
        site.glance.kill()
    site.glance.restart()
    state = site.state(image)
    assert is_as_new(state), state
    assert_gets_in(site, image, "file")


def test_uploads_that_stand_still_hold_up_nobody(site: Site) -> None:
    """The agent inspects one image at a time, and two tenants send a few bytes and no more."""
    with ExitStack() as stack:
        uploads = [stack.enter_context(HalfUpload(site.api, site.create("good"), "file", DATA, 50)) for _ in range(2)]
        assert_gets_in(site, site.create("good"), "file")
        assert [upload.finish().status for upload in uploads] == [204, 204]
