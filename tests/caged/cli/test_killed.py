"""`kill -9` of `douane import` at random instants: the image is whole and active, or not there at all.

DOUANE_KILLS says how many instants (8, and 25 in `make test-all`), DOUANE_KILLS_SEED which ones; a run prints its seed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from support.gates import Gate
from support.processes import children, wait_until_gone
from support.program import MIB, Program
from support.sizes import ALL

KILLS = int(os.environ.get("DOUANE_KILLS", "25" if ALL else "8"))
SEED = int(os.environ.get("DOUANE_KILLS_SEED", random.SystemRandom().randrange(1 << 32)))


class Killer:
    """Imports one image again and again into one home, and kills each import."""

    def __init__(self, douane: Program) -> None:
        self.douane = douane
        self.image = douane.place / "image.raw"
        self.image.write_bytes(os.urandom(16 * MIB))
        os.truncate(self.image, 40 * MIB)
        self.config = douane.place / "plan.toml"
        self.config.write_text(
            '[[plugin]]\nname = "format"\nuse = "format"\n'
            '[[plugin]]\nname = "limits"\nuse = "limits"\n'
            '[[plugin]]\nname = "sum"\nuse = "exec:/usr/bin/md5sum"\n'
        )

    def start(self) -> subprocess.Popen[bytes]:
        return self.douane.start("import", self.image, "--config", self.config, stdout=subprocess.DEVNULL)

    def span(self) -> float:
        """Seconds that an import takes that nobody kills."""
        began = time.monotonic()
        assert self.start().wait() == 0
        return time.monotonic() - began

    def kill_after(self, seconds: float) -> None:
        """One import, and its end after so many seconds if it has not come by itself."""
        running = self.start()
        try:
            assert running.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        assert running.stderr is not None
        running.stderr.close()

    def check(self, earlier_pids: set[int]) -> bool:
        """All that must hold afterwards, as the next command finds it; True if the image is there."""
        wait_until_gone(earlier_pids)
        listed = self.douane.images()
        assert {image["status"] for image in listed} <= {"active"}
        assert self.douane.stored() == [f"images/{image['id']}" for image in listed]
        for image in listed:
            saved = self.douane.place / "saved"
            assert self.douane.run("save", image["id"], saved).code == 0
            subprocess.run(["cmp", "--", self.image, saved], check=True)
            assert saved.stat().st_blocks * 512 <= 17 * MIB
        if listed:
            assert self.douane.run("delete", *(image["id"] for image in listed)).code == 0
        assert len(listed) <= 1
        return bool(listed)


@pytest.mark.timeout(120 + 10 * KILLS)
@pytest.mark.xdist_group("killed")
def test_an_import_that_is_killed_at_any_instant_leaves_the_image_whole_or_not_at_all(douane: Program) -> None:
    print(f"DOUANE_KILLS_SEED={SEED}")
    instants = random.Random(SEED)
    killer = Killer(douane)
    earlier_pids = children()
    span = max(killer.span(), killer.span())
    douane.run("delete", *(image["id"] for image in douane.images()))
    delays = [instants.uniform(0, span * 1.05) for _ in range(KILLS)]
    survivals = [killer.check(earlier_pids) for delay in delays if killer.kill_after(delay) is None]
    print(f"{survivals.count(True)} of {KILLS} images had come in")


@pytest.mark.parametrize("further", [0, 1])
def test_an_import_that_is_killed_in_the_middle_of_its_bytes(
    douane: Program, raw: Path, gate: Gate, further: int
) -> None:
    """For certain in the middle; and, the second time, with another import that lives on beside it."""
    earlier_pids = children()
    dead = douane.start("import", raw, "--config", gate.config)
    gate.wait()
    second_gate = Gate(douane.place, "other")
    living = douane.start("import", raw, "--config", second_gate.config) if further else None
    if living is not None:
        second_gate.wait()
    dead.kill()
    dead.communicate()
    if living is None:
        wait_until_gone(earlier_pids)
    result = douane.run("images", "--json")
    assert len(result.json["images"]) == further
    assert "interrupted" in result.stderr
    assert len(douane.stored()) == further
    assert douane.run("images", "--json").stderr == ""
    if living is not None:
        second_gate.open()
        living.communicate()
        assert living.returncode == 0
        assert [image["status"] for image in douane.images()] == ["active"]
    second_gate.close()


@pytest.mark.parametrize("started", [1, 2])
def test_a_cage_that_is_being_built_when_its_engine_is_killed_ends_too(
    douane: Program, qcow2: Path, started: int
) -> None:
    """The first bubblewrap only looks whether there can be one, the second is the plugin's."""
    arrived, go_on, tools = (douane.place / name for name in ("here", "go-on", "tools"))
    os.mkfifo(arrived)
    os.mkfifo(go_on)
    tools.mkdir()
    bwrap = tools / "bwrap"
    bwrap.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" != --version ]; then echo here > {arrived}; read -r go < {go_on}; fi\n'
        f'exec {shutil.which("bwrap")} "$@"\n'
    )
    bwrap.chmod(0o755)
    env = {**douane.env, "PATH": f"{tools}:{douane.env['PATH']}"}
    earlier_pids = children()
    running = douane.start("import", qcow2, "--sandbox", "full", env=env)
    for _ in range(started - 1):
        arrived.read_text()
        go_on.write_text("go\n")
    arrived.read_text()
    running.kill()
    running.communicate()
    go_on.write_text("go\n")
    wait_until_gone(earlier_pids)
    assert douane.images() == []
