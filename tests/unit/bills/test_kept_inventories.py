"""Which inventory the bill of an image is made of, and that the bill loses nothing of what was read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.bills.kept import TOO_LONG, InventoryRecord, kept_inventory
from douane.catalog import Catalog
from douane.errors import NoInventory
from douane.plugins.guest_view.kept import KeptComponents
from douane.plugins.packages.inventory import document_of, inventory_of
from douane.report import Bytes, Provenance, Report, Verdict
from douane_guest.packages.base import Package
from douane_guest.sbom import components_of_systems
from douane_plugin._guest_package import GuestPackage

DIGESTS = {"md5": "0" * 32, "sha256": "a" * 64}
LIST = {"packages": 0, "zlib": "x"}
LONG = {"packages": 9, "too_long": 999_999}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    with Catalog(tmp_path_factory.mktemp("catalog") / "catalog.sqlite3") as opened:
        yield opened


def verdict(document: Any = None, use: str = "packages", kind: str = "inspector") -> Verdict:
    documents = {} if document is None else {"inventory": document}
    provenance = Provenance(use=use, kind=kind, sandbox="full")
    return Verdict(plugin="p", outcome="accepted", mode="enforce", documents=documents, ran=provenance)


def kept_of(catalog: Catalog, *verdicts: Verdict, received: str = "a", stored: str = "a") -> InventoryRecord:
    """The inventory of an image, whose import has this report."""
    image = catalog.create_image(name="i")
    report = Report(
        outcome="accepted",
        verdicts=list(verdicts),
        received=Bytes(size=1, complete=True, sha256=received * 64),
        stored=Bytes(size=1, complete=True, sha256=stored * 64),
        sandbox="full",
        seconds=0,
    )
    task = catalog.begin_import(image.id, method="file", plan={}, on_failure="requeue")
    ready = catalog.ready_to_publish(task, report=report.to_json(), size=1, digests=DIGESTS)
    return kept_inventory(catalog.activate(ready, ("file",)), catalog.accepted_imports([image.id])[image.id])


def test_it_is_that_of_the_inspector_on_the_stored_bytes(catalog: Catalog) -> None:
    record = kept_of(catalog, verdict({"packages": 1}, "other.py:Other"), verdict(LONG), verdict(LIST))
    assert (record.document, record.sha256) == (LIST, "a" * 64)
    convert = verdict(use="convert", kind="transform")
    assert kept_of(catalog, verdict(LONG), convert, verdict(LIST), received="c").document == LIST
    with pytest.raises(NoInventory, match="after all transforms"):
        kept_of(catalog, verdict(LIST), convert, received="c")


@pytest.mark.parametrize(
    ("verdicts", "stored", "sentence"),
    [
        ([], "a", "no import on record has kept"),
        ([verdict([])], "a", "no import on record has kept"),
        ([verdict(LIST, "other.py:Other")], "a", "no import on record has kept"),
        ([verdict(LONG)], "a", TOO_LONG),
        ([verdict(LIST)], "b", "no import on record has kept"),
    ],
)
def test_without_one_it_says_why(catalog: Catalog, verdicts: list[Verdict], stored: str, sentence: str) -> None:
    with pytest.raises(NoInventory, match=sentence):
        kept_of(catalog, *verdicts, received=stored, stored=stored)


class _InProcess(KeptComponents):
    """The transform in this process."""

    def alive(self) -> None:
        pass

    def attach(self, name: str, document: object) -> None:
        assert document == {"count": 1, "parts": [{"place": "p", "code": "guest-broken", "why": "w"}]}


texts = st.text(st.characters(codec="utf-8"), max_size=4) | st.binary(max_size=4).map(os.fsdecode)
words = st.sampled_from(["deb", "rpm", "apk", "alpm", "pypi", "npm", "gem"])
packages = st.builds(Package, words, texts, texts, texts, texts, texts, st.just("1"), texts)
fields = st.dictionaries(st.sampled_from(["ID", "VERSION_ID", "PRETTY_NAME", "HOME_URL", "CPE_NAME"]), texts)
systems = st.tuples(texts, fields, st.lists(packages, max_size=3))


@settings(max_examples=60)
@given(st.lists(systems, max_size=3))
def test_its_components_are_those_of_reading(read: list[tuple[str, dict[str, str], list[Package]]]) -> None:
    """Also where names are no UTF-8, and of all kinds of packages."""
    roots = [
        SimpleNamespace(
            volume=SimpleNamespace(name=volume),
            os=fields,
            packages=lambda listed=listed: list(map(GuestPackage, listed)),
        )
        for volume, fields, listed in read
    ]
    guest: Any = SimpleNamespace(roots=roots, unread=[SimpleNamespace(code="guest-broken", place="p", why="w")])
    nobodys = SimpleNamespace(is_of_distribution=lambda _: False)  # which a bill does not say
    with mock.patch("douane.plugins.packages.inventory.Ownership", lambda *_: nobodys):
        document = json.dumps(document_of(inventory_of(guest))).encode() + b"\n"
    lines = list(_InProcess().transform([document]))  # type: ignore[arg-type]  # an iterable is all that it uses
    assert list(map(json.loads, lines)) == list(components_of_systems(read))
