"""The agent's plugin processes serve several images where the operator says so, and end with it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from douane.agent import Agent
from douane.declared import DeclaredImage
from douane.report import Report
from support.agent import RunningAgent, StartAgent
from support.plans import plan, plugin
from support.processes import become_subreaper, children, descendants, wait_until_gone
from support.waiting import until

KEEPING = Path(__file__).parents[1] / "engine" / "plugins" / "keeping.py"
MIB = 1 << 20


def keeping(**keys: Any) -> str:
    return plan(plugin(f"{KEEPING}:Keeping", "keeping", **keys))


def inspect(agent: RunningAgent, path: Path, sink: Path | None = None) -> Report:
    image = os.open(path, os.O_RDONLY)
    result = os.open(sink, os.O_RDWR | os.O_CREAT) if sink is not None else None
    try:
        return Agent(agent.socket).inspect(image, DeclaredImage(), "the image", sink=result)
    finally:
        os.close(image)
        if result is not None:
            os.close(result)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(3 * MIB))
    return path


@pytest.mark.parametrize("options", [(), ("--cold",), ("--sandbox", "full")], ids=["warm", "cold", "full"])
def test_a_process_serves_several_images(start_agent: StartAgent, image: Path, options: tuple[str, ...]) -> None:
    agent = start_agent(keeping(reuse=3), "--at-once", "1", *options)
    reports = [inspect(agent, image) for _ in range(5)]
    assert [report.outcome for report in reports] == ["accepted"] * 5
    processes = [report.properties["keeping.process"] for report in reports]
    assert processes[0] == processes[1] == processes[2] != processes[3] == processes[4]
    assert [report.properties["keeping.images"] for report in reports] == [1] * 5


def test_a_process_serves_images_whose_result_is_written(start_agent: StartAgent, image: Path, tmp_path: Path) -> None:
    toml = keeping(reuse=9) + plugin("decompress") + plugin("format")
    agent = start_agent(toml, "--at-once", "1", "--cold")
    reports = [inspect(agent, image, tmp_path / "result") for _ in range(3)]
    assert len({report.properties["keeping.process"] for report in reports}) == 1
    assert (tmp_path / "result").read_bytes() == image.read_bytes()


def test_two_images_at_once_have_two_processes(start_agent: StartAgent, image: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    toml = plan(plugin(f"{KEEPING}:Gated", "keeping", reuse=9, grants={"gate": f"file:{gate}"}))
    agent = start_agent(toml, "--at-once", "2")
    with ThreadPoolExecutor() as threads:
        inspections = [threads.submit(inspect, agent, image) for _ in range(2)]
        try:
            until("both images are read", lambda: agent.log.read_text().count(f"saw {3 * MIB} bytes") == 2)
        finally:
            gate.write_bytes(b"x")
        reports = [inspection.result() for inspection in inspections]
    assert len({report.properties["keeping.process"] for report in reports}) == 2


def test_a_new_plan_has_new_processes(start_agent: StartAgent, image: Path) -> None:
    agent = start_agent(keeping(reuse=9), "--at-once", "1")
    first = inspect(agent, image).properties["keeping.process"]
    digest = Agent(agent.socket).plan().digest
    agent.config.write_text(keeping(reuse=9, config={"text": "other"}))
    agent.process.send_signal(1)  # SIGHUP
    until("the plan is read again", lambda: Agent(agent.socket).plan().digest != digest)
    report = inspect(agent, image)
    assert report.properties["keeping.process"] != first
    assert str(report.properties["keeping.model"]).startswith("other-")


@pytest.mark.parametrize("end", ["killed", "terminated"])
def test_processes_that_wait_end_with_the_agent(start_agent: StartAgent, image: Path, end: str) -> None:
    become_subreaper()
    earlier = children()
    agent = start_agent(keeping(reuse=9), "--at-once", "1", "--cold")
    assert inspect(agent, image).outcome == "accepted"
    assert descendants(agent.process.pid)
    if end == "killed":
        agent.kill()
    else:
        agent.process.terminate()
        agent.process.wait()
    wait_until_gone(earlier)
