"""A sandbox in a cgroup of its own, in a real delegated cgroup; only root can make one (conftest.py)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import sandbox
from support.sandbox.cgroups import Engine, cgroup_of, delegated_cgroup
from support.sandbox.process import WITHIN_S
from support.sandbox.public_python import NOBODY, place_for_everybody, python_for_everybody


@pytest.fixture
def folder() -> Iterator[Path]:
    """A real delegated cgroup."""
    with delegated_cgroup() as cgroup:
        yield cgroup


def leaves(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("douane-cage-*"))


def test_a_sandbox_has_a_cgroup_until_it_ends(folder: Path, tier: sandbox.Tier) -> None:
    body = f"""
        threads = [threading.Thread(target=hear, daemon=True) for _ in range(2)]
        threads[0].start()
        adopt()
        own = {{Path(f"/proc/self/task/{{task}}/cgroup").read_text() for task in os.listdir("/proc/self/task")}}
        cell = Cell(sandbox.Tier({tier.value!r}), programs=(Path("/bin/sh"),))
        cell.returned("stray", "setsid")
        [leaf] = here.glob("douane-cage-*")
        inside = [int(pid) for pid in (leaf / "cgroup.procs").read_text().split()]
        used = cell.process.measure()
        tell(
            threads=len(own),
            engine=(here / "douane-engine" / "cgroup.procs").read_text().split(),
            left=(here / "cgroup.procs").read_text(),
            inside=len(inside),
            outer=cell.process.pid in inside,
            layer=cell.report.layers["cgroup"],
            used=[used.processes, used.threads, used.memory > 1 << 20],
        )
        cell.process.kill()
        leaves = [str(path) for path in here.glob("douane-cage-*")]
        tell(code=cell.process.poll(), leaves=leaves, cgroup=cell.process.cgroup)
        """
    with Engine(folder, body) as engine:
        message = engine.hear()
        assert str(engine.process.pid) in message["engine"]
        assert (message["left"], message["threads"]) == ("", 1)  # all threads are in one place
        # The keeper, the plugin and its child; bwrap itself stays with the engine, whose task it is to reap.
        assert (message["inside"], message["outer"]) == (3, tier is sandbox.Tier.STRICT)
        assert "its end by cgroup.kill" in message["layer"]
        assert message["used"] == [2, 2, True]
        assert engine.hear() == {"code": -9, "leaves": [], "cgroup": ""}


def test_an_ordinary_user_divides_its_delegated_cgroup(folder: Path, tier: sandbox.Tier) -> None:
    """As in a unit with `User=`: root makes the user the owner of the folder, without the extended attribute."""
    os.removexattr(folder, "user.delegate")
    for path in (folder, *(folder / f"cgroup.{name}" for name in ("procs", "subtree_control", "threads"))):
        os.chown(path, NOBODY, NOBODY)
    body = f"""
        delegation._SYSTEMD = "/proc"  # a host that systemd manages
        adopt()
        with Cell(sandbox.Tier({tier.value!r}), programs=(Path("/bin/sh"),)) as cell:
            cell.returned("stray", "setsid")
            [leaf] = here.glob("douane-cage-*")
            inside = len((leaf / "cgroup.procs").read_text().split())
            changed = cell.returned("change", str(leaf / "cgroup.procs"))  # its user may, the sandbox may not
            tell(user=os.getuid(), inside=inside, changed=changed, layer=cell.report.layers["cgroup"] != "")
        tell(leaves=list(here.glob("douane-cage-*")))
        """
    with place_for_everybody() as place:
        become = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
        paths = f"PYTHONPATH={place}"
        with Engine(folder, body, command=(*become, "env", paths, python_for_everybody(), "-B")) as engine:
            assert engine.hear() == {"user": NOBODY, "inside": 3, "changed": [], "layer": True}
            assert engine.hear() == {"leaves": []}


def test_a_foreign_process_in_the_cgroup_ends_with_the_sandbox(folder: Path, tier: sandbox.Tier) -> None:
    """cgroup.kill reaches a process that is not a descendant of the sandbox."""
    body = f"""
        adopt()
        cell = Cell(sandbox.Tier({tier.value!r}))
        [leaf] = here.glob("douane-cage-*")
        tell(leaf=str(leaf))
        hear()
        cell.process.kill()
        tell(there=leaf.exists())
        hear()
        """
    with Engine(folder, body) as engine, subprocess.Popen(["sleep", "600"]) as hidden:
        leaf = Path(engine.hear()["leaf"])
        (leaf / "cgroup.procs").write_text(str(hidden.pid))
        engine.go_on()
        assert engine.hear() == {"there": False}
        assert hidden.wait(WITHIN_S) == -9


def test_engines_share_a_cgroup_and_remove_only_the_leaves_of_dead_ones(folder: Path) -> None:
    body = """
        adopt()
        cell = Cell(sandbox.Tier.STRICT)
        tell(pid=cell.process.pid)
        hear()
        tell(answer=cell.returned("environment") is not None)
        hear()
        """
    with Engine(folder, body) as first, subprocess.Popen(["sleep", "600"]) as orphan:
        first.hear()
        [mine] = leaves(folder)
        with Engine(folder, body, inside=True) as dead:
            dead.hear()
            [remaining] = set(leaves(folder)) - {mine}
            (folder / remaining / "cgroup.procs").write_text(str(orphan.pid))
            dead.kill()
        assert remaining in leaves(folder)
        with Engine(folder, body, inside=True) as second:
            assert cgroup_of(second.hear()["pid"]).startswith(f"douane-cage-{second.process.pid}-")
            assert orphan.wait(WITHIN_S) == -9
            assert remaining not in leaves(folder)
            assert mine in leaves(folder)
            first.go_on()
            assert first.hear() == {"answer": True}


def test_a_cgroup_with_other_processes_is_not_divided(folder: Path) -> None:
    body = """
        found = divide()
        with Cell(sandbox.Tier.STRICT) as cell:
            own = os.path.basename(delegation.current_cgroup())
            tell(absent=found.reason, own=own, cgroup=cell.report.layers["cgroup"])
        """
    with subprocess.Popen(["sleep", "600"]) as shell:
        try:
            (folder / "cgroup.procs").write_text(str(shell.pid))
            with Engine(folder, body) as engine:
                message = engine.hear()
            assert "holds 1 more process, and Douane must be alone in it" in message["absent"]
            assert (message["own"], message["cgroup"]) == (folder.name, "")
            assert [path for path in folder.iterdir() if path.is_dir()] == []
        finally:
            shell.kill()


def test_a_cgroup_that_systemd_has_not_delegated_stays_unchanged(folder: Path) -> None:
    os.removexattr(folder, "user.delegate")
    body = """
        delegation._SYSTEMD = "/proc"  # a host that systemd manages
        tell(absent=divide().reason, own=os.path.basename(delegation.current_cgroup()))
        """
    with Engine(folder, body) as engine:
        message = engine.hear()
    assert "who has not delegated it" in message["absent"]
    assert message["own"] == folder.name


def test_a_sandbox_keeps_its_other_layers_without_its_cgroup(folder: Path, tier: sandbox.Tier) -> None:
    """Making the leaf fails, or moving the launcher into the leaf."""
    body = f"""
        adopt()
        tier = sandbox.Tier({tier.value!r})
        (here / "cgroup.max.descendants").write_text("1")  # that is the engine's
        with Cell(tier) as cell:
            tell(cgroup=cell.process.cgroup, probes=len(cell.report.probes))
        (here / "cgroup.max.descendants").write_text("max")
        from douane.sandbox.cgroup import Leaf
        Leaf.add = lambda self, pid: (_ for _ in ()).throw(PermissionError(1, "no"))
        with Cell(tier) as cell:
            leaves = list(here.glob("douane-cage-*"))
            tell(cgroup=cell.process.cgroup, leaves=len(leaves), one=cell.process.measure().processes)
        """
    with Engine(folder, body) as engine:
        without = engine.hear()
        assert without["cgroup"] == ""
        assert without["probes"] > 5
        assert engine.hear() == {"cgroup": "", "leaves": 0, "one": 1}


def test_the_doctor_makes_a_cgroup_and_removes_it(folder: Path) -> None:
    body = """
        adopt()
        [layer] = [layer for layer in sandbox.examine() if layer.name == "cgroup"]
        tell(ok=layer.ok, detail=layer.detail, optional=layer.optional)
        """
    with Engine(folder, body) as engine:
        message = engine.hear()
    assert message["ok"]
    assert message["optional"]
    assert message["detail"].endswith("its end by cgroup.kill")
    assert leaves(folder) == []
