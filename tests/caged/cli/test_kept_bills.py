"""`douane sbom --from-import`: the bill of reading, and no byte of the image is read for it."""

from __future__ import annotations

import io
import zlib
from base64 import b64encode
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from douane.bills.kept import InventoryRecord, write_kept_bill
from douane.engine import RunOptions
from douane.errors import NoInventory
from support.planted_packages import STATUS, WHEEL, image_of, planted_tree
from support.program import Program

MODULE = {"usr/lib/node_modules/@b/c/package.json": '{"name": "@b/c", "version": "4"}'}
UNREAD = {"var/lib/rpm/rpmdb.sqlite": "no database"}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with packages of three managers, and a database that cannot be read."""
    return image_of(planted_tree(STATUS, **WHEEL, **MODULE, **UNREAD), tmp_path_factory.mktemp("disk"))


def test_it_is_the_bill_of_reading(douane: Program, disk: Path) -> None:
    image = douane.bring_in(disk, "-p", "packages", "--set", "packages.unread=warn")
    read = douane.run("sbom", image)
    (task,) = douane.run("show", image, "--json").json["tasks"]
    (douane.home / "store").rename(douane.place / "away")
    copy = douane.run("sbom", image[:8], "--from-import")
    (douane.place / "away").rename(douane.home / "store")

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(copy.text) is None
    assert (copy.code, copy.stderr) == (3, read.stderr), "the same part is unread"
    assert "unread: disk: the packages of rpm" in copy.stderr
    assert len(copy.json["components"]) == 6
    bill = copy.json
    bill["metadata"]["properties"].remove({"name": "douane:import", "value": task["id"]})
    assert bill == read.json


def test_without_a_kept_list_it_says_why_and_prints_nothing(douane: Program, disk: Path) -> None:
    image = douane.bring_in(disk)
    result = douane.run("sbom", image, "--from-import")
    assert (result.code, result.stdout) == (3, b"")
    assert "the plan needs the inspector `packages`" in result.stderr
    assert douane.run("sbom", image, "--from-import", "--everywhere").code == 2
    assert douane.run("sbom", disk, "--from-import").code == 2, "a file has no import"


@pytest.mark.parametrize(
    "packed",
    [
        b64encode(zlib.compress(b" " * (33 << 20), 9)).decode(),
        b64encode(zlib.compress(b'[1, [], [["v", {"ID": "\\ud800"}, []]], []]')).decode(),
        "no base64",
    ],
)
def test_a_hostile_list_is_no_bill(packed: str) -> None:
    record = InventoryRecord(image="i", task="t", sha256="0" * 64, document={"packages": 1, "zlib": packed})
    output = io.StringIO()
    with pytest.raises(NoInventory, match="no bill of materials"):
        write_kept_bill(record, output, RunOptions())
    assert not output.getvalue()
