"""`douane rescan`: what is read, what is refused now, and what a killed one leaves to the next."""

from __future__ import annotations

import hashlib
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from douane.catalog import Catalog
from douane.catalog.query import SetField
from douane.declared import DeclaredImage
from douane.engine import RunOptions, load_plan, open_source
from douane.imports import Home, import_image
from douane.plan.model import PluginSpec
from douane.rescan import Entry
from douane.rescan.fingerprints import Fingerprint, Inspector
from douane.rescan.runs import _Unread, read_image
from support.gates import Gate
from support.program import PLUGINS, Program, end

TEXTS = {"one": b"apple pear\n", "two": b"apple plum\n", "three": b"cherry\n"}


class Site:
    """Three images that a plan with a list of words has let in."""

    def __init__(self, douane: Program, ids: dict[str, str]) -> None:
        self.douane = douane
        self.ids = ids
        self.words = douane.place / "words"
        self.plan = douane.place / "words.toml"

    def rescan(self, *options: object, code: int = 0, plan: Path | None = None) -> dict[str, Any]:
        completed = self.douane.run("rescan", "--json", "-c", plan or self.plan, *options)
        assert completed.code == code, completed.stderr
        return completed.json

    def status(self) -> dict[str, str]:
        return {image["name"]: image["status"] for image in self.douane.images()}


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a home, a plan and its words; and the ids of the images."""
    place = tmp_path_factory.mktemp("judged")
    (place / "words").write_bytes(b"poison\n")
    config = place / "words.toml"
    config.write_text(
        f'[[plugin]]\nname = "words"\nuse = "{PLUGINS}/words.py:Words"\ngrants = {{ words = "file:words" }}\n'
        '[[plugin]]\nname = "limits"\nuse = "limits"\n'
    )
    home, plan = Home(place / "home"), load_plan(str(config))
    ids = {}
    for name, text in TEXTS.items():
        (place / name).write_bytes(text * 1000)
        imported = import_image(home, plan, DeclaredImage(name=name), open_source(str(place / name)), RunOptions())
        assert imported.image is not None
        ids[name] = imported.image.id
    home.close()
    return place, ids


@pytest.fixture
def site(douane: Program, judged: tuple[Path, dict[str, str]]) -> Site:
    place, ids = judged
    shutil.copytree(place, douane.place, dirs_exist_ok=True)
    return Site(douane, ids)


def pass_start(gate: Gate) -> None:
    """Each plugin is started once without an image, to know what it is."""
    with pytest.raises(AssertionError, match="before it came to the gate"):
        gate.wait()


def test_nothing_is_read_while_nothing_has_changed(site: Site) -> None:
    store = site.douane.home / "store"
    store.rename(site.douane.place / "away")
    result = site.rescan()
    assert (result["images"], result["unchanged"], result["read"], result["rows"]) == (3, 3, 0, [])
    site.words.write_bytes(b"other\n")
    result = site.rescan(code=3)
    assert {row["outcome"] for row in result["rows"]} == {"undecided"}, "what cannot be read is not clean"


def test_a_changed_rule_refuses_one_of_three_and_nothing_happens_to_it_unasked(site: Site) -> None:
    site.words.write_bytes(b"plum\n")
    result = site.rescan(code=1)
    [row] = result["rows"]
    assert (row["name"], row["outcome"], row["plugin"], row["code"]) == ("two", "refused", "words", "word")
    assert (result["read"], result["accepted"], result["refused"]) == (3, 2, 1)
    assert set(site.status().values()) == {"active"}
    result = site.rescan("--deactivate", code=1)
    assert (result["read"], result["deactivated"], result["rows"][0]["deactivated"]) == (0, 1, True)
    assert site.status() == {"one": "active", "two": "deactivated", "three": "active"}
    assert site.rescan()["images"] == 2
    result = site.rescan("--deactivate", site.ids["two"], site.ids["two"][:8], code=1)
    assert (result["refused"], result["deactivated"]) == (1, 0), "one that is named is judged, though it is deactivated"
    for _ in range(2):
        assert site.douane.run("reactivate", site.ids["two"], site.ids["two"][:8], site.ids["one"][:8]).code == 0
    assert set(site.status().values()) == {"active"}
    assert site.rescan(code=1)["images"] == 3


def test_another_name_is_another_image_to_its_inspectors_and_one_image_can_be_named(site: Site) -> None:
    with Catalog(site.douane.home / "catalog.sqlite3") as catalog:
        catalog.edit(site.ids["one"], [SetField("name", "renamed")])
    assert site.rescan(site.ids["two"])["unchanged"] == 1
    result = site.rescan("--jobs", "2")
    assert (result["unchanged"], result["read"]) == (2, 1)


def test_damaged_bytes_are_undecided(site: Site) -> None:
    file = site.douane.home / "store" / "images" / site.ids["one"]
    file.chmod(0o600)
    file.write_bytes(b"grape pear\n" * 1000)
    site.words.write_bytes(b"other\n")
    result = site.rescan(code=3)
    assert [(row["name"], row["code"]) for row in result["rows"]] == [("one", "stored-bytes-differ")]
    assert site.rescan(code=3)["read"] == 1, "it is read again, and no verdict on other bytes is kept"


@pytest.mark.parametrize("damaged", [False, True])
def test_damaged_bytes_that_are_refused_before_their_end_are_undecided(tmp_path: Path, damaged: bool) -> None:
    """A refusal ends the reading, and the digest is known at the end."""
    spec = PluginSpec(name="limits", use="limits", config={"max_size": 10})
    fingerprint = Fingerprint(code="", config="", grants="")
    digest = hashlib.sha256(b"x" * 100).hexdigest()
    entry = Entry(
        image="i",
        name=None,
        size=100,
        content="",
        digests={"sha256": digest},
        declared=DeclaredImage(disk_format="raw"),
    )
    (tmp_path / "stored").write_bytes(bytes(100) if damaged else b"x" * 100)
    sources = [_Unread(100), open_source(str(tmp_path / "stored"))]
    inspectors = [Inspector(spec=spec, reads="head:1", fingerprint=fingerprint)]
    read = read_image(load_plan(None), inspectors, entry, lambda: sources.pop(0), RunOptions())
    if damaged:
        assert (read.failure and read.failure.code, read.verdicts) == ("stored-bytes-differ", [])
    else:
        assert ([each.outcome for each in read.verdicts], read.lasting) == (["refused"], {"limits"})


def test_a_refusal_by_earlier_rules_deactivates_nothing(site: Site) -> None:
    """The image cannot be read, so that nobody knows what the rules of today say of it."""
    words, require = site.plan.read_text(), '[[plugin]]\nname = "rule"\nuse = "policy"\nconfig.require = '
    site.plan.write_text(f"{words}{require}\"image.name != 'two'\"\n")
    assert [row["plugin"] for row in site.rescan(code=1)["rows"]] == ["rule"]
    site.plan.write_text(f"{words}{require}\"image.name != 'four'\"\n")
    site.words.write_bytes(b"other\n")
    (site.douane.home / "store").rename(site.douane.place / "away")
    result = site.rescan("--deactivate", code=3)
    assert (result["undecided"], result["deactivated"]) == (3, 0)


def test_images_that_are_deleted_meanwhile_are_not_undecided(site: Site, gate: Gate) -> None:
    process = site.douane.start("rescan", "--json", "-c", gate.config)
    pass_start(gate)
    gate.wait()
    _, second, third = sorted(site.ids.values())
    for image in (second, third):
        assert site.douane.run("delete", image).code == 0
    gate.open()
    completed = end(process)
    assert completed.code == 0, completed.stderr
    assert (completed.json["images"], completed.json["rows"]) == (1, [])
    assert site.douane.run("rescan", "-c", site.plan, second).code == 2, "one that is named has to be there"


def test_a_killed_rescan_goes_on_where_it_was(site: Site, gate: Gate) -> None:
    process = site.douane.start("rescan", "--json", "-c", gate.config)
    pass_start(gate)
    gate.wait()
    gate.open()
    gate.wait()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = site.douane.start("rescan", "--json", "--trust-services", "-c", gate.config)
    pass_start(gate)
    for _ in range(2):
        gate.wait()
        gate.open()
    out, _ = process.communicate()
    assert process.returncode == 0
    assert b'"unchanged": 1' in out
    assert b'"read": 2' in out
    site.douane.clear_up(site.plan, "strict")
