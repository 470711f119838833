"""Workers download images, and stop when nobody wants them any more."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from douane.catalog import Image, ImportRequest, Task
from support.waiting import until
from support.web_server import Request, Script, WebServer, image
from support.workers import MakeSite, Site, send

IMAGE = os.urandom(3 << 20)
BAD = b"bad" + bytes(1 << 20)


def start(make_site: MakeSite, server: WebServer) -> tuple[Site, Image, Task]:
    """A worker, and the task of a download that waits for it."""
    site = make_site(serve=f'[serve.web_download]\nallow = ["127.0.0.1"]\nports = [{server.port}]\nattempts = 2\n')
    site.start("worker-1")
    target = site.new_image()
    task = site.catalog.begin_queued(
        target.id,
        method="web-download",
        plan=None,
        request=ImportRequest(stores=("a",)),
        source={"url": f"http://127.0.0.1:{server.port}/image"},
    )
    return site, target, task


def ended(site: Site, task: Task) -> Task:
    until("the task has ended", lambda: site.catalog.task(task.id).outcome is not None)
    return site.catalog.task(task.id)


def test_a_download_goes_through_the_plan_into_the_store(make_site: MakeSite) -> None:
    with WebServer(image(IMAGE)) as server:
        site, target, task = start(make_site, server)
        assert ended(site, task).outcome == "accepted"
    assert site.bytes_in("a", target) == IMAGE
    assert site.catalog.image(target.id).properties["judge.bytes"] == str(len(IMAGE))


def test_a_download_is_refused_or_fails_with_its_reason(make_site: MakeSite) -> None:
    with WebServer(image(BAD)) as server:
        site, target, task = start(make_site, server)
        assert (ended(site, task).outcome, ended(site, task).code) == ("refused", "bad")
    assert site.status(target) == "queued"
    again = site.catalog.begin_queued(
        target.id,
        method="web-download",
        plan=None,
        request=ImportRequest(stores=("a",)),
        source={"url": f"http://127.0.0.1:{server.port}/image"},
    )
    assert (ended(site, again).outcome, ended(site, again).code) == ("undecided", "not-downloaded")
    assert "127.0.0.1" in (ended(site, again).message or "")
    site.nothing_staged()


def _silent(after: bytes) -> tuple[Script, threading.Event]:
    """A server that sends `after` and then nothing, until its client is gone."""
    reached = threading.Event()

    def script(_request: Request, connection: socket.socket) -> None:
        connection.sendall(after)
        reached.set()
        while connection.recv(1 << 16):
            pass

    return script, reached


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nthe beginning"], ids=len)
def test_a_cancelled_download_does_not_wait_for_its_server(make_site: MakeSite, after: bytes) -> None:
    script, reached = _silent(after)
    with WebServer(script) as server:
        site, target, task = start(make_site, server)
        assert reached.wait(60)
        site.catalog.cancel(task.id, message="stop it")
        assert site.status(target) == "queued"
        other = site.new_image()
        assert send(site, site.begin(other, "upload"), IMAGE).outcome == "accepted"  # the worker is free again
        site.nothing_staged()
