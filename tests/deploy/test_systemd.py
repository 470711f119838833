"""The units of systemd, in a real systemd: what they start, what they allow it, and how it ends."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from support.deploy.systemd import UNITS, Machine, booted
from support.glance.processes import free_port
from support.images.qcow2 import qcow2_of_one_cluster
from support.judged import OCTETS
from support.processes import SECONDS
from support.waiting import until

pytestmark = pytest.mark.deploy

SERVE, WORKER = "douane-serve.service", "douane-worker.service"
MAX_EXPOSURE = 35
"""Of 100, as `systemd-analyze security` counts. A unit without any of the settings has 96."""

PLAN = dedent("""
    [[plugin]]
    name = "glutton"
    use = "glutton.py:Glutton"
    memory = "64MiB"

    [[plugin]]
    name = "format"
    use = "format"

    [[plugin]]
    name = "convert"
    use = "convert"
    only = "import"

    [serve]
    workers = 1
    listen = "127.0.0.1:{port}"
    grace = "30s"
""")


class Unit:
    """The running unit of the service, and a client of it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.port = free_port()
        self.plan = PLAN.format(port=self.port)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=SECONDS)
        machine.write(
            "/etc/douane/glutton.py", Path(__file__).parents[1].joinpath("support/deploy/glutton.py").read_text()
        )

    def configure(self, text: str) -> None:
        """Write the configuration."""
        self.machine.write("/etc/douane/douane.toml", text)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.machine.run("systemctl", "restart", SERVE)
        until("the unit serves", self._answers)

    def _answers(self) -> bool:
        assert self.machine.show(SERVE, "NRestarts") == "0", self.machine.run("journalctl", f"--unit={SERVE}")
        try:
            return self.client.get("/healthcheck").status_code == 200
        except httpx.TransportError:
            return False

    def create(self, disk_format: str) -> str:
        """The id of a new image."""
        fields = {"disk_format": disk_format, "container_format": "bare"}
        return str(self.client.post("/v2/images", json=fields).json()["id"])


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with booted() as started:
        yield started


@pytest.fixture(scope="module")
def service(machine: Machine) -> Iterator[Unit]:
    unit = Unit(machine)
    yield unit
    unit.client.close()


@pytest.fixture
def unit(service: Unit) -> Unit:
    """The service runs with its plan; started if the test before has ended it."""
    service.configure(service.plan)
    if service.machine.show(SERVE, "ActiveState") != "active":
        service.start()
    return service


def test_systemd_takes_every_line_of_the_units(machine: Machine) -> None:
    checked = machine.attempt("systemd-analyze", "verify", "--man=no", SERVE, WORKER)
    assert checked.stdout + checked.stderr == ""
    assert checked.returncode == 0


@pytest.mark.parametrize("name", [SERVE, WORKER])
def test_a_unit_is_exposed_to_little(name: str) -> None:
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", str(UNITS / name)]
    measured = subprocess.run(words, capture_output=True, text=True, check=False)
    assert measured.returncode == 0, measured.stdout


