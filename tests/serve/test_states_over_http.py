"""Random calls of the Image API and random kills: no state without a way out, and no active image without its bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from support.serve import Serve
from support.sizes import ALL
from support.workers import PLUGIN

pytestmark = pytest.mark.timeout(1800)

DATA = os.urandom(200_000)
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OCTETS = {"Content-Type": "application/octet-stream"}
DOORS = st.sampled_from(("file", "stage"))
STATES = {"queued", "uploading", "importing", "active", "deactivated"}
POLLS = 600
"""Of a fifth of a second each: many leases long. An image that has not settled by then is stuck."""

EXAMPLES = 60 if ALL else 3


class Service:
    """A service that can be killed and started again with the same home."""

    def __init__(self, folder: Path) -> None:
        self._home = folder / "home"
        self._config = folder / "douane.toml"
        stores = "".join(
            f'[serve.stores.{name}]\nurl = "file:{folder / name}"\ndefault = {default}\n'
            for name, default in (("a", "true"), ("b", "false"), ("c", "false"))
        )
        (folder / "judge.py").write_text(PLUGIN)
        plugins = '[[plugin]]\nname = "format"\nuse = "format"\n'
        twice = f'[[plugin]]\nname = "twice"\nuse = "{folder}/judge.py:Twice"\nstores = ["c"]\n'
        self._config.write_text(f"{plugins}{twice}{stores}\n")
        self._folder = folder
        self.serve = Serve(self._home, self._config)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """The answer; None if the service was killed before it answered."""
        try:
            return httpx.request(method, self.serve.url + path, timeout=120, **options)
        except httpx.TransportError:
            return None

    def stored(self, store: str, image: str) -> bytes:
        """What a store has of an image."""
        return (self._folder / store / "images" / image).read_bytes()

    def kill_all(self) -> None:
        """kill -9 of every process; then start it again."""
        processes = [psutil.Process(self.serve.process.pid), *self.serve.processes()]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.serve.process.wait()
        psutil.wait_procs(processes, timeout=60)
        self.serve = Serve(self._home, self._config)

    def stop(self) -> None:
        self.serve.stop(signal.SIGTERM)


class Calls(RuleBasedStateMachine):
    """One service for all examples; each example has images of its own."""

    service: ClassVar[Service]
    images = Bundle("images")

    @initialize()
    def begin(self) -> None:
        self.created: set[str] = set()
        self.deleted: set[str] = set()

    @rule(target=images)
    def create(self) -> str:
        response = self._call(
            "POST", "/v2/images", json={"name": "x", "disk_format": "raw", "container_format": "bare"}
        )
        if response is None or response.status_code != 201:
            return ""
        self.created.add(response.json()["id"])
        return str(response.json()["id"])

    @rule(image=images, door=DOORS)
    def upload(self, image: str, door: str) -> None:
        response = self._call("PUT", f"/v2/images/{image}/{door}", content=DATA, headers=OCTETS)
        if response is not None and response.status_code == 204 and door == "file":
            assert self._status(image) in ("active", "deactivated")

    @rule(image=images, door=DOORS, count=st.integers(0, len(DATA) - 1))
    def cut_an_upload(self, image: str, door: str, count: int) -> None:
        head = (
            f"PUT /v2/images/{image}/{door} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(DATA)}\r\n\r\n"
        )
        try:
            with self.service.serve.connect() as connection:
                connection.sendall(head.encode() + DATA[:count])
        except OSError:
            pass  # it answered first, or the door was killed

    @rule(image=images, everywhere=st.booleans())
    def start_import(self, image: str, everywhere: bool) -> None:
        request = {"method": {"name": "glance-direct"}, **({"all_stores": True} if everywhere else {})}
        self._call("POST", f"/v2/images/{image}/import", json=request)

    @rule(image=images, store=st.sampled_from(("a", "b", "c")))
    def copy(self, image: str, store: str) -> None:
        self._call("POST", f"/v2/images/{image}/import", json={"method": {"name": "copy-image"}, "stores": [store]})

    @rule(image=images, name=st.sampled_from(("y", "z")))
    def rename(self, image: str, name: str) -> None:
        change = json.dumps([{"op": "replace", "path": "/name", "value": name}])
        response = self._call("PATCH", f"/v2/images/{image}", content=change, headers=PATCH)
        if response is not None and response.status_code == 200:
            current = self._call("GET", f"/v2/images/{image}")
            assert current is None or current.json()["name"] == name

    @rule(image=images, action=st.sampled_from(("deactivate", "reactivate", "cancel_import")))
    def act(self, image: str, action: str) -> None:
        self._call("POST", f"/v2/images/{image}/actions/{action}")

    @rule(image=images)
    def delete(self, image: str) -> None:
        self.deleted.add(image)  # also without an answer: it may have been killed after it had done so
        response = self._call("DELETE", f"/v2/images/{image}")
        if response is not None and response.status_code not in (204, 404):
            self.deleted.discard(image)

    @rule()
    def kill_the_workers(self) -> None:
        self.service.serve.kill("douane.imports.worker")

    @rule()
    def kill_the_door(self) -> None:
        self.service.serve.kill("douane.api.process.door")

    @rule()
    def kill_everything(self) -> None:
        self.service.kill_all()

    @rule(image=images)
    def read(self, image: str) -> None:
        self._check_bytes(image)

    def teardown(self) -> None:
        """Whatever has happened, each image is usable: it is active, or takes bytes, or its import can be completed."""
        for image in self.created - self.deleted:
            status = self._settled(image)
            if status == "uploading":
                request = {"method": {"name": "glance-direct"}}
                assert self._must("POST", f"/v2/images/{image}/import", json=request).status_code == 202
                status = self._settled(image)
                assert status == "active", status
            if status == "queued":
                response = self._must("PUT", f"/v2/images/{image}/file", content=DATA, headers=OCTETS)
                assert response.status_code == 204, response.text
            self._check_bytes(image)
            self._check_copies(image)
            assert self._must("DELETE", f"/v2/images/{image}").status_code == 204

    def _settled(self, image: str) -> str:
        for _ in range(POLLS):
            document = self._must("GET", f"/v2/images/{image}").json()
            status = str(document["status"])
            staged = status == "uploading" and document["size"] is not None
            if (status in ("queued", "active", "deactivated") or staged) and "os_glance_import_task" not in document:
                return status
            if staged:
                return status
            time.sleep(0.2)
        raise AssertionError(f"the image stays {status}: {document}")

    def _check_bytes(self, image: str) -> None:
        status = self._status(image)
        response = self._call("GET", f"/v2/images/{image}/file")
        if status == "active" and response is not None and response.status_code == 200:
            assert response.content == DATA

    def _check_copies(self, image: str) -> None:
        """Each store has the bytes that the catalog says; that of the transform has the image twice."""
        document = self._must("GET", f"/v2/images/{image}").json()
        variants = json.loads(document.get("douane_variants", "{}"))
        for store in document["stores"].split(","):
            assert self.service.stored(store, image) == DATA * (2 if store == "c" else 1)
            assert (store in variants) == (store == "c")

    def _status(self, image: str) -> str:
        response = self._call("GET", f"/v2/images/{image}")
        if response is None or response.status_code == 503:
            return "unknown"
        if response.status_code != 200:
            assert not image or image in self.deleted, response.text
            return "deleted"
        document = response.json()
        status = str(document["status"])
        assert status in STATES
        assert status not in ("active", "deactivated") or document["size"] == len(DATA), document
        return status

    def _must(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer, from a door that lives."""
        for _ in range(POLLS):
            response = self._call(method, path, **options)
            if response is not None and response.status_code != 503:
                return response
            time.sleep(0.2)
        raise AssertionError(f"{method} {path} is not answered")

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        response = self.service.request(method, path, **options)
        allowed = {500, 503} if method == "PUT" else {503}  # 500: the worker of the upload was killed
        assert response is None or response.status_code < 500 or response.status_code in allowed, response.text
        return response


def test_every_image_has_a_way_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    service = Service(tmp_path_factory.mktemp("states"))
    Calls.service = service
    try:
        run_state_machine_as_test(
            Calls,
            settings=settings(
                max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
    finally:
        service.stop()
