"""Metadata of installed distributions are any author's files: what is not a short regular file is not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from douane.errors import PlanError
from douane.plan import distributions
from douane.plan.code import find_code
from douane.plan.distributions import installed_plugins, version_of
from douane.plan.model import PluginSpec


@pytest.fixture
def info(tmp_path: Path) -> Path:
    """The metadata of a distribution with a plugin in the module `hostile`."""
    folder = tmp_path / "hostile-1.2.dist-info"
    folder.mkdir()
    (tmp_path / "hostile.py").write_text("class Check: pass\n")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.2\n")
    (folder / "RECORD").write_text("hostile.py,,\n")
    (folder / "entry_points.txt").write_text("[douane.plugins]\nhostile = hostile:Check\n")
    return folder


def installed(info: Path) -> dict[str, str | None]:
    """The versions of the plugins that are found, by name."""
    found_plugins = installed_plugins((str(info.parent),))
    return {name: plugin.version for name, plugin in found_plugins.items()}


def version(info: Path) -> str | None:
    """The version that is found for the module."""
    return version_of("hostile", str(info.parent / "hostile.py"), (str(info.parent),))


def as_pipe(path: Path) -> None:
    """Make it a file whose opening waits for ever."""
    path.unlink()
    os.mkfifo(path)


def as_device(path: Path) -> None:
    """Make it a file that has no end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def as_large(path: Path) -> None:
    """Make it larger than memory, without blocks."""
    os.truncate(path, 1 << 42)


def test_metadata_are_read(info: Path) -> None:
    assert installed(info) == {"hostile": "1.2"}
    assert version(info) == "1.2"


@pytest.mark.parametrize("spoil", [as_pipe, as_device, as_large])
@pytest.mark.parametrize("name", ["entry_points.txt", "RECORD", "METADATA"])
def test_files_that_cannot_be_read_to_their_end_do_no_harm(
    info: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    spoil(info / name)
    is_described = name == "METADATA" and spoil is not as_large  # its first lines are read
    assert installed(info) == ({} if name == "entry_points.txt" else {"hostile": None if is_described else "1.2"})
    assert version(info) == (None if name == "RECORD" or is_described else "1.2")


@pytest.mark.parametrize("spoil", [as_pipe, as_device, as_large])
def test_code_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for name in ("__init__.py", "check.py", "other.py"):
        (package / name).write_text("class Check: pass\n")
    spec = PluginSpec(name="p", use="package.check:Check")
    find_code(spec, (str(tmp_path),))
    spoil(package / "other.py")
    with pytest.raises(PlanError, match=r"other\.py cannot be read"):
        find_code(spec, (str(tmp_path),))


def test_malformed_and_unprintable_entries_are_passed_over(info: Path) -> None:
    lines = [
        "[douane.plugins]",
        "empty = ",
        "odd = !!:::",
        "\x1b[31mred = hostile:Check",
        "x" * 101 + " = hostile:Check",
    ]
    (info / "entry_points.txt").write_text("\n".join([*lines, "good = hostile:Check"]))
    assert installed(info) == {"good": "1.2"}


def test_one_distribution_registers_a_bounded_number_of_plugins(info: Path) -> None:
    lines = [f"plugin{number} = hostile:Check" for number in range(50_000)]
    (info / "entry_points.txt").write_text("\n".join(["[douane.plugins]", *lines]))
    assert len(installed(info)) == distributions._MAX_PLUGINS
    with pytest.raises(PlanError) as caught:
        find_code(PluginSpec(name="p", use="missing"), (str(info.parent),))
    assert len(str(caught.value)) < 5000


def test_folders_that_are_too_deep_are_refused(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for name in ("__init__.py", "check.py", "../plugin.py"):
        (package / name).write_text("class Check: pass\n")
    inside = PluginSpec(name="p", use="package.check:Check")
    beside = PluginSpec(name="p", use=f"{tmp_path}/plugin.py:Check", modules=("package/",))
    os.makedirs(package / "/".join("d" * 64))
    for spec in (inside, beside):
        find_code(spec, (str(tmp_path),))
    os.makedirs(package / "/".join("d" * 66))
    for spec in (inside, beside):
        with pytest.raises(PlanError, match=r"'p': .*more than 64 levels deep"):
            find_code(spec, (str(tmp_path),))
