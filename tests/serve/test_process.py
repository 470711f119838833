"""The process `douane serve`: how it starts, how it ends, and what happens when parts of it die."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from douane.api.process.children import RESTARTS
from support.judged import upload_in_background
from support.processes import SECONDS, become_subreaper
from support.serve import Serve, serving
from support.waiting import until

DOOR = "douane.api.process.door"
WORKER = "douane.imports.worker"


def answers(serve: Serve) -> bool:
    try:
        return serve.client.get("/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


def refusal(*words: str) -> tuple[int, str]:
    """The exit code and the messages of a service that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "douane", "serve", *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_answers_and_ends_without_leaving_a_process(tmp_path: Path, number: signal.Signals) -> None:
    serve = Serve(tmp_path / "home")
    assert serve.client.get("/healthcheck").json() == {"status": "ok"}
    assert serve.client.get("/v2/images").json()["images"] == []
    assert serve.stop(number) == 0
    log = serve.log.read_text()
    assert "Traceback" not in log
    assert "ending: uploads that have begun have 60 seconds" in log
    assert "ended" in log.splitlines()[-1]


def test_a_home_has_one_service(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as serve:
        code, message = refusal("--home", str(tmp_path / "home"), "--listen", "127.0.0.1:0")
        assert code == 2
        assert f"process {serve.process.pid}" in message
        assert serve.client.get("/healthcheck").status_code == 200
    with serving(tmp_path / "home") as again:
        assert again.client.get("/healthcheck").status_code == 200


def test_a_port_that_another_program_has_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, message = refusal("--home", str(tmp_path / "home"), "--listen", f"127.0.0.1:{other.getsockname()[1]}")
    assert code == 2
    assert "Address already in use; end the other program" in message


@pytest.mark.parametrize("text", ["[[plugin]]\nname = 'n'\nuse = 'nonsense'\n", "[serve]\nnonsense = 1\n", "not toml"])
def test_it_does_not_start_with_a_plan_or_settings_that_cannot_be_loaded(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    words = ("--home", str(tmp_path / "home"), "--listen", "127.0.0.1:0", "--config", str(tmp_path / "plan.toml"))
    code, message = refusal(*words)
    assert code == 2
    assert "Traceback" not in message


def test_other_machines_are_not_let_in_without_authentication(tmp_path: Path) -> None:
    code, message = refusal("--home", str(tmp_path / "home"), "--listen", "0.0.0.0:0")
    assert code == 2
    assert "Keystone" in message


def write_stores(folder: Path, default: str) -> Path:
    """A plan with two stores: `one`, which can be written, and `two`, whose folder cannot be made."""
    (folder / "no-folder").touch()
    config = folder / "stores.toml"
    tables = [
        f"[serve.stores.{name}]\nurl = 'file:{place}'\ndefault = {str(name == default).lower()}\n"
        for name, place in (("one", folder / "one"), ("two", folder / "no-folder" / "two"))
    ]
    config.write_text("[[plugin]]\nname = 'format'\nuse = 'format'\n" + "".join(tables))
    return config


def test_it_does_not_start_if_its_default_store_cannot_be_written(tmp_path: Path) -> None:
    config = write_stores(tmp_path, "two")
    code, message = refusal("--home", str(tmp_path / "home"), "--listen", "127.0.0.1:0", "--config", str(config))
    assert code == 2
    assert f"the default store two (file:{tmp_path}/no-folder/two) cannot be used" in message


def test_the_log_names_another_store_that_cannot_be_written(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_stores(tmp_path, "one")) as serve:
        assert serve.client.get("/healthcheck").status_code == 200
        assert f"imports into the store two (file:{tmp_path}/no-folder/two) will fail" in serve.log.read_text()
    assert list((tmp_path / "one" / "staging").iterdir()) == []


def test_an_echo_of_the_signal_does_not_cut_uploads_off(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as serve:
        image_id = serve.create()
        has_begun, may_end = threading.Event(), threading.Event()

        def pieces() -> Iterator[bytes]:
            yield bytes(1 << 20)
            has_begun.set()
            may_end.wait(SECONDS)
            yield bytes(1 << 20)

        upload, statuses = upload_in_background(serve, image_id, pieces())
        assert has_begun.wait(SECONDS)
        until("the upload has begun", lambda: serve.image(image_id)["status"] == "importing")
        serve.process.send_signal(signal.SIGTERM)
        serve.process.send_signal(signal.SIGINT)
        until("the service ends", lambda: "ending: " in serve.log.read_text())
        may_end.set()
        upload.join(SECONDS)
        assert statuses == [204]
        assert serve.process.wait(SECONDS) == 0
        assert "killed" not in serve.log.read_text()


def test_a_reload_that_cannot_be_served_leaves_the_old_plan(tmp_path: Path) -> None:
    config = tmp_path / "plan.toml"
    config.write_text("[[plugin]]\nname = 'format'\nuse = 'format'\n")
    with serving(tmp_path / "home", config) as serve:
        config.write_text("[[plugin]]\nname = 'n'\nuse = 'nonsense'\n")
        serve.process.send_signal(signal.SIGHUP)
        until("the refusal is logged", lambda: "the old one is still served" in serve.log.read_text())
        assert serve.client.get("/healthcheck").status_code == 200
        for module in (WORKER, DOOR):
            serve.kill(module)  # those that are started instead do not read the broken file
        until("the door answers again", lambda: answers(serve))
        response = serve.client.put(
            f"/v2/images/{serve.create()}/file",
            content=b"x" * 512,
            headers={"Content-Type": "application/octet-stream"},
        )
        assert response.status_code == 204
        config.write_text("[[plugin]]\nuse = 'format'\nname = 'renamed'\n")
        serve.process.send_signal(signal.SIGHUP)
        until("the new one is logged", lambda: "was read again" in serve.log.read_text())

        def is_reserved() -> bool:
            return serve.client.post("/v2/images", json={"renamed.x": "1"}).status_code == 403

        until("the door knows the new plan", is_reserved)


def test_a_door_that_dies_is_started_again_and_no_connection_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as serve:
        image_id = serve.create()
        door = serve.process_of(DOOR)
        door.kill()
        # The socket is the supervisor's: this waits in its queue until the new door accepts.
        serve.client.close()
        with serve.connect() as connection:
            connection.sendall(f"GET /v2/images/{image_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b"200 OK" in connection.recv(1 << 16)
        assert serve.process_of(DOOR).pid != door.pid
        assert "the door has ended: it was killed by SIGKILL" in serve.log.read_text()


def test_the_plugins_of_a_killed_worker_are_not_left_in_the_table_of_processes(tmp_path: Path) -> None:
    become_subreaper()  # we wait for nobody, as process 1 of many containers
    with serving(tmp_path / "home") as serve:
        worker = serve.process_of(WORKER)
        plugins = until("plugins are warm", worker.children)
        worker.kill()
        until("nobody is left", lambda: not any(psutil.pid_exists(plugin.pid) for plugin in plugins))
        assert until("it answers", lambda: answers(serve))


def test_all_processes_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    serve = Serve(tmp_path / "home")
    started = serve.processes()
    serve.process.kill()
    serve.process.wait(SECONDS)
    _, alive = psutil.wait_procs(started, timeout=SECONDS)
    assert not alive
    with serving(tmp_path / "home") as again:
        assert again.client.get("/healthcheck").status_code == 200


def test_a_service_whose_workers_die_again_and_again_ends_with_a_sentence(tmp_path: Path) -> None:
    serve = Serve(tmp_path / "home", None, "--workers", "1")
    started = serve.processes()
    seen: set[int] = set()
    while serve.process.poll() is None:
        try:
            worker = serve.process_of(WORKER)
        except psutil.NoSuchProcess:
            break
        if worker.pid not in seen:
            seen.add(worker.pid)
            worker.kill()
        if len(seen) > RESTARTS:
            break
    assert serve.process.wait(SECONDS) == 3
    assert "worker 1 ended" in serve.log.read_text()
    _, alive = psutil.wait_procs(started, timeout=SECONDS)
    assert not alive
