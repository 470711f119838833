"""An agent inspects images for others: over a local socket, so many at a time, and whatever happens to either side."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from agents import Start, plan

from douane.agent import Agent
from douane.agent.client import AgentPassage
from douane.declared import DeclaredImage
from douane.engine import RunEnded
from douane.errors import AgentError, AgentUnavailable

MIB = 1 << 20


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(5 * MIB))
    return path


def inspect(agent: Agent, path: Path, **more: object) -> object:
    fd = os.open(path, os.O_RDONLY)
    try:
        return agent.inspect(fd, DeclaredImage(name="n"), "the image", **more)  # type: ignore[arg-type]
    finally:
        os.close(fd)


def test_it_tells_what_it_serves(start: Start) -> None:
    running = start(plan("Count", "Upper"))
    told = Agent(running.socket).plan()
    assert (told["plugins"], told["transforms"], told["tier"]) == (
        ["count", "upper", "format-after-upper"],
        True,
        "strict",
    )
    assert len(told["digest"]) == 64


def test_a_file_is_inspected_and_so_is_the_next(start: Start, image: Path) -> None:
    agent = Agent(start(plan("Count", "NoEvil", "Sha")).socket)
    for _ in range(5):
        report = inspect(agent, image)
        assert report.outcome == "accepted"
        assert report.properties["sha.256"] == hashlib.sha256(image.read_bytes()).hexdigest()
        assert not report.is_transformed  # Glance takes digests: the engine needs none to know that
        assert report.properties["count.bytes"] == 5 * MIB


def test_an_image_that_is_handed_over_piece_by_piece(start: Start) -> None:
    passage = Agent(start(plan("Sha", "NoEvil")).socket).begin(DeclaredImage(), None, "an upload")
    data = os.urandom(7 * MIB + 11)
    for at in range(0, len(data), 65536):
        passage.write(data[at : at + 65536])
    report = passage.finish()
    assert (report.outcome, report.properties) == ("accepted", {"sha.256": hashlib.sha256(data).hexdigest()})


def test_whoever_sends_hears_of_a_refusal_at_once(start: Start) -> None:
    passage = Agent(start(plan("NoEvil")).socket).begin(DeclaredImage(), None, "an upload")
    passage.write(b"EVIL")
    with pytest.raises(RunEnded):
        for _ in range(1000):
            passage.write(bytes(MIB))
    assert (passage.result().outcome, passage.result().code) == ("refused", "evil")


def test_what_a_transform_makes_is_written_into_the_file_that_is_handed_over(start: Start, tmp_path: Path) -> None:
    agent = Agent(start(plan("Upper")).socket)
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_bytes(b"abc" * MIB)
    with after.open("w+b") as sink:
        report = inspect(agent, before, sink=sink.fileno())
    assert report.outcome == "accepted", report
    assert after.read_bytes() == b"ABC" * MIB
    assert report.is_transformed


def test_an_upload_that_was_given_up_is_not_accepted_and_frees_its_place(start: Start, image: Path) -> None:
    agent = Agent(start(plan("Count"), "--at-once", "1").socket)
    passage = agent.begin(DeclaredImage(), None, "an upload")
    passage.write(b"half")
    passage.abort("the client hung up")
    assert inspect(agent, image).outcome == "accepted"


def test_one_too_many_waits_and_is_told_when_it_has_waited_too_long(start: Start, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    toml = plan("Slow", grants={"gate": f"file:{gate}"}).replace('{"gate": ', "{gate = ")
    agent = Agent(start(toml, "--at-once", "1", "--wait", "500ms").socket)
    first: list[object] = []
    busy = threading.Thread(target=lambda: first.append(inspect(agent, image)))
    busy.start()
    codes: set[str] = set()

    def refused() -> bool:
        try:
            agent.begin(DeclaredImage(), 0, "another").abort("it was not the second")
        except AgentError as error:
            codes.add(error.code)
            return error.retry_after is not None
        return False

    until(refused)
    gate.write_bytes(b"x")
    busy.join(60)
    assert codes == {"busy"}
    assert first[0].outcome == "accepted"


def test_a_client_that_dies_ends_what_was_done_for_it(start: Start, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    toml = plan("Slow", grants={"gate": f"file:{gate}"}).replace('{"gate": ', "{gate = ")
    running = start(toml, "--at-once", "1", "--cold")
    agent = Agent(running.socket)
    passage = agent.begin(DeclaredImage(), None, "an upload")
    passage.write(b"all of it")
    passage.abort("it is gone")
    until(lambda: not psutil.Process(running.process.pid).children(recursive=True))


def test_an_agent_that_is_killed_lets_nothing_in(start: Start, image: Path) -> None:
    running = start(plan("Count"))
    agent = Agent(running.socket)
    passage = agent.begin(DeclaredImage(), None, "an upload")
    passage.write(b"x" * MIB)
    caged = psutil.Process(running.process.pid).children(recursive=True)
    running.kill()
    with pytest.raises(AgentUnavailable):
        try:
            while True:
                passage.write(bytes(MIB))
        except RunEnded:
            passage.result()
    assert caged
    psutil.wait_procs(caged, timeout=60)
    assert not [each for each in caged if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(AgentUnavailable, match="start `douane agent`"):
        inspect(agent, image)


def test_an_import_outlives_a_restart_of_the_agent(start: Start, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    toml = plan("Slow", grants={"gate": f"file:{gate}"}).replace('{"gate": ', "{gate = ")
    running = start(toml, "--cold")
    done: list[object] = []
    waiting = threading.Thread(target=lambda: done.append(inspect(Agent(running.socket), image, patience=60.0)))
    waiting.start()
    until(lambda: bool(psutil.Process(running.process.pid).children(recursive=True)))
    running.kill()
    gate.write_bytes(b"x")
    running.start()
    waiting.join(60)
    assert done[0].outcome == "accepted"


def test_a_stop_lets_what_is_under_way_come_to_its_end(start: Start) -> None:
    running = start(plan("Count"))
    passage = Agent(running.socket).begin(DeclaredImage(), None, "an upload")
    passage.write(b"the beginning")
    os.kill(running.process.pid, signal.SIGTERM)
    passage.write(b" and the end")
    assert passage.finish().outcome == "accepted"
    assert running.process.wait(60) == 0
    assert not Path(running.socket).exists()


def test_a_new_plan_is_served_after_a_hangup_signal_and_a_broken_one_is_not(start: Start, image: Path) -> None:
    running = start(plan("Count"))
    agent = Agent(running.socket)
    before = agent.plan()["digest"]
    running.config.write_text("[[plugin]]\nname = 'x'\nuse = 'nowhere.py:Nothing'\n")
    os.kill(running.process.pid, signal.SIGHUP)
    until(lambda: "cannot be used" in running.log.read_text())
    assert agent.plan()["digest"] == before
    running.config.write_text(plan("NoEvil"))
    os.kill(running.process.pid, signal.SIGHUP)
    until(lambda: agent.plan()["plugins"] == ["noevil"])
    assert [verdict.plugin for verdict in inspect(agent, image).verdicts] == ["noevil"]


def test_an_image_that_waited_for_its_turn_is_of_the_plan_that_it_went_through(start: Start) -> None:
    running = start(plan("Count"), "--at-once", "1")
    agent = Agent(running.socket)
    before = agent.plan()
    first = agent.begin(DeclaredImage(), None, "it takes the one place")
    waited: list[AgentPassage] = []
    waiting = threading.Thread(target=lambda: waited.append(agent.begin(DeclaredImage(), None, "it waits")))
    waiting.start()
    running.config.write_text(plan("Upper"))
    os.kill(running.process.pid, signal.SIGHUP)
    until(lambda: agent.plan()["digest"] != before["digest"])
    assert not waited
    assert (first.plan, first.finish().is_transformed) == (before["digest"], False)
    waiting.join(60)
    waited[0].write(b"abc")
    report = waited[0].finish()
    assert waited[0].plan == agent.plan()["digest"]
    assert report.is_transformed  # whoever sent it must hear of that, though no plan had a transform when it came


def test_a_broken_plan_is_not_served_at_all(start: Start) -> None:
    running = start("[[plugin]]\nname = 'x'\nuse = 'nowhere.py:Nothing'\n")
    assert running.process.wait(60) == 2
    assert "nowhere.py" in running.log.read_text()


def test_only_its_user_and_group_can_connect(start: Start) -> None:
    mode = Path(start(plan("Count")).socket).stat().st_mode
    assert stat.S_IMODE(mode) == 0o660


def test_two_agents_do_not_share_a_socket_and_a_dead_ones_is_taken_over(start: Start) -> None:
    running = start(plan("Count"))
    second = type(running)(running.folder, ("--cold",))
    assert second.process.wait(60) == 2
    assert "another agent" in running.log.read_text()
    running.kill()
    running.start()
    assert running.answers()
