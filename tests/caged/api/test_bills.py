"""``GET /v2/images/{id}/sbom``: the bill of an image, by the list of packages that its import kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from douane.plugins.packages.inventory import Inventory, Package, System, document_of
from douane.report import Bytes, Provenance, Report, Verdict
from support.api import ADMIN, OTHER, OWNER, Api

SHARED = ("dpkg", "amd64", "", "/var/lib/dpkg/status", False)
DEBIAN = System("p1", {"ID": "debian", "VERSION_ID": "12"}, [Package("a", "1", "", "", SHARED)])
KEPT = document_of(Inventory([DEBIAN], []))
PURL = "pkg:deb/debian/a@1?arch=amd64&distro=debian-12"


@pytest.fixture
def api(tmp_path: Path, nothing_left: None) -> Iterator[Api]:
    opened = Api(tmp_path)
    yield opened
    opened.close()


def image_with(api: Api, document: Any) -> str:
    """An active image of OWNER, with a report in which `packages` attached this."""
    image: str = api.create(name="n")["id"]
    stored = Bytes(size=1, complete=True, sha256="a" * 64)
    verdict = Verdict(plugin="p", outcome="accepted", mode="enforce", documents={"inventory": document})
    verdict.ran = Provenance(use="packages", kind="inspector", sandbox="full")
    report = Report(outcome="accepted", verdicts=[verdict], received=stored, stored=stored, sandbox="full", seconds=0)
    task = api.catalog.begin_import(image, method="file", plan={}, on_failure="requeue")
    ready = api.catalog.ready_to_publish(task, report=report.to_json(), size=1, digests={"sha256": "a" * 64})
    api.catalog.activate(ready, ("file",))
    return image


def test_who_sees_the_image_gets_its_bill(api: Api) -> None:
    image = image_with(api, KEPT)
    response = api.request("GET", f"/v2/images/{image}/sbom", OWNER)
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "application/vnd.cyclonedx+json; version=1.6",
    )
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(response.text) is None
    assert [each.get("purl") for each in response.json()["components"]] == [None, PURL]
    assert api.request("GET", f"/v2/images/{image}/sbom", ADMIN).content == response.content
    assert api.request("GET", f"/v2/images/{image}/sbom", OTHER).status_code == 404
    changes = [{"op": "replace", "path": "/visibility", "value": "public"}]
    media = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert api.request("PATCH", f"/v2/images/{image}", ADMIN, json=changes, headers=media).status_code == 200
    assert api.request("GET", f"/v2/images/{image}/sbom", OTHER).content == response.content


@pytest.mark.parametrize(
    ("document", "sentence"),
    [(None, "the plan needs"), ({"packages": 9, "too_long": 9}, "too long"), ({**KEPT, "zlib": "AAAA"}, "damaged")],
)
def test_without_a_list_it_is_404_and_says_why(api: Api, document: Any, sentence: str) -> None:
    response = api.request("GET", f"/v2/images/{image_with(api, document)}/sbom", OWNER)
    assert (response.status_code, response.headers["x-douane-code"]) == (404, "no-inventory")
    assert sentence in response.json()["error"]["message"]
    assert api.request("GET", f"/v2/images/{api.create()['id']}/sbom", OWNER).status_code == 404