def test_every_plugin_runs_in_the_full_tier_and_imports_end(unit: Unit) -> None:
    image_id = unit.create("qcow2")
    unit.client.put(f"/v2/images/{image_id}/stage", content=qcow2_of_one_cluster(1 << 20, b"x"), headers=OCTETS)
    unit.client.post(f"/v2/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    until("the image is active", lambda: unit.client.get(f"/v2/images/{image_id}").json()["status"] == "active")
    task = unit.client.get(f"/v2/images/{image_id}/tasks").json()["tasks"][0]
    verdicts = task["result"]["verdicts"]
    assert {"glutton", "format", "convert"} <= {verdict["plugin"] for verdict in verdicts}
    assert {verdict["ran"]["sandbox"] for verdict in verdicts} == {"full"}


def test_a_plugin_that_takes_too_much_memory_is_ended_and_the_service_goes_on(unit: Unit) -> None:
    process = unit.machine.show(SERVE, "MainPID")
    image_id = unit.create("raw")
    answer = unit.client.put(f"/v2/images/{image_id}/file", content=b"fill" + bytes(1 << 20), headers=OCTETS)
    assert (answer.status_code, answer.headers["x-douane-code"]) == (500, "plugin-memory"), answer.text
    assert unit.client.put(f"/v2/images/{image_id}/file", content=bytes(1 << 20), headers=OCTETS).status_code == 204
    assert unit.machine.show(SERVE, "MainPID") == process


def test_a_reload_takes_the_new_plan(unit: Unit) -> None:
    image_id = unit.create("raw")
    unit.configure(unit.plan + '\n[[plugin]]\nname = "limits"\nuse = "limits"\nconfig = { max_size = "1MiB" }\n')
    unit.machine.run("systemctl", "reload", SERVE)
    until("the configuration was read", lambda: "was read again" in unit.machine.log(SERVE))
    answer = unit.client.put(f"/v2/images/{image_id}/file", content=bytes(2 << 20), headers=OCTETS)
    assert answer.status_code == 422, answer.text
    unit.machine.run("systemctl", "stop", SERVE)


def test_a_stop_lets_uploads_end_that_have_begun(unit: Unit) -> None:
    image_id = unit.create("raw")
    stopping, answers = threading.Event(), []

    def body() -> Iterator[bytes]:
        yield bytes(1 << 20)
        until("the upload has begun", lambda: unit.client.get(f"/v2/images/{image_id}").json()["status"] != "queued")
        stopper.start()
        until("the unit stops", lambda: "ending" in unit.machine.log(SERVE))
        stopping.set()
        yield bytes(1 << 20)

    stopper = threading.Thread(target=unit.machine.run, args=("systemctl", "stop", SERVE))
    with httpx.Client(base_url=unit.client.base_url, timeout=SECONDS) as client:
        answers.append(client.put(f"/v2/images/{image_id}/file", content=body(), headers=OCTETS).status_code)
    stopper.join()
    assert stopping.is_set()
    assert answers == [204]
    assert unit.machine.show(SERVE, "Result") == "success"


def test_a_wrong_configuration_is_not_tried_again(unit: Unit) -> None:
    unit.configure(unit.plan + "\n[serve.nonsense]\n")
    unit.machine.run("systemctl", "restart", SERVE)
    until("the unit has failed", lambda: unit.machine.show(SERVE, "ActiveState") == "failed")
    assert (unit.machine.show(SERVE, "ExecMainStatus"), unit.machine.show(SERVE, "NRestarts")) == ("2", "0")
    assert "nonsense" in unit.machine.log(SERVE)
    unit.machine.run("systemctl", "reset-failed", SERVE)


def test_a_password_reaches_the_service_as_a_credential_that_no_other_user_reads(unit: Unit) -> None:
    machine = unit.machine
    machine.write("/etc/douane/keystone-password", "secret\n", "600")
    drop_in = "/etc/systemd/system/douane-serve.service.d/keystone.conf"
    machine.write(
        drop_in,
        "[Service]\nLoadCredential=keystone-password:/etc/douane/keystone-password\nEnvironment=PGSERVICEFILE=%d/x\n",
    )
    place = "/run/credentials/douane-serve.service/keystone-password"
    keystone = f'auth_url = "http://127.0.0.1:{free_port()}/v3"\nusername = "douane"\npassword_file = "{place}"\n'
    unit.configure(f"{unit.plan}\n[serve.keystone]\n{keystone}")
    try:
        machine.run("systemctl", "daemon-reload")
        unit.start()
        assert unit.client.get("/v2/images").status_code == 401
        folder = place.rpartition("/")[0]
        assert f"PGSERVICEFILE={folder}/x" in machine.show(SERVE, "Environment").split()
        entry = ["nsenter", f"--target={machine.show(SERVE, 'MainPID')}", "--mount"]
        reader = ["setpriv", "--clear-groups", "--inh-caps=-all"]
        service, nobody = ["--reuid=douane", "--regid=douane"], ["--reuid=65534", "--regid=65534"]
        assert machine.run(*entry, *reader, *service, "cat", place) == "secret\n"
        assert machine.attempt(*entry, *reader, *nobody, "cat", place).returncode == 1
    finally:
        machine.run("systemctl", "stop", SERVE)
        machine.run("rm", drop_in)
        machine.run("systemctl", "daemon-reload")
