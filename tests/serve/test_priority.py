"""Workers and plugins give way to the door: as processes, and as sessions, among which the kernel divides first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from douane.imports.worker import NICENESS, SESSION_NICENESS
from support.priority import niceness_of_session, nicer_by
from support.serve import Serve, serving

DOOR = "douane.api.process.door"
WORKER = "douane.imports.worker"
OCTETS = {"Content-Type": "application/octet-stream"}

PLUGIN = """
from douane_plugin import Inspector

class Patient(Inspector):
    def inspect(self, image):
        for _ in image:
            pass
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("priority")
    (folder / "patient.py").write_text(PLUGIN)
    plugin = f'[[plugin]]\nname = "patient"\nuse = "{folder}/patient.py:Patient"\nreuse = 100\n'
    (folder / "douane.toml").write_text(plugin)
    with serving(folder / "home", folder / "douane.toml", "--workers", "1") as started:
        yield started


def test_the_door_is_no_nicer_than_the_service_and_has_a_session_of_its_own(serve: Serve) -> None:
    door = serve.process_of(DOOR)
    assert door.nice() == psutil.Process(serve.process.pid).nice()
    assert niceness_of_session(door.pid) == 0
    assert Path(f"/proc/{door.pid}/stat").read_text().rpartition(")")[2].split()[3] == str(door.pid)


def test_a_worker_and_its_plugins_are_nice(serve: Serve) -> None:
    image_id = serve.create()
    sent = serve.client.put(f"/v2/images/{image_id}/file", content=b"image", headers=OCTETS)
    assert sent.status_code == 204
    worker = serve.process_of(WORKER)
    processes = [worker, *worker.children(recursive=True)]
    assert len(processes) > 1, "a process of the plugin waits for the next image"
    assert {process.nice() for process in processes} == {nicer_by(NICENESS)}
    assert niceness_of_session(worker.pid) == SESSION_NICENESS
