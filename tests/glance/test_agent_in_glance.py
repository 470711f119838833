"""A Glance whose images `douane agent` inspects: it is killed, stopped, started again, and Glance is."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.agent_server import AgentServer
from harness.downloads import Downloads
from harness.glance_server import StartGlance
from harness.half_upload import HalfUpload
from harness.images import settled
from harness.plans import inspect_plan
from harness.site import Site, is_as_new, with_douane
from harness.waiting import until
from harness.wsgi_servers import Serving

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
    """One image at a time: what it does not let go of, it does not come back from."""
    (folder / "douane.toml").write_text(plan())
    with ExitStack() as stack:
        server = AgentServer("33", folder / "douane.toml", "--at-once", "1")
        stack.callback(server.close)
        server.start()
        yield server


@pytest.fixture(scope="module")
def site(start_glance: StartGlance, downloads: Downloads, agent: AgentServer, folder: Path) -> Site:
    serving = Serving("uwsgi", processes=2, threads=4)
    return Site(start_glance(with_douane(folder / "state", {"agent": agent.socket}, serving=serving)), downloads)


def restart_with(agent: AgentServer, folder: Path, never: str = "") -> None:
    agent.process.stop()
    (folder / "douane.toml").write_text(plan(never))
    agent.start()


def comes_in(site: Site, image: str, door: str) -> None:
    site.rename(image, "good")
    reply = site.put(image, door, DATA)
    assert reply.status == 204, reply.text
    if door == "stage":
        site.start_import(image)
        assert settled(site.api, image) == "active"
    assert site.state(image).status == "active"
    assert site.glance.folders.data(image) == DATA


@pytest.mark.parametrize("door", ["stage", "file"])
def test_the_agent_inspects_what_is_sent(site: Site, door: str) -> None:
    image = site.create("refuse")
    reply = site.put(image, door, DATA)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "evil")
    assert is_as_new(site.state(image))
    comes_in(site, image, door)
    assert site.state(image).properties["acts.seen"] == str(len(DATA))


def test_the_agent_changes_what_is_imported(site: Site) -> None:
    image = site.create("good")
    reply = site.put(image, "file", PACKED)
    assert (reply.status, reply.headers["x-douane-code"]) == (422, "needs-import")
    site.download(image, PACKED)
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


@pytest.mark.parametrize("door", ["stage", "file"])
def test_an_agent_that_is_killed_in_the_middle_of_an_upload_lets_nothing_in(
    site: Site, agent: AgentServer, door: str
) -> None:
    image = site.create("good")
    part = site.glance.folder / ("staging" if door == "stage" else "stores/fast") / image
    with HalfUpload(site.api, image, door, DATA, len(DATA) // 2) as upload:
        until("a part of it is there", lambda: part.exists() and part.stat().st_size > 0)
        agent.process.kill()
        reply = upload.finish()
    assert (reply.status, reply.headers["x-douane-code"]) == (503, "agent-unavailable"), reply.text
    assert is_as_new(site.state(image)), site.state(image)
    reply = site.put(image, door, DATA)
    assert (reply.status, reply.headers["x-douane-code"]) == (503, "agent-unavailable"), "while it is away"
    assert is_as_new(site.state(image)), site.state(image)
    agent.start()
    comes_in(site, image, door)


@pytest.mark.parametrize("way", ["stage", "download"])
def test_an_agent_that_is_killed_in_the_middle_of_an_import_loses_none(
    site: Site, agent: AgentServer, folder: Path, way: str
) -> None:
    name = f"good:killed-{way}"
    image = site.create(name)
    if way == "stage":
        assert site.put(image, "stage", PACKED).status == 204
    restart_with(agent, folder, never=name)
    before = agent.log.count(f"has all of {name}.")
    if way == "stage":
        site.start_import(image)
    else:
        site.download(image, PACKED)
    until("the plugin has all of it", lambda: agent.log.count(f"has all of {name}.") > before)
    agent.process.kill()
    restart_with(agent, folder)
    assert settled(site.api, image) == "active"
    state = site.state(image)
    assert (state.tasks, state.staged, state.failed_stores) == (("success",), (), "")
    assert site.glance.folders.data(image) == DATA


def test_an_import_that_begins_while_the_agent_is_away_waits_for_it(site: Site, agent: AgentServer) -> None:
    image = site.create("good")
    agent.process.kill()
    site.download(image, PACKED)
    until("it is downloaded", lambda: site.glance.folders.staged(image) == [image])
    agent.start()
    assert settled(site.api, image) == "active"
    assert site.glance.folders.data(image) == DATA


def test_an_agent_that_is_stopped_ends_what_it_has_begun(site: Site, agent: AgentServer) -> None:
    image = site.create("good:while-stopping")
    with HalfUpload(site.api, image, "file", DATA, len(DATA) // 2) as upload:
        until("it is under way", lambda: "begins with good:while-stopping." in agent.log)
        os.kill(agent.process.pid, signal.SIGTERM)
        until("it takes no others", lambda: not Path(agent.socket).exists())
        assert upload.finish().status == 204
    agent.process.stop()
    agent.start()
    assert site.state(image).status == "active"
    assert site.glance.folders.data(image) == DATA


def test_a_glance_that_is_killed_leaves_the_agent_free(site: Site, agent: AgentServer) -> None:
    image = site.create("hang:glance-killed")
    with HalfUpload(site.api, image, "file", DATA, len(DATA)):
        until("the plugin has all of it", lambda: "has all of hang:glance-killed." in agent.log)
        site.glance.kill()
    site.glance.restart()
    state = site.state(image)
    assert is_as_new(state), state
    comes_in(site, image, "file")
