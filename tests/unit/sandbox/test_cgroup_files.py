"""The files of a cgroup: what is written and read, and which cgroup is divided.

A folder of plain files stands for a cgroup: a machine whose controllers are in use by version 1 has no real cgroup of
version 2 with controllers.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from douane import sandbox
from douane.sandbox import cgroup_delegation as delegation
from douane.sandbox import tiers, usage
from douane.sandbox.cgroup import Base, Leaf

MiB = 1 << 20


def test_without_a_cgroup_the_doctor_names_the_other_limits_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "delegated", lambda: delegation.Absent("nobody gave one"))
    layer = tiers._cgroup()
    assert (layer.ok, layer.optional) == (False, True)
    for words in ("nobody gave one", "RLIMIT_DATA", "RLIMIT_NPROC"):
        assert words in layer.detail
    assert "systemd-run --scope -p Delegate=yes" in layer.remedy
    assert sandbox.choose(None, sandbox.Tier.STRICT) is sandbox.available()


def test_bounds_are_written_to_the_files_that_exist(tmp_path: Path) -> None:
    files = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cgroup.kill")
    for name in files:
        (tmp_path / name).touch()
    leaf = Leaf(str(tmp_path), -1)
    leaf.bound(sandbox.Bounds(memory=64 * MiB, threads=8, processes=4, temporary_bytes=8 * MiB), forks=True)
    leaf.kill()
    assert [(tmp_path / name).read_text() for name in files] == [str(200 * MiB), "0", "1", "14", "1"]
    assert leaf.enforced() == (
        "memory of the whole sandbox by memory.max; its threads and processes by pids.max; its end by cgroup.kill"
    )
    (tmp_path / "memory.max").unlink()
    (tmp_path / "pids.max").unlink()
    leaf.bound(sandbox.Bounds(), forks=False)
    assert not (tmp_path / "memory.max").exists()
    assert "RLIMIT_DATA for each process" in leaf.enforced()
    assert "RLIMIT_NPROC" in leaf.enforced()


def test_the_engine_measures_before_the_kernel_kills() -> None:
    """A plugin that grows slowly is ended with the reason, instead of by the kernel without one."""
    from douane.host import limits
    from douane.sandbox import cgroup

    assert cgroup._ALLOWANCE > limits.ALLOWANCE_BYTES


def test_memory_is_measured_without_the_ring_and_the_page_cache(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text(f"{100 * MiB}\n")
    (tmp_path / "memory.stat").write_text(f"anon {60 * MiB}\nfile {30 * MiB}\nfile_mapped 5\nkernel 7\n")
    (tmp_path / "pids.current").write_text("6\n")
    assert usage.of_leaf(str(tmp_path), helpers=1) is None  # it cannot tell: then the tree is added up
    (tmp_path / "cgroup.procs").write_text("10\n11\n12\n")
    assert usage.of_leaf(str(tmp_path), helpers=1) == sandbox.Usage(70 * MiB, 2, 5)


def plain(tmp_path: Path, **files: str) -> Path:
    """A folder that looks like a cgroup that can be divided."""
    content = {"type": "domain\n", "controllers": "cpu memory pids\n", "procs": f"{os.getpid()}\n"}
    for name, text in {**content, "subtree_control": "\n", **files}.items():
        (tmp_path / f"cgroup.{name}").write_text(text)
    return tmp_path


def test_controllers_are_enabled_below_the_engine(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    engine = folder / delegation.ENGINE
    engine.mkdir()
    (engine / "cgroup.procs").touch()
    (folder / "cgroup.procs").write_text("")
    assert delegation.claim(str(engine)) == Base(str(folder))
    assert (folder / "cgroup.subtree_control").read_text() == "+memory +pids"
    (folder / "cgroup.subtree_control").write_text("memory pids\n")
    assert delegation.claim(str(engine)) == Base(str(folder))  # the second engine has nothing to write
    assert (folder / "cgroup.subtree_control").read_text() == "memory pids\n"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"type": ""}, "root cgroup"),
        ({"type": "threaded\n"}, "threaded"),
        ({"controllers": "cpu pids\n"}, "does not have the controllers memory"),
        ({"procs": f"{os.getpid()}\n1\n"}, "holds 1 more process,"),
        ({}, "could not be divided"),  # the folder for the engine gets no cgroup.procs: a step fails in the middle
    ],
)
def test_a_cgroup_that_cannot_be_divided_stays_unchanged(tmp_path: Path, files: dict[str, str], says: str) -> None:
    folder = plain(tmp_path, **files)
    claim = delegation.claim(str(folder))
    assert isinstance(claim, delegation.Absent)
    assert says in claim.reason
    assert (folder / "cgroup.subtree_control").read_text() == "\n"
    assert [path for path in folder.iterdir() if path.is_dir()] == []
