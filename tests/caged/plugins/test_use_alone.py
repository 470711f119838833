"""Built-in plugins work with `use` alone: through the program, and through an agent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from douane import sandbox
from douane.agent import Agent
from douane.declared import DeclaredImage
from support.agent import RunningAgent
from support.images.ova import ova
from support.plans import plan, plugin
from support.program import Program

MIB = 1 << 20
DISK = bytes(MIB) + os.urandom(2 * MIB) + bytes(MIB)
SHA256 = hashlib.sha256(DISK).hexdigest()

UsePlugin = Callable[[str, bytes], dict[str, Any]]


@pytest.fixture
def image(qemu_img: Callable[..., bytes]) -> Callable[[str], bytes]:
    """An image for the plugin of this name."""

    def make(use: str) -> bytes:
        return ova(("disk.vmdk", DISK)) if use.startswith("ova") else qemu_img("qcow2", data=DISK)

    return make


@pytest.fixture(params=["program", "agent"])
def check(request: pytest.FixtureRequest, tier: sandbox.Tier, program: Program, tmp_path: Path) -> Iterator[UsePlugin]:
    """``check(use, image)``: what a plan of one plugin with `use` alone makes of it, by program and by agent."""
    agents: list[RunningAgent] = []

    def by_agent(use: str, image: bytes) -> dict[str, Any]:
        (tmp_path / "agent").mkdir()
        (tmp_path / "agent" / "douane.toml").write_text(plan(plugin(use)))
        agents.append(RunningAgent(tmp_path / "agent", ("--sandbox", str(tier))))
        paths = [tmp_path / "image", tmp_path / "result"]
        paths[0].write_bytes(image)
        fds = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
        try:
            report = Agent(agents[-1].socket).inspect(fds[0], DeclaredImage(), "the image", sink=fds[1])
        finally:
            for fd in fds:
                os.close(fd)
        return {"outcome": report.outcome, "properties": report.properties, "stored": paths[1].read_bytes()}

    def by_program(use: str, image: bytes) -> dict[str, Any]:
        report = program.report(image, plan(plugin(use)), "import", tier=str(tier))
        stored = [(program.home / "store" / name).read_bytes() for name in program.stored()]
        return report | {"stored": stored[0] if stored else b""}

    yield by_agent if request.param == "agent" else by_program
    for agent in agents:
        agent.kill()


@pytest.mark.parametrize("use", ["convert", "ova", "ova-any-order"])
def test_a_transform_makes_the_disk(check: UsePlugin, image: Callable[[str], bytes], use: str) -> None:
    report = check(use, image(use))
    assert report["outcome"] == "accepted", report
    assert hashlib.sha256(report["stored"]).hexdigest() == SHA256


def test_qemu_info_reads_the_image(check: UsePlugin, image: Callable[[str], bytes]) -> None:
    report = check("qemu-info", image("qemu-info"))
    assert report["outcome"] == "accepted", report
    assert report["properties"] == {"qemu-info.format": "qcow2", "qemu-info.virtual_size": len(DISK)}
