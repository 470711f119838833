"""The code of a plugin is found, and its digest taken, without running any of it."""

from __future__ import annotations

import gc
import inspect
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import douane
import douane_guest
from douane.plan.builtin import BUILT_IN
from douane.plan.code import find_code
from douane.plan.model import PluginSpec
from douane.plugins import ova


def test_several_threads_find_code_at_the_same_time():
    """A garbage collection lets other threads run in the middle of a parse; CPython 3.11 then raises SystemError."""
    assert len(inspect.getsource(ova)) > 10_000  # long enough for a collection to fall into it

    def yield_to_others(phase, info):
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(yield_to_others)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as pool:
            specs = [PluginSpec(name="ova", use="ova") for _ in range(24)]
            codes = list(pool.map(lambda spec: find_code(spec, tuple(sys.path)), specs))
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(yield_to_others)
    assert {code.kind.is_transform for code in codes} == {True}


@pytest.mark.parametrize("use", BUILT_IN)
@pytest.mark.parametrize("reader", ["douane/plugins/formats/qcow2_header.py", "douane_guest/headers/qcow2.py"])
def test_the_digest_of_a_built_in_plugin_covers_the_readers_of_formats(use: str, reader: str, tmp_path: Path) -> None:
    """Glance's attestations name the digest of the code that looked at an image: none may survive a new reader."""
    (tmp_path / "douane").mkdir()
    shutil.copy(Path(douane.__file__), tmp_path / "douane")
    shutil.copytree(Path(douane.__file__).parent / "plugins", tmp_path / "douane/plugins")
    shutil.copytree(Path(douane_guest.__file__).parent, tmp_path / "douane_guest")
    spec = PluginSpec(name=use, use=use)
    original = find_code(spec, (str(tmp_path),))
    assert original.origin is not None
    assert original.origin.startswith(str(tmp_path))
    assert original.code_sha256 == find_code(spec, tuple(sys.path)).code_sha256
    with (tmp_path / reader).open("a") as file:
        file.write("# a new line\n")
    assert find_code(spec, (str(tmp_path),)).code_sha256 != original.code_sha256


def digest(place: Path, use: str) -> str:
    return find_code(PluginSpec(name="check", use=use), (str(place),)).code_sha256


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package `vendor.checks` with the module `av`, which the plugin is in."""
    folder = tmp_path / "vendor" / "checks"
    (folder / "engine").mkdir(parents=True)
    for path in (folder.parent, folder, folder / "engine"):
        (path / "__init__.py").write_text("")
    (folder / "av.py").write_text("class AV: ...\n")
    (folder / "engine" / "scan.py").write_text("rules = 1\n")
    (folder / "engine" / "zip.py").write_text("rules = 2\n")
    return folder


@pytest.mark.parametrize("use", ["vendor.checks.av:AV", "vendor.checks:AV", "vendor:AV"])
@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "engine/scan.py").write_text("rules = 3\n"),
        lambda folder: (folder.parent / "__init__.py").write_text("import os\n"),
        lambda folder: (folder / "engine/scan.py").rename(folder / "engine/scam.py"),
        lambda folder: (folder / "engine").rename(folder / "motor"),
        lambda folder: (folder / "engine/scan.cpython-311-x86_64-linux-gnu.so").write_bytes(b"preferred to scan.py"),
        lambda folder: (folder / "engine/scan.so").write_bytes(b"preferred to scan.py"),
        lambda folder: (folder / "engine/more.pyc").write_bytes(b"a module without a source"),
        lambda folder: (folder / "engine/linked").symlink_to(make(folder.parent.parent / "elsewhere")),
    ],
    ids=["module", "parent", "name", "folder", "extension", "old extension", "sourceless", "linked folder"],
)
def test_the_digest_covers_all_that_an_import_may_run(package: Path, use: str, change: Callable[[Path], None]) -> None:
    place = package.parent.parent
    before = digest(place, use)
    assert before == digest(place, use)
    change(package)
    assert digest(place, use) != before


def make(folder: Path) -> Path:
    """A folder with a module, and a link to itself."""
    folder.mkdir()
    (folder / "module.py").write_text("rules = 4\n")
    (folder / "again").symlink_to(folder)
    return folder


def test_the_digest_depends_neither_on_the_place_nor_on_caches(package: Path, tmp_path: Path) -> None:
    before = digest(tmp_path, "vendor.checks.av:AV")
    (package / "__pycache__").mkdir()
    (package / "__pycache__/av.cpython-311.pyc").write_bytes(b"")
    shutil.copytree(tmp_path / "vendor", tmp_path / "copy" / "vendor")
    assert digest(tmp_path / "copy", "vendor.checks.av:AV") == digest(tmp_path, "vendor.checks.av:AV") == before


@pytest.mark.parametrize("scheme", ["exec", "wire"])
def test_the_paths_of_grants_stand_in_the_arguments_of_programs(scheme: str, tmp_path: Path) -> None:
    spec = PluginSpec(
        name="scan",
        use=f"{scheme}:/bin/true --db={{grant:db}} '{{grant:keys}}'",
        grants={"db": "dir:a folder", "keys": "file:/srv/keys"},
        base=str(tmp_path),
    )
    assert find_code(spec, ()).argv == ("/bin/true", f"--db={tmp_path}/a folder", "/srv/keys")
