"""A plugin reads what it is granted by path, at the same path in every tier, and nothing beside it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from douane import sandbox
from douane.errors import DouaneError, GrantReplaced
from douane.sandbox import launch_spec
from support.sandbox.granted_folder import attack, granted, make
from support.sandbox.process import Cell, Ended
from support.sandbox.public_python import run_as_ordinary_user


def test_a_granted_folder_is_closed(tier: sandbox.Tier, tmp_path: Path) -> None:
    attack(tier, *make(tmp_path))


def test_a_granted_folder_of_an_ordinary_user_is_closed(tier: sandbox.Tier) -> None:
    done = run_as_ordinary_user("support.sandbox.granted_folder", tier.value)
    assert done.stdout == "closed\n", done.stderr


def test_a_folder_that_only_its_owner_can_read_is_readable(tier: sandbox.Tier, tmp_path: Path) -> None:
    folder, secret = make(tmp_path)
    for path in (folder / "file", folder / "deep", folder, tmp_path):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if os.geteuid() == 0:
            os.chown(path, 12345, 12345)
    attack(tier, folder, secret)


@pytest.mark.parametrize("target", ["file", "dir"])
def test_only_a_private_grant_needs_a_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """In the tier full the folders that lead there do not matter."""
    monkeypatch.setattr(launch_spec, "fresh_uid", lambda: 0x70000000)
    folder, _ = make(tmp_path)
    path = folder / "file" if target == "file" else folder
    interpreter = replace(sandbox.interpreter(), read=("/usr/lib",))
    for mode, is_private in ((0o644, False), (0o640, True)):
        (folder / "file").chmod(mode)
        spec = sandbox.SandboxSpec(sandbox.Tier.FULL, interpreter, granted=granted(f"{target}:{path}"))
        access = launch_spec.decide_access(spec, sandbox.PythonRuntime("x:y"))
        assert access.read_all is is_private
    for parent in (folder, tmp_path):
        parent.chmod(0o755)
    (folder / "file").chmod(0o644)
    tmp_path.chmod(0o700)
    strict = replace(spec, tier=sandbox.Tier.STRICT, granted=granted(f"{target}:{path}"))
    assert launch_spec.decide_access(strict, sandbox.PythonRuntime("x:y")).read_all


def test_a_granted_file_has_no_neighbours(tier: sandbox.Tier, tmp_path: Path) -> None:
    folder, secret = make(tmp_path)
    with Cell(tier, granted=granted(f"file:{folder}/file")) as cell:
        assert cell.returned("read", f"{folder}/file") == b"content".hex()
        assert cell.refused("read", f"{folder}/deep/file") in (2, 13)
        assert cell.refused("read", str(secret)) in (2, 13)
        assert cell.returned("change", f"{folder}/file") == []


def test_a_grant_may_be_named_by_a_link(tier: sandbox.Tier, tmp_path: Path) -> None:
    folder, _ = make(tmp_path)
    link = tmp_path / "current"
    link.symlink_to("granted")
    with Cell(tier, granted=granted(f"dir:{link}")) as cell:
        assert cell.returned("read", f"{link}/file") == b"content".hex()
        assert cell.refused("read", f"{link}/relative") in (2, 13)
    with Cell(tier, granted=granted(f"file:{folder}/relative")) as cell:
        assert cell.returned("read", f"{folder}/relative") == b"secret".hex()


def test_files_that_are_replaced_in_a_folder_are_seen(tier: sandbox.Tier, tmp_path: Path) -> None:
    folder, _ = make(tmp_path)
    with Cell(tier, granted=granted(f"dir:{folder}")) as cell:
        assert cell.returned("read", f"{folder}/file") == b"content".hex()
        (tmp_path / "new").write_text("newer")
        os.rename(tmp_path / "new", folder / "file")
        assert cell.returned("read", f"{folder}/file") == b"newer".hex()


def test_a_file_that_is_replaced_is_the_old_one_or_none(tier: sandbox.Tier, tmp_path: Path) -> None:
    folder, _ = make(tmp_path)
    with Cell(tier, granted=granted(f"file:{folder}/file")) as cell:
        (tmp_path / "new").write_text("newer")
        os.rename(tmp_path / "new", folder / "file")
        if tier is sandbox.Tier.FULL:
            assert cell.returned("read", f"{folder}/file") == b"content".hex()
        else:
            assert cell.refused("read", f"{folder}/file") == 13


@pytest.mark.parametrize("kind", ["file", "dir"])
@pytest.mark.parametrize("happens", ["replaced", "removed"])
def test_what_changes_before_the_sandbox_is_closed_starts_nothing(
    tier: sandbox.Tier, tmp_path: Path, kind: str, happens: str
) -> None:
    folder, _ = make(tmp_path)
    target = folder / "file" if kind == "file" else folder
    paths = granted(f"{kind}:{target}")
    os.rename(target, tmp_path / "old")
    if happens == "replaced":
        target.write_text("other") if kind == "file" else target.mkdir()
    with pytest.raises(GrantReplaced, match="was replaced or removed"):
        Cell(tier, granted=paths)


SWAPS = """
import ctypes, sys
library = ctypes.CDLL(None)
one, other = (name.encode() for name in sys.argv[1:])
print(flush=True)
while True:
    library.renameat2(-100, one, -100, other, 2)  # RENAME_EXCHANGE
"""


def test_a_path_that_leads_elsewhere_for_a_moment_opens_nothing_else(tier: sandbox.Tier, tmp_path: Path) -> None:
    """Whoever keeps a granted folder up to date could let its path lead to another folder while the rule is made."""
    for name in ("rules", "secrets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("x")
    status = (tmp_path / "rules").stat()
    current, other = tmp_path / "current", tmp_path / "other"
    current.symlink_to(tmp_path / "rules")
    other.symlink_to(tmp_path / "secrets")
    feed = sandbox.GrantedPath(str(current), status.st_dev, status.st_ino, True)
    words = [sys.executable, "-c", SWAPS, str(current), str(other)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as swapping:
        try:
            assert swapping.stdout is not None
            swapping.stdout.readline()
            for _ in range(30):
                with contextlib.suppress(DouaneError, Ended), Cell(tier, granted=(feed,)) as cell:
                    assert cell.refused("read", str(tmp_path / "secrets" / "secrets")) in (2, 13)
                    assert cell.refused("read", str(current / "secrets")) in (2, 13)
        finally:
            swapping.kill()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_sqlite_reads_a_database_by_path(tier: sandbox.Tier, tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    with sqlite3.connect(folder / "allowed.db") as writer:
        writer.execute(f"pragma journal_mode = {mode}")
        writer.execute("create table allowed (name text)")
        writer.execute("insert into allowed values ('a name')")
        writer.commit()
        assert (folder / "allowed.db-wal").exists() == (mode == "wal")
        with Cell(tier, granted=granted(f"dir:{folder}")) as cell:
            assert cell.returned("leaving.query", f"{folder}/allowed.db", "mode=ro") == "a name"
            writer.execute("update allowed set name = 'another'")
            writer.commit()
            assert cell.returned("leaving.query", f"{folder}/allowed.db", "mode=ro") == "another"
    writer.close()
    with Cell(tier, granted=granted(f"file:{folder}/allowed.db")) as cell:
        assert cell.returned("leaving.query", f"{folder}/allowed.db", "mode=ro&immutable=1") == "another"
        if mode == "wal":  # SQLite would have to make -wal and -shm, and says so
            assert cell.ask("leaving.query", f"{folder}/allowed.db", "mode=ro")["raised"] == "OperationalError"
