"""Processes that live and do nothing: the supervisor kills them, and the service goes on."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from support.judged import OCTETS, upload_in_background, write_config
from support.processes import stop
from support.serve import Serve, serving
from support.waiting import until

DOOR = "douane.api.process.door"
IMAGE = bytes(range(256)) * 8192

STOPS_ITSELF = """
import os, signal, sys

place = os.environ["STOP_IN_A_TRANSACTION"]
if "douane.imports.worker" in sys.orig_argv:
    from douane.catalog import states

    changed_task = states.changed_task

    def and_stop(*arguments, **more):
        task = changed_task(*arguments, **more)
        try:
            os.rename(place, place + ".stopped")
        except FileNotFoundError:
            return task
        os.kill(os.getpid(), signal.SIGSTOP)
        return task

    states.changed_task = and_stop
"""


def put(serve: Serve, image_id: str) -> int:
    path = f"/v2/images/{image_id}/file"
    return serve.client.put(path, content=IMAGE, headers=OCTETS, timeout=240).status_code


def test_a_worker_that_is_stopped_in_the_middle_of_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(STOPS_ITSELF)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    place = tmp_path / "stop"
    monkeypatch.setenv("STOP_IN_A_TRANSACTION", str(place))
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        place.touch()
        thread, statuses = upload_in_background(serve, image_id, IMAGE)
        until("the worker has stopped itself", (tmp_path / "stop.stopped").exists)
        other = serve.create()  # it waits for the lock of the worker
        thread.join()
        assert statuses == [204]  # it had not begun: another worker ran the upload
        assert serve.image(image_id)["status"] == "active"
        assert put(serve, other) == 204
        assert "gave no sign of life" in serve.log.read_text()


def test_a_door_that_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        door = serve.process_of(DOOR)
        stop(door.pid)
        serve.client.close()
        with serve.connect() as connection:
            connection.settimeout(240)
            connection.sendall(f"GET /v2/images/{image_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b"200 OK" in connection.recv(1 << 16)
        assert not psutil.pid_exists(door.pid)
