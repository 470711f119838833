"""The private /tmp: libraries and programs can use it as they are, nobody else sees it, and nothing of it remains."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import sandbox
from douane.sandbox import private_folder
from support.sandbox.process import Cell

MIB = 1 << 20
SMALL = sandbox.Bounds(temporary_bytes=4 * MIB, temporary_files=64)
LARGE = sandbox.Bounds(temporary_bytes=4 * MIB, temporary_files=64, file_bytes=4 * MIB)


@pytest.fixture(params=[SMALL, LARGE], ids=["small", "with scratch"])
def bounds(request: pytest.FixtureRequest) -> sandbox.Bounds:
    """The bounds of a plugin without and with `scratch`."""
    bounds: sandbox.Bounds = request.param
    return bounds


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the folders on the disk are made."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o711)
    place = tmp_path / "temporary"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(place))
    private_folder.forget()
    yield place
    monkeypatch.undo()
    private_folder.forget()  # this one is removed with the test


def test_libraries_use_temporary_files(tier: sandbox.Tier, bounds: sandbox.Bounds, folders: Path) -> None:
    with Cell(tier, bounds=bounds) as cell:
        assert cell.returned("use_files") == {}
        assert cell.returned("put_file", "remains", 4096) == 4096
    assert list(folders.iterdir()) == []


def test_a_file_is_no_longer_than_the_bound(tier: sandbox.Tier, bounds: sandbox.Bounds) -> None:
    with Cell(tier, bounds=bounds) as cell:
        assert cell.refused("put_file", "long", 4 * MIB + 1) in (errno.EFBIG, errno.ENOSPC)


def test_the_memory_of_all_files_is_bounded_by_the_kernel() -> None:
    with Cell(sandbox.Tier.FULL, bounds=SMALL) as cell:
        assert cell.returned("make_files", 100) < 64
        assert cell.returned("hide_files", 8, MIB) < 4
        assert cell.process.temporary() is None


@pytest.mark.parametrize("tier", [sandbox.Tier.STRICT, sandbox.Tier.FULL])
def test_the_folder_on_the_disk_is_measured(tier: sandbox.Tier) -> None:
    with Cell(tier, bounds=LARGE) as cell:
        cell.returned("put_file", "one", MIB)
        cell.returned("put_file", "two", MIB)
        cell.returned("make_files", 10)
        usage = cell.process.temporary()
        assert usage is not None
        assert (usage.bytes, usage.files, usage.is_disk_short) == (2 * MIB, 12, False)


def test_files_without_a_name_cannot_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    with Cell(sandbox.Tier.STRICT, bounds=LARGE) as cell:
        before = cell.process.temporary()
        assert before is not None
        assert not before.is_disk_short
        monkeypatch.setattr(private_folder, "RESERVE_BYTES", 1 << 62)
        monkeypatch.setattr(private_folder, "RESERVE_SHARE", 1)
        assert cell.returned("hide_files", 16, MIB) == 16
        usage = cell.process.temporary()
        assert usage is not None
        assert usage.bytes == 0
        assert usage.is_disk_short


def test_files_without_a_name_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        os.chmod(place, 0o1777)
        monkeypatch.setenv("TMPDIR", place)
        private_folder.forget()
        with Cell(sandbox.Tier.STRICT, bounds=LARGE) as cell:
            assert cell.returned("hide_files", 16, MIB) == 16
            before = cell.process.temporary()
            assert before is not None
            assert not before.is_disk_short
            assert private_folder._memory().free > private_folder._memory().reserve > 0
            monkeypatch.setattr(private_folder, "_memory", lambda: private_folder._Room(1, 2))
            usage = cell.process.temporary()
            while usage == before:  # it is not measured all the time
                usage = cell.process.temporary()
            assert usage is not None
            assert usage.is_disk_short


def test_a_written_file_cannot_be_executed(tier: sandbox.Tier, bounds: sandbox.Bounds) -> None:
    with Cell(tier, bounds=bounds, programs=(Path("/bin/sh"),)) as cell:
        assert cell.refused("run_file") == errno.EACCES


def test_nobody_else_can_enter_the_folder(tier: sandbox.Tier, folders: Path) -> None:
    with Cell(tier, bounds=LARGE), Cell(tier, bounds=LARGE) as other:
        paths = sorted(folders.iterdir())
        assert len(paths) == 2
        assert {path.stat().st_mode & 0o777 for path in paths} == {0o700}
        assert sum(other.ask("listing", str(path)) == {"returned": []} for path in paths) == (
            1 if tier is sandbox.Tier.STRICT else 0
        )


def test_the_folder_of_a_killed_engine_is_removed_by_the_next(folders: Path) -> None:
    abandoned = folders / "douane-plugin-0123456789abcdef"
    (abandoned / "deep").mkdir(parents=True)
    (abandoned / "deep" / "file").write_bytes(b"x")
    foreign = folders / "something-else"
    foreign.mkdir()
    with Cell(sandbox.Tier.STRICT) as cell:
        assert cell.returned("listing", str(next(folders.glob("douane-plugin-*")))) == []
        assert not abandoned.exists()
    assert sorted(folders.iterdir()) == [foreign]


def test_a_tree_of_any_depth_is_removed(tier: sandbox.Tier, folders: Path) -> None:
    with Cell(tier, bounds=LARGE) as cell:
        assert cell.returned("leave_hostile_tree", 3000) == 3000
    assert list(folders.iterdir()) == []


def test_a_deep_tree_of_a_killed_engine_is_removed_by_the_next(folders: Path) -> None:
    abandoned = folders / "douane-plugin-0123456789abcdef"
    abandoned.mkdir()
    place = os.getcwd()
    try:
        os.chdir(abandoned)
        for _ in range(3000):
            os.mkdir("n" * 100)
            os.chdir("n" * 100)
    finally:
        os.chdir(place)
    with Cell(sandbox.Tier.STRICT):
        assert not abandoned.exists()


def test_the_folder_of_another_user_is_not_removed(folders: Path) -> None:
    decoy = folders / "douane-plugin-0123456789abcdef"
    decoy.mkdir()
    (folders / "douane-plugin-link").symlink_to("/etc")
    (folders / "douane-plugin-file").touch()
    if os.geteuid() == 0:
        os.chown(decoy, 65532, 65532)
    with Cell(sandbox.Tier.STRICT):
        assert decoy.exists() == (os.geteuid() == 0)
    assert os.path.exists("/etc/passwd")


def test_a_folder_that_is_in_use_is_not_removed(folders: Path) -> None:
    with Cell(sandbox.Tier.STRICT, bounds=LARGE) as cell:
        private_folder.forget()
        with Cell(sandbox.Tier.STRICT, bounds=LARGE):
            assert len(list(folders.iterdir())) == 2
        assert cell.returned("put_file", "still", 4096) == 4096


def test_links_out_of_the_folder_are_not_followed(tier: sandbox.Tier, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(MIB))
    with Cell(tier, bounds=LARGE) as cell:
        assert cell.returned("link_in_folder", str(tmp_path)) == "linked"
        assert cell.refused("read_in_folder", "link/secret") in (2, 13)
        usage = cell.process.temporary()
        assert usage is not None
        assert usage.bytes < MIB
    assert secret.stat().st_size == MIB


def test_in_full_the_folder_may_be_where_only_the_engine_can_enter(folders: Path) -> None:
    folders.chmod(0o700)
    with Cell(sandbox.Tier.FULL, bounds=LARGE) as cell:
        assert cell.returned("put_file", "file", 4096) == 4096
        assert [path.name.startswith("douane-plugin-") for path in folders.iterdir()] == [True]


def test_without_a_folder_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr(private_folder, "_CANDIDATES", ())
    private_folder.forget()
    with pytest.raises(sandbox.SandboxError, match="TMPDIR"):
        Cell(sandbox.Tier.STRICT)


def test_processes_and_locks_work_where_they_are_allowed(tier: sandbox.Tier) -> None:
    with Cell(tier, forks=True) as cell:
        assert cell.returned("locks") == {}
        assert cell.refused("become", "/bin/true") in (errno.EPERM, errno.ENOENT)


def test_libraries_find_what_every_system_has(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        assert cell.returned("base") == {}
        assert os.environ["TMPDIR"] not in cell.returned("environment").values()


def test_a_folder_that_was_removed_is_looked_for_again(tier: sandbox.Tier, tmp_path: Path, folders: Path) -> None:
    with Cell(tier, bounds=LARGE):
        pass
    folders.rename(tmp_path / "removed")
    with Cell(tier, bounds=LARGE) as cell:
        assert cell.returned("use_files") == {}
    (tmp_path / "removed").rename(folders)


def test_the_standard_streams_have_names(tier: sandbox.Tier) -> None:
    with Cell(tier) as cell:
        assert cell.returned("streams") == {}
