"""The inventory that `packages` attaches: what is judged by it is what is judged by reading."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.advisories.building import build
from douane.plugins._judgement import Judgement
from douane.plugins.packages.again import _answer, _Warnings
from douane.plugins.packages.clock import today
from douane.plugins.packages.inventory import (
    ROOM,
    Inventory,
    Package,
    Shelf,
    System,
    document_of,
    inventory_from,
)
from douane.plugins.packages.settings import Settings, open_database
from douane.plugins.packages.verdicts import InventoryJudge
from douane_plugin import Incomplete, Reject
from support.planted_packages import MEDIUM, advisory, affected, osv_zip

ADVISORIES = [
    advisory("X-1", affected("Debian:12", "a", "fixed 2"), affected("PyPI", "b", "fixed 2")),
    advisory("X-2", affected("Debian:12", "b"), vector=MEDIUM, upstream=["CVE-2"]),
    advisory("X-3", affected("Alpine:v3.19", "a", "last_affected 1"), vector=None),
]
CONFIG: dict[str, Any] = {
    "deny": [{"name": "c*", "severity": "warn"}, {"name": "d", "version": "< 1.5"}],
    "exceptions": [{"id": "CVE-2", "package": "b", "until": "2999-01-01"}, {"id": "X-3", "until": "2020-01-01"}],
    "refuse": "never",
    "uncovered": "warn",
    "unread": "warn",
}
names = st.sampled_from(["a", "b", "c", "d", "é", 'quote"', "line\nend", "\\xff"])
versions = st.sampled_from(["1", "1.5", "2", "1:0", "odd version", ""])
kinds = st.sampled_from(["dpkg", "apk", "python", "rpm"])
groups = st.tuples(kinds, st.just("amd64"), names, st.sampled_from(["/p", "/q"]), st.booleans())
packages = st.builds(Package, names, versions, st.sampled_from(["", "a"]), st.sampled_from(["", "1"]), groups)
releases = st.sampled_from([{"ID": "debian", "VERSION_ID": "12"}, {"ID": "alpine", "VERSION_ID": "3.19"}, {}])
systems = st.builds(System, names, releases, st.lists(packages, max_size=6))
parts = st.tuples(st.sampled_from(["guest-damaged", "guest-crypt"]), names, names)
inventories = st.builds(Inventory, st.lists(systems, max_size=3), st.lists(parts, max_size=2))


@pytest.fixture(scope="module")
def cve(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cve")
    build([str(osv_zip(folder / "osv.zip", ADVISORIES))], str(folder / "cve.sqlite"), today())
    return str(folder / "cve.sqlite")


class _Site(Settings):
    def __init__(self, **config: Any) -> None:
        self.grant = self._no_grant
        super().__init__(**config)

    @staticmethod
    def _no_grant(name: str) -> None:
        raise LookupError(name)


def judge_of(cve: str | None, **config: Any) -> InventoryJudge:
    site = _Site(**{**CONFIG, **config})
    return InventoryJudge(site, open_database(cve, site.max_age, today()), today())


def read_verdict(judge: InventoryJudge, inventory: Inventory) -> dict[str, Any]:
    """As the inspector answers that has read the image."""
    told = _Warnings()
    judgement = Judgement(told, "packages")
    try:
        properties, _ = judge.judge(inventory, judgement)
        properties = judgement.answer(properties)
    except (Reject, Incomplete) as error:
        outcome = "refused" if isinstance(error, Reject) else "incomplete"
        return {"outcome": outcome, "code": error.code, "message": error.message[:1000]}
    return {"outcome": "accepted", "properties": properties, "warnings": told.warnings}


@pytest.mark.parametrize("config", [{}, {"refuse": "medium", "unread": "incomplete"}, {"allow": ["a", "b"]}])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(images=st.lists(inventories, max_size=5))
def test_the_document_gives_the_verdict_of_reading(cve: str, config: dict[str, Any], images: list[Inventory]) -> None:
    """Also where one process judges many images, and has asked the database about some of their packages before."""
    again, shelf = judge_of(cve, **config), Shelf()
    for image in images:
        document = json.loads(json.dumps(document_of(image)))
        assert _answer(again, {"inventory": document}, shelf) == read_verdict(judge_of(cve, **config), image)


def test_packages_of_another_kind_than_the_systems_are_uncovered_on_record_too(cve: str) -> None:
    dpkg = Package("a", "1", "", "", ("dpkg", "amd64", "", "/p", False))
    alpine = Inventory([System("disk", {"ID": "alpine", "VERSION_ID": "3.19"}, [dpkg])], [])
    question = {"inventory": json.loads(json.dumps(document_of(alpine)))}
    answer = _answer(judge_of(cve, uncovered="incomplete"), question, Shelf())
    assert (answer["outcome"], answer["code"]) == ("incomplete", "packages-uncovered")


@settings(max_examples=40)
@given(inventories)
def test_a_document_has_all_of_the_inventory(inventory: Inventory) -> None:
    copy = inventory_from(json.loads(json.dumps(document_of(inventory))))
    assert copy.count() == document_of(inventory)["packages"]
    assert copy.unread == inventory.unread
    for one, two in zip(inventory.systems, copy.systems, strict=True):
        assert (one.volume, one.os) == (two.volume, two.os)
        assert [_fields(package) for package in one.packages] == [_fields(package) for package in two.packages]


def _fields(package: Package) -> tuple[Any, ...]:
    source = package.source_version if package.source else ""  # without a source there is no version of it
    return package.name, package.version, package.source, source, package.shared


def _packed(value: Any) -> dict[str, Any]:
    return {"zlib": b64encode(zlib.compress(json.dumps(value).encode())).decode()}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"packages": 1, "too_long": 999_999},
        {"zlib": "!"},
        {"zlib": "AAAA"},
        {"zlib": _packed([1, [], [], []])["zlib"][:-8]},
        _packed([2, [], [], []]),
        _packed([1, [], [["v", {}, [[0, "a", "1"]]]], []]),
        _packed([1, [["dpkg", "", "", "/p", False]], [["v", {}, [[0, "a", 1]]]], []]),
        _packed([1, [["dpkg", "", "", 1, False]], [], []]),
        _packed({"a": 1}),
        _packed(1),
    ],
)
def test_a_document_that_does_not_tell_is_no_verdict(document: Any) -> None:
    with pytest.raises(ValueError, match=r"list of packages|Incorrect|base64|unpack|literal"):
        inventory_from(document)
    assert _answer(judge_of(None), {"inventory": document}, Shelf())["outcome"] == "unknown"


def test_packages_of_a_large_system_fit_and_more_are_said_to_be_too_many() -> None:
    def inventory(count: int) -> Inventory:
        makers = [f"Maintainers {number} <m{number}@debian.org>" for number in range(99)]
        shared = [("dpkg", "amd64", maker, "/var/lib/dpkg/status", False) for maker in makers]
        listed = []
        for number in range(count):
            name, version = f"lib{zlib.crc32(b'%d' % number):x}", f"{number % 7}.{number % 90}.{number % 11}-1"
            listed.append(Package(name, version, f"source{number // 3}", "", shared[number % 99]))
        return Inventory([System("disk", {"ID": "debian"}, listed)], [])

    document = document_of(inventory(6_000))
    assert len(document["zlib"]) <= ROOM
    assert inventory_from(document).count() == 6_000
    assert set(document_of(inventory(20_000))) == {"packages", "too_long"}
