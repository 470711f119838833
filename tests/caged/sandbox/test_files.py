"""A plugin process reads only the files that it needs, and changes none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from douane import sandbox
from support.sandbox.process import CAGED, Cell, ring


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Path]:
    """Files of the service and of other users, with modes that let everybody read them."""
    paths = {}
    for name in ("catalog.sqlite", "store/image", "plugins/other.py", "staging/another-import"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"secret")
        path.chmod(0o644)
        paths[name] = path
    return paths


def test_files_of_the_system_and_the_service_cannot_be_read(tier: sandbox.Tier, secrets: dict[str, Path]) -> None:
    with Cell(tier) as cell:
        for path in (
            "/etc/shadow",
            "/etc/hostname",
            "/proc/1/environ",
            "/proc/cpuinfo",
            "/sys/kernel",
            *secrets.values(),
        ):
            assert cell.refused("read", str(path)) in (2, 13, 21), path
        if tier is sandbox.Tier.STRICT:
            assert cell.refused("read", "/etc/passwd") == 13
            assert cell.refused("listing", "/tmp") == 13
        else:
            assert bytes.fromhex(cell.returned("read", "/etc/passwd")).startswith(b"plugin:")
            assert cell.returned("listing", "/tmp") == []
        for folder in ("/", "/etc", "/home", "/proc", "/dev", "/var", str(next(iter(secrets.values())).parent)):
            assert cell.refused("listing", folder) in (2, 13), folder


def test_the_tier_full_hides_that_a_file_exists(secrets: dict[str, Path]) -> None:
    with Cell(sandbox.Tier.FULL) as cell:
        for path in ("/etc/shadow", "/var", "/home", *secrets.values()):
            assert cell.returned("visible", str(path)) is False, path


def test_the_plugin_reads_its_own_code(tier: sandbox.Tier, tmp_path: Path) -> None:
    data = tmp_path / "rules.txt"
    data.write_text("rule")
    with Cell(tier, read=(data,)) as cell:
        assert bytes.fromhex(cell.returned("read", str(data))) == b"rule"
        assert "attacks.py" in cell.returned("listing", str(CAGED))
        if tier is sandbox.Tier.STRICT:
            assert cell.refused("listing", str(tmp_path)) == 13
        else:  # below /tmp, which is the plugin's own
            assert cell.returned("listing", str(tmp_path)) == ["rules.txt"]


def test_the_plugin_can_write_nowhere(tier: sandbox.Tier, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    folders = ["/", "/var/tmp", "/dev", "/proc/self", "/run", str(CAGED), str(tmp_path)]
    folders += [entry for entry in sandbox.interpreter().sys_path if os.path.isdir(entry)]
    folders += ["/tmp", "/dev/shm"] if tier is sandbox.Tier.STRICT else []
    with Cell(tier, read=(tmp_path,)) as cell:
        assert cell.returned("write_everywhere", folders) == []
    assert list(tmp_path.iterdir()) == []


def test_a_readable_file_cannot_be_changed(tier: sandbox.Tier, tmp_path: Path) -> None:
    module = tmp_path / "own.py"
    module.write_text("pass")
    module.chmod(0o666)
    tmp_path.chmod(0o777)
    with Cell(tier, read=(tmp_path,)) as cell:
        assert cell.returned("change", str(module)) == []
        assert cell.returned("change", "/dev/null") == []
    assert module.read_text() == "pass"
    assert module.stat().st_mode & 0o777 == 0o666


def test_a_granted_file_can_be_read_and_its_neighbours_cannot(tier: sandbox.Tier, tmp_path: Path) -> None:
    granted = tmp_path / "granted"
    granted.write_text("granted")
    (tmp_path / "beside").write_text("secret")
    with granted.open("rb") as file, Cell(tier, keep=(file.fileno(),)) as cell:
        assert cell.returned("read_fd", file.fileno(), 7) == "granted"
        assert cell.refused("reopen", file.fileno(), os.O_RDONLY) == 13
        assert cell.refused("write_fd", file.fileno(), 1) == 9
        assert cell.refused("read", str(granted)) in (2, 13)
        assert cell.refused("read", str(tmp_path / "beside")) in (2, 13)


@pytest.mark.parametrize("kind", ["file", "memory"])
@pytest.mark.parametrize("programs", [(), (Path("/bin/sh"),)], ids=["python", "programs"])
def test_a_readable_descriptor_has_a_read_only_path(
    tier: sandbox.Tier, tmp_path: Path, kind: str, programs: tuple[Path, ...]
) -> None:
    image = tmp_path / "image"
    image.write_text("image")
    image.chmod(0o666)
    fd = os.open(image, os.O_RDONLY) if kind == "file" else ring(b"image")
    try:
        with Cell(tier, keep=(fd,), readable=(fd,), programs=programs) as cell:
            assert cell.returned("reopen", fd, os.O_RDONLY).startswith("image")
            for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
                assert cell.refused("reopen", fd, flags) in (1, 13), flags
        assert image.read_text() == "image"
    finally:
        os.close(fd)


def test_memory_that_can_be_reopened_must_be_sealed(tier: sandbox.Tier) -> None:
    fd = os.memfd_create("open")
    try:
        with pytest.raises(sandbox.SandboxError, match="sealed"):
            Cell(tier, keep=(fd,), readable=(fd,))
    finally:
        os.close(fd)


def test_the_ring_cannot_be_changed(tier: sandbox.Tier) -> None:
    fd = ring(b"bytes")
    try:
        with Cell(tier, keep=(fd,)) as cell:
            assert cell.returned("mapped", fd, 5) == "bytes"
            assert [each for each in cell.returned("ring_attacks", fd, 1 << 16) if each != "lock"] == []
            assert cell.returned("mapped", fd, 5) == "bytes"
        with Cell(tier, keep=(fd,), programs=(Path("/bin/sh"),)) as cell:
            assert [each for each in cell.returned("ring_attacks", fd, 1 << 16) if each != "lock"] == []
        assert os.pread(fd, 5, 0) == b"bytes"
    finally:
        os.close(fd)


def test_an_unsealed_ring_stops_the_start(tier: sandbox.Tier) -> None:
    fd = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    try:
        with pytest.raises(sandbox.SandboxError, match=f"map memory {fd} writable: succeeded"):
            Cell(tier, keep=(fd,))
    finally:
        os.close(fd)


PINNED = 1024 - 6
"""The numbers of the descriptors that only hold files of /proc/self (O_PATH)."""


def test_only_the_given_descriptors_are_inherited(tier: sandbox.Tier) -> None:
    secret = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(secret, True)
    fd = ring(b"")
    try:
        with Cell(tier, keep=(fd,)) as cell:
            descriptors = {int(each) for each in cell.returned("descriptors") if int(each) < PINNED}
            channel = descriptors - {0, 1, 2, fd}
            assert len(channel) == 1, descriptors
    finally:
        os.close(secret)
        os.close(fd)


VARIABLES = ("HOME", "LANG", "LOGNAME", "OMP_NUM_THREADS", "TMPDIR", "TZ", "USER")


def test_the_environment_is_empty(tier: sandbox.Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOUANE_TEST_SECRET", "s3cret")
    with Cell(tier) as cell:
        assert set(cell.returned("environment")) <= {*VARIABLES, "PWD", "LC_CTYPE"}
        for pid in ("self", "1", os.getpid(), os.getppid()):
            assert cell.refused("read", f"/proc/{pid}/environ") in (2, 13)
