"""`douane import`: what is accepted is stored and active; and where the state lives."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.gates import Gate
from support.program import MIB, PLUGINS, Program, end

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_an_import_prints_the_id_and_the_image_is_there(douane: Program, qcow2: Path) -> None:
    result = douane.run("import", qcow2, "--name", "web server", "--property", "os=linux")
    assert (result.code, result.stderr) == (0, "")
    image_id = result.text.removesuffix("\n")
    assert ID.fullmatch(image_id)
    [image] = douane.images()
    assert (image["id"], image["name"], image["status"]) == (image_id, "web server", "active")
    assert (image["disk_format"], image["container_format"]) == ("qcow2", "bare")
    assert (image["size"], image["virtual_size"]) == (qcow2.stat().st_size, 10 * MIB)
    assert image["properties"]["os"] == "linux"
    assert image["properties"]["format.disk_format"] == "qcow2"
    assert image["digests"]["sha512"] == hashlib.sha512(qcow2.read_bytes()).hexdigest()
    assert douane.stored() == [f"images/{image_id}"]
    assert (douane.home / "store" / "images" / image_id).read_bytes() == qcow2.read_bytes()


def test_an_import_is_one_object_for_programs(douane: Program, qcow2: Path) -> None:
    result = douane.run("import", qcow2, "--json")
    document = result.json
    assert (result.code, document["outcome"], document["sandbox"] in ("full", "strict")) == (0, "accepted", True)
    assert document["received"] == document["stored"]
    assert document["stored"]["md5"] == hashlib.md5(qcow2.read_bytes()).hexdigest()
    assert document["image"]["status"] == "active"
    assert douane.images() == [document["image"]]
    assert document["image"]["name"] == "disk.qcow2"


def test_a_refused_image_is_not_stored(douane: Program, qcow2: Path) -> None:
    for args in ((), ("--json",)):
        result = douane.run("import", qcow2, "--disk-format", "raw", *args)
        assert result.code == 1
        assert "declared as raw, but it is qcow2" in result.text
        if args:
            assert (result.json["outcome"], result.json["image"]) == ("refused", None)
    assert douane.images() == []
    assert douane.stored() == []


def test_an_image_may_come_from_a_pipe(douane: Program, qcow2: Path) -> None:
    result = douane.run("import", "-", "--json", input=qcow2.read_bytes())
    assert result.code == 0
    image = result.json["image"]
    assert (image["name"], image["size"]) == (None, qcow2.stat().st_size)


def test_what_was_found_and_declared_is_what_the_image_has(douane: Program, raw: Path) -> None:
    image = douane.run("import", raw, "--json").json["image"]
    assert (image["disk_format"], image["container_format"]) == ("raw", "bare")
    image = douane.run("import", raw, "--json", "--disk-format", "raw", "--container-format", "bare").json["image"]
    assert (image["disk_format"], image["container_format"]) == ("raw", "bare")


def test_a_transform_changes_what_is_stored_and_both_ends_are_told(douane: Program, qcow2: Path) -> None:
    (douane.place / "unpack.py").write_text(
        "from douane_plugin import Transform\n"
        "class Unpack(Transform):\n"
        "    def transform(self, image):\n"
        "        import zlib\n"
        "        unpack = zlib.decompressobj(31)\n"
        "        for chunk in image:\n"
        "            yield unpack.decompress(chunk)\n"
        "        yield unpack.flush()\n"
    )
    packed = subprocess.run(["gzip", "-c", qcow2], capture_output=True, check=True).stdout
    (douane.place / "plan.toml").write_text('[[plugin]]\nname = "unpack"\nuse = "unpack.py:Unpack"\n')
    document = douane.run("import", "-", "--json", "-c", "plan.toml", input=packed).json
    assert document["outcome"] == "accepted", document
    assert (document["received"]["size"], document["stored"]["size"]) == (len(packed), qcow2.stat().st_size)
    assert document["image"]["disk_format"] == "qcow2"
    assert document["image"]["digests"]["md5"] == hashlib.md5(qcow2.read_bytes()).hexdigest()
    assert douane.run("save", document["image"]["id"], "-").stdout == qcow2.read_bytes()


def test_holes_stay_holes_through_import_and_save(douane: Program) -> None:
    sparse = douane.place / "sparse"
    with sparse.open("wb") as file:
        file.write(os.urandom(4096))
        file.seek(300 * MIB)
        file.write(os.urandom(4096))
        file.truncate(500 * MIB)
    image_id = douane.bring_in(sparse)
    stored = douane.home / "store" / "images" / image_id
    saved = douane.place / "saved"
    assert douane.run("save", image_id, saved).code == 0
    for path in (stored, saved):
        assert path.stat().st_size == 500 * MIB
        assert path.stat().st_blocks * 512 <= 2 * MIB
        subprocess.run(["cmp", "--", sparse, path], check=True)


# Where the state lives.


def test_the_home_is_what_the_option_says_then_the_variables(douane: Program, qcow2: Path) -> None:
    place = douane.place
    bare = {name: value for name, value in douane.env.items() if name != "DOUANE_HOME"}
    everything = {**bare, "DOUANE_HOME": str(place / "b"), "XDG_DATA_HOME": str(place / "c")}
    for number, (args, env, where) in enumerate(
        (
            (("--home", place / "a"), everything, place / "a"),
            ((), everything, place / "b"),
            ((), {**everything, "DOUANE_HOME": ""}, place / "c" / "douane"),
            ((), {**bare, "XDG_DATA_HOME": "relative"}, place / "user" / ".local" / "share" / "douane"),
            ((), bare, place / "user" / ".local" / "share" / "douane"),
        )
    ):
        result = douane.run("import", qcow2, "--name", number, *args, env=env)
        assert result.code == 0, result.stderr
        assert (where / "store" / "images" / result.text.strip()).is_file()
        assert (where.stat().st_mode & 0o777, (where / "catalog.sqlite3").stat().st_mode & 0o777) == (0o700, 0o600)
        listed = douane.run("images", "--json", *args, env=env).json["images"]
        assert listed[-1]["name"] == str(number)
    assert not (place / "home" / "store").exists()


def test_the_home_may_stand_before_the_command(douane: Program, qcow2: Path) -> None:
    assert douane.run("--home", "first", "import", qcow2).code == 0
    assert len(douane.run("--home", "other", "images", "--home", "first", "--json").json["images"]) == 1
    assert not (douane.home / "store").exists()


def test_who_asks_is_told_what_there_is(douane: Program) -> None:
    result = douane.run("--help")
    assert result.code == 0
    for word in ("check", "import", "images", "show", "save", "delete", "plan", "doctor", "Exit codes"):
        assert word in result.text
    assert re.fullmatch(r"douane \d+\.\d+\.\d+\n", douane.run("--version").text)


# Several at once.


def test_two_imports_at_once_into_a_home_that_is_not_there_yet(douane: Program, qcow2: Path, raw: Path) -> None:
    douane.home = douane.place / "new"
    running = [douane.start("import", file, "--json", "--home", "new") for file in (qcow2, raw, qcow2)]
    ended = [end(process) for process in running]
    assert [result.code for result in ended] == [0, 0, 0], [result.stderr for result in ended]
    listed = douane.run("images", "--json", "--home", "new").json["images"]
    assert {(image["id"], image["status"]) for image in listed} == {
        (result.json["image"]["id"], "active") for result in ended
    }
    assert len(douane.stored()) == 3


def test_a_living_import_is_never_cleaned_up(douane: Program, raw: Path, gate: Gate) -> None:
    """Every command sets right what dead imports left; one that is merely slow must not be taken for dead."""
    running = douane.start("import", raw, "--config", gate.config)
    gate.wait()
    for _ in range(2):
        assert [image["status"] for image in douane.images()] == ["importing"]
    second_id = douane.bring_in(raw)
    assert douane.run("delete", second_id).code == 0
    gate.open()
    result = end(running)
    assert (result.code, result.stderr) == (0, "")
    [image] = douane.images()
    assert (image["id"], image["status"]) == (result.text.strip(), "active")
    assert douane.run("save", image["id"], "-").stdout == raw.read_bytes()


def test_an_image_that_is_deleted_while_it_is_imported_does_not_come_back(
    douane: Program, raw: Path, gate: Gate
) -> None:
    running = douane.start("import", raw, "--config", gate.config)
    gate.wait()
    [image] = douane.images()
    assert douane.run("delete", image["id"]).code == 0
    gate.open()
    result = end(running)
    assert result.code == 3
    assert "deleted" in result.stderr
    assert douane.images() == []
    assert douane.stored() == []


def test_an_import_under_way_can_be_seen_but_not_taken(douane: Program, raw: Path, gate: Gate) -> None:
    running = douane.start("import", raw, "--config", gate.config)
    gate.wait()
    [image] = douane.images()
    document = douane.run("show", image["id"], "--json").json
    assert (document["image"]["status"], [task["outcome"] for task in document["tasks"]]) == ("importing", [None])
    result = douane.run("save", image["id"], douane.place / "too-early")
    assert result.code in (2, 3)
    assert image["id"] in result.stderr
    assert not (douane.place / "too-early").exists()
    gate.open()
    assert end(running).code == 0


@pytest.mark.parametrize("plugin", ["Echo", "Property"])
def test_what_plugins_find_is_kept_with_their_name(douane: Program, qcow2: Path, plugin: str) -> None:
    image_id = douane.bring_in(qcow2, "-p", f"own={PLUGINS}/echo.py:{plugin}")
    image = douane.run("show", image_id, "--json").json["image"]
    mine = [name for name, source in image["sources"].items() if source == "own"]
    assert mine
    assert all(name.startswith("own.") for name in mine)


def test_an_image_whose_id_could_not_be_printed_is_not_said_to_be_kept_out(douane: Program, qcow2: Path) -> None:
    """The output is a full disk: the image is in by then, and whoever reads the error must be able to find it."""
    with Path("/dev/full").open("wb") as full:
        result = douane.run("import", qcow2, stdout=full)
    assert result.code != 0
    [image] = douane.images()
    assert "nothing was let in" not in result.stderr
    assert image["id"] in result.stderr
