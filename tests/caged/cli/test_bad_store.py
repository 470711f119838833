"""A store that cannot take the image: a sentence that names the place, nothing half there, and the next run works."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from support.program import MIB, Completed, Program, end, without_roots_rights


def undecided(result: Completed, code: str, *words: str) -> None:
    assert (result.code, result.json["outcome"], result.json["code"]) == (3, "undecided", code), result
    for word in words:
        assert word in result.json["message"]


def on_a_disk_of(size: int, home: Path, *more: str) -> tuple[str, ...]:
    """Begins a command line whose program has, at `home`, a disk of its own with room for `size` bytes."""
    home.mkdir(exist_ok=True)
    rights = ("--cap-add", "ALL") if os.geteuid() == 0 else ()
    return ("bwrap", "--dev-bind", "/", "/", *rights, "--size", str(size), "--tmpfs", str(home), *more, "--")


def test_a_full_disk(douane: Program, raw: Path) -> None:
    """In one namespace: the import, what is left of it, and the list of images after it."""
    home = douane.place / "small-disk"
    env = {**douane.env, "DOUANE_HOME": str(home)}
    steps = [
        f"{shlex.join(douane.command('import', raw, '--json', '--sandbox', 'strict'))} > imported.json",
        "echo $? > code",
        f"find {home}/store -type f > left",
        f"{shlex.join(douane.command('images', '--json'))} > images.json",
        f"{shlex.join(douane.command('import', 'small', '--sandbox', 'strict'))} > id",
        f"find {home}/store -type f > left-then",
    ]
    small = douane.place / "small"
    small.write_bytes(os.urandom(1000))
    script = "\n".join(steps)
    process = subprocess.Popen(
        [*on_a_disk_of(6 * MIB, home), "sh", "-c", script], env=env, stderr=subprocess.PIPE, cwd=douane.place
    )
    result = end(process)
    files = {name: (douane.place / name).read_bytes() for name in ("imported.json", "left", "images.json", "id")}
    code = int((douane.place / "code").read_text())
    undecided(Completed(code, files["imported.json"], result.stderr), "store-full", str(home), "space")
    assert files["left"] == b""
    assert Completed(0, files["images.json"], "").json == {"images": []}
    assert (douane.place / "left-then").read_text() == f"{home}/store/images/{files['id'].decode()}"


def test_a_limit_on_the_length_of_files(douane: Program, raw: Path) -> None:
    result = douane.run("import", raw, "--json", wrap=("prlimit", f"--fsize={18 * MIB}", "--"))
    undecided(result, "store-full", str(douane.home / "store"), "limit")
    assert douane.stored() == []
    assert douane.images() == []
    douane.bring_in(raw)


def test_a_disk_that_is_too_full_for_the_catalog(douane: Program, qcow2: Path) -> None:
    home = douane.place / "small"
    result = douane.run("import", qcow2, "--home", home, "--json", wrap=on_a_disk_of(16384, home))
    assert result.code in (2, 3)
    assert str(home) in result.json["message"]
    assert "space" in result.json["message"]


def test_a_disk_that_is_mounted_read_only(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    wrap = on_a_disk_of(MIB, douane.place / "unused", "--ro-bind", str(douane.home), str(douane.home))
    for args in (("import", qcow2), ("delete", image_id)):
        result = douane.run(*args, "--json", wrap=wrap)
        assert result.code in (2, 3)
        assert str(douane.home) in result.json["message"]
    assert [image["id"] for image in douane.images()] == [image_id]
    assert douane.run("save", image_id, "-").stdout == qcow2.read_bytes()


@pytest.mark.parametrize("home", ["disk.qcow2", "disk.qcow2/home", "/dev/null/home"])
def test_a_home_that_is_a_file(douane: Program, qcow2: Path, home: str) -> None:
    content = qcow2.read_bytes()
    for args in (("import", qcow2), ("images",)):
        result = douane.run(*args, "--home", home, "--json")
        assert (result.code, result.json["code"]) == (2, "wrong-configuration")
        assert f"the home directory {home} cannot be made" in result.stderr
        assert "--home or DOUANE_HOME" in result.stderr
    assert qcow2.read_bytes() == content


def test_a_home_that_may_not_be_made_or_written(douane: Program, qcow2: Path) -> None:
    locked = douane.place / "locked"
    locked.mkdir(mode=0o555)
    for home in (locked, locked / "home"):
        result = douane.run("import", qcow2, "--home", home, "--json", wrap=without_roots_rights())
        assert result.code == 2
        assert str(locked) in result.json["message"]
        assert "Permission denied" in result.stderr or "right to write" in result.stderr
    assert list(locked.iterdir()) == []


@pytest.mark.parametrize("folder", ["staging", "images"])
def test_a_store_that_may_not_be_written(douane: Program, qcow2: Path, folder: str) -> None:
    first = douane.bring_in(qcow2)
    (douane.home / "store" / folder).chmod(0o500)
    result = douane.run("import", qcow2, "--json", wrap=without_roots_rights())
    undecided(result, "store-unwritable", f"{douane.home}/store/{folder}", "write permission")
    (douane.home / "store" / folder).chmod(0o700)
    assert [image["id"] for image in douane.images()] == [first]
    assert douane.stored() == [f"images/{first}"]
    douane.bring_in(qcow2)


def test_a_file_where_the_store_should_be(douane: Program, qcow2: Path) -> None:
    (douane.home / "store").write_text("mine")
    result = douane.run("import", qcow2, "--json")
    assert result.code == 3
    assert str(douane.home / "store") in result.json["message"]
    assert (douane.home / "store").read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, os.urandom(8192)])
def test_a_catalog_that_is_none(douane: Program, qcow2: Path, content: bytes) -> None:
    """An empty file is what a crash at the very beginning leaves; anything else is not ours to write in."""
    catalog = douane.home / "catalog.sqlite3"
    catalog.write_bytes(content)
    result = douane.run("import", qcow2, "--json")
    if not content:
        assert result.code == 0
        return
    assert result.code == 2
    assert f"{catalog} is damaged, or not a catalog" in result.stderr
    assert catalog.read_bytes() == content
    assert not (douane.home / "store").exists()
