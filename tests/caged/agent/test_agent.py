"""The agent inspects images over a local socket, whatever happens to either side."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import threading
from pathlib import Path

import psutil
import pytest

from douane.agent import Agent, AgentInspection, client
from douane.declared import DeclaredImage
from douane.engine import RunEnded
from douane.errors import AgentError, AgentUnavailable
from douane.plan.binding import DOORS, Sender
from support.agent import StartAgent, plan
from support.processes import lives
from support.waiting import until

MIB = 1 << 20


def slow_plan(gate: Path) -> str:
    """A plan whose plugin waits for a byte in the file `gate`, which is created."""
    gate.touch()
    return plan("Slow", grants={"gate": f"file:{gate}"}).replace('{"gate": ', "{gate = ")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(5 * MIB))
    return path


def inspect(agent: Agent, path: Path, **options: object) -> object:
    fd = os.open(path, os.O_RDONLY)
    try:
        return agent.inspect(fd, DeclaredImage(name="n"), "the image", **options)  # type: ignore[arg-type]
    finally:
        os.close(fd)


def test_the_agent_reports_its_plan(start_agent: StartAgent) -> None:
    facts = Agent(start_agent(plan("Count", "Upper")).socket).plan()
    assert (facts.plugins, facts.transforms, facts.tier) == (
        ["count", "upper", "format-after-upper"],
        True,
        "strict",
    )
    assert len(facts.digest) == 64


def test_a_bound_transform_leaves_other_images_alone(start_agent: StartAgent, image: Path) -> None:
    agent = Agent(start_agent(plan("Count", "Upper") + '\nonly = "import"\n').socket)
    assert agent.plan().upload_transforms == {}
    for door, plugins in ((DOORS[0], 1), (DOORS[1], 3), (DOORS[0], 1)):
        sender = Sender(door)
        inspection = agent.begin(DeclaredImage(), None, "an upload", sender)
        inspection.write(image.read_bytes())
        reports = [inspection.finish(), inspect(agent, image, sender=sender)]
        assert [len(report.verdicts) for report in reports] == [plugins] * 2


def test_files_are_inspected_one_after_the_other(start_agent: StartAgent, image: Path) -> None:
    agent = Agent(start_agent(plan("Count", "NoEvil", "Sha")).socket)
    for _ in range(5):
        report = inspect(agent, image)
        assert report.outcome == "accepted"
        assert report.properties["sha.256"] == hashlib.sha256(image.read_bytes()).hexdigest()
        assert not report.is_transformed  # without a digest, as Glance takes its own
        assert report.properties["count.bytes"] == 5 * MIB


def test_an_image_is_inspected_piece_by_piece(start_agent: StartAgent) -> None:
    inspection = Agent(start_agent(plan("Sha", "NoEvil")).socket).begin(DeclaredImage(), None, "an upload")
    data = os.urandom(7 * MIB + 11)
    for start in range(0, len(data), 65536):
        inspection.write(data[start : start + 65536])
    report = inspection.finish()
    assert (report.outcome, report.properties) == ("accepted", {"sha.256": hashlib.sha256(data).hexdigest()})


def test_a_client_with_green_threads_never_waits_in_the_pipe(
    start_agent: StartAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under eventlet, a write that waited would stop all other requests of that Glance."""
    monkeypatch.setattr(client, "has_green_threads", lambda: True)
    waits: list[int] = []
    wait_until_ready = client.wait_until_ready

    def record(fd: int, event: int, seconds: float | None) -> bool:
        assert not os.get_blocking(fd)
        waits.append(fd)
        return wait_until_ready(fd, event, seconds)

    monkeypatch.setattr(client, "wait_until_ready", record)
    gate = tmp_path / "gate"
    inspection = Agent(start_agent(slow_plan(gate)).socket).begin(DeclaredImage(), None, "an upload")
    data = os.urandom(MIB)

    def send() -> None:
        for _ in range(40):
            inspection.write(data)

    sender = threading.Thread(target=send)
    sender.start()
    until("the pipe is full", lambda: waits)
    gate.write_bytes(b"x")
    sender.join()
    report = inspection.finish()
    assert (report.outcome, report.received.size) == ("accepted", 40 * MIB)


def test_a_refusal_reaches_the_client_at_once(start_agent: StartAgent) -> None:
    inspection = Agent(start_agent(plan("NoEvil")).socket).begin(DeclaredImage(), None, "an upload")
    inspection.write(b"EVIL")
    with pytest.raises(RunEnded):
        for _ in range(1000):
            inspection.write(bytes(MIB))
    assert (inspection.result().outcome, inspection.result().code) == ("refused", "evil")


def test_a_transform_writes_into_the_clients_file(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = Agent(start_agent(plan("Upper")).socket)
    image, result = tmp_path / "image", tmp_path / "result"
    image.write_bytes(b"abc" * MIB)
    with result.open("w+b") as sink:
        report = inspect(agent, image, sink=sink.fileno())
    assert report.outcome == "accepted", report
    assert result.read_bytes() == b"ABC" * MIB
    assert report.is_transformed


def test_a_report_of_any_length_that_the_plugins_may_have_reaches_the_client(
    start_agent: StartAgent, image: Path
) -> None:
    toml = "\n".join(plan("Talkative").replace('"talkative"', f'"talkative{number}"') for number in range(2))
    report = inspect(Agent(start_agent(toml).socket), image)
    assert report.outcome == "accepted"
    assert len(json.dumps(report.to_json())) > 8 * MIB


def test_an_aborted_upload_frees_its_worker(start_agent: StartAgent, image: Path) -> None:
    agent = Agent(start_agent(plan("Count"), "--at-once", "1").socket)
    inspection = agent.begin(DeclaredImage(), None, "an upload")
    inspection.write(b"half")
    inspection.abort("the client hung up")
    assert inspect(agent, image).outcome == "accepted"


def test_an_image_that_waits_too_long_fails_as_busy(start_agent: StartAgent, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    toml = slow_plan(gate)
    agent = Agent(start_agent(toml, "--at-once", "1", "--wait", "500ms").socket)
    reports: list[object] = []
    busy = threading.Thread(target=lambda: reports.append(inspect(agent, image)))
    busy.start()
    codes: set[str] = set()

    def is_refused() -> bool:
        try:
            agent.begin(DeclaredImage(), 0, "another").abort("it was not needed")
        except AgentError as error:
            codes.add(error.code)
            return error.retry_after is not None
        return False

    until("the agent refuses", is_refused)
    gate.write_bytes(b"x")
    busy.join(60)
    assert codes == {"busy"}
    assert reports[0].outcome == "accepted"


def test_a_client_that_goes_away_ends_its_inspection(start_agent: StartAgent, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    toml = slow_plan(gate)
    server = start_agent(toml, "--at-once", "1", "--cold")
    agent = Agent(server.socket)
    inspection = agent.begin(DeclaredImage(), None, "an upload")
    inspection.write(b"all of it")
    inspection.abort("it is gone")
    until("the plugin process ends", lambda: not psutil.Process(server.process.pid).children(recursive=True))


def test_a_killed_agent_lets_no_image_in(start_agent: StartAgent, image: Path) -> None:
    server = start_agent(plan("Count"))
    agent = Agent(server.socket)
    inspection = agent.begin(DeclaredImage(), None, "an upload")
    inspection.write(b"x" * MIB)
    plugin_processes = psutil.Process(server.process.pid).children(recursive=True)
    server.kill()
    with pytest.raises(AgentUnavailable):
        try:
            while True:
                inspection.write(bytes(MIB))
        except RunEnded:
            inspection.result()
    assert plugin_processes
    until("its plugins are gone", lambda: not any(lives(plugin) for plugin in plugin_processes))
    with pytest.raises(AgentUnavailable, match="start `douane agent`"):
        inspect(agent, image)


def test_an_import_outlives_a_restart_of_the_agent(start_agent: StartAgent, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    toml = slow_plan(gate)
    server = start_agent(toml, "--cold")
    reports: list[object] = []
    waiting = threading.Thread(target=lambda: reports.append(inspect(Agent(server.socket), image, patience=60.0)))
    waiting.start()
    until("a plugin process starts", lambda: psutil.Process(server.process.pid).children(recursive=True))
    server.kill()
    gate.write_bytes(b"x")
    server.start()
    waiting.join(60)
    assert reports[0].outcome == "accepted"


def test_a_stop_lets_current_inspections_end(start_agent: StartAgent) -> None:
    server = start_agent(plan("Count"))
    inspection = Agent(server.socket).begin(DeclaredImage(), None, "an upload")
    inspection.write(b"the beginning")
    os.kill(server.process.pid, signal.SIGTERM)
    inspection.write(b" and the end")
    assert inspection.finish().outcome == "accepted"
    assert server.process.wait(60) == 0
    assert not Path(server.socket).exists()


def test_sighup_loads_a_new_plan_unless_it_is_broken(start_agent: StartAgent, image: Path) -> None:
    server = start_agent(plan("Count"))
    agent = Agent(server.socket)
    digest = agent.plan().digest
    server.config.write_text("[[plugin]]\nname = 'x'\nuse = 'nowhere.py:Nothing'\n")
    os.kill(server.process.pid, signal.SIGHUP)
    until("a warning is logged", lambda: "cannot be used" in server.log.read_text())
    assert agent.plan().digest == digest
    server.config.write_text(plan("NoEvil"))
    os.kill(server.process.pid, signal.SIGHUP)
    until("the agent has the new plan", lambda: agent.plan().plugins == ["noevil"])
    assert [verdict.plugin for verdict in inspect(agent, image).verdicts] == ["noevil"]


def test_the_client_learns_the_plan_that_its_image_went_through(
    start_agent: StartAgent, image: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    server = start_agent(slow_plan(gate), "--at-once", "1")
    agent = Agent(server.socket)
    old_digest = agent.plan().digest
    first = agent.begin(DeclaredImage(), None, "first")
    first.write(bytes(MIB))
    inspections: list[AgentInspection] = []
    waiting = threading.Thread(target=lambda: inspections.append(agent.begin(DeclaredImage(), None, "second")))
    waiting.start()
    server.config.write_text(plan("Upper"))
    os.kill(server.process.pid, signal.SIGHUP)
    until("the agent has the new digest", lambda: agent.plan().digest != old_digest)
    gate.write_bytes(b"x")
    assert (first.plan_digest, first.finish().verdicts[0].plugin) == (old_digest, "slow")
    waiting.join(60)
    second = inspections[0]
    second.write(b"abc")
    report = second.finish()
    plugin = "upper" if second.plan_digest == agent.plan().digest else "slow"
    assert report.verdicts[0].plugin == plugin
    third = agent.begin(DeclaredImage(), None, "third")
    assert third.plan_digest == agent.plan().digest
    third.write(b"abc")
    assert third.finish().is_transformed


def test_a_broken_plan_is_not_served(start_agent: StartAgent) -> None:
    server = start_agent("[[plugin]]\nname = 'x'\nuse = 'nowhere.py:Nothing'\n")
    assert server.process.wait(60) == 2
    assert "nowhere.py" in server.log.read_text()


def test_only_the_agents_user_and_group_can_connect(start_agent: StartAgent) -> None:
    mode = Path(start_agent(plan("Count")).socket).stat().st_mode
    assert stat.S_IMODE(mode) == 0o660


def test_an_agent_takes_over_the_socket_of_a_dead_agent_only(start_agent: StartAgent) -> None:
    server = start_agent(plan("Count"))
    second = type(server)(server.folder, ("--cold",))
    assert second.process.wait(60) == 2
    assert "another agent" in server.log.read_text()
    server.kill()
    server.start()
    assert server.answers()
