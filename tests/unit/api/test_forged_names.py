"""A verdict cannot be forged: names that look like those of Douane are reserved on every way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.api.requests.image_fields import ImageRules
from support.api import OWNER, Api

V21 = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
V20 = {"Content-Type": "application/openstack-images-v2.0-json-patch"}
FORGED = [
    "douane_reason", "DOUANE_reason", "Douane_Reason", " douane_reason", "douane_reason ", "\u200bdouane_reason",
    "dou\u00adane_reason", "\uff44ouane_reason", "os_glance_failed_import", "OS_GLANCE_failed_import", "format.safe",
    "Format.safe", "\tformat.safe", "\uff46ormat.safe", "LOCATIONS",
]  # fmt: skip


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    opened = Api(tmp_path, rules=ImageRules(drop_inherited_findings=False))
    opened.service.rules = ImageRules(drop_inherited_findings=False, plugins=frozenset({"format"}))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", FORGED)
def test_a_name_that_looks_like_a_verdict_is_refused(api: Api, name: str) -> None:
    assert api.request("POST", "/v2/images", json={name: "x"}).status_code == 403
    image_id = api.create()["id"]
    pointer = "/" + name.replace("~", "~0")
    for headers, operation in (
        (V21, {"op": "add", "path": pointer, "value": "x"}),
        (V20, {"add": pointer, "value": "x"}),
    ):
        answer = api.request("PATCH", f"/v2/images/{image_id}", content=json.dumps([operation]), headers=headers)
        assert answer.status_code == 403
    assert api.catalog.image(image_id).properties == {}


@pytest.mark.parametrize(
    "name", ["douane", "my_douane_x", "formats.safe", "format", "os_type", "hw_disk_bus", "Ünïcode"]
)
def test_other_names_stay_the_tenants(api: Api, name: str) -> None:
    assert api.create(**{name: "x"})[name] == "x"


@pytest.mark.parametrize("path", ["/v2/images", "/v2/images/{}", "/v2/images/{}/import", "/v2/images/{}/members"])
def test_a_document_that_is_compressed_is_refused(api: Api, path: str) -> None:
    image_id = api.create()["id"]
    method = "PATCH" if path.endswith("{}") else "POST"
    headers = {**V21, "Content-Encoding": "gzip"}
    answer = api.request(method, path.format(image_id), OWNER, content=b"{}", headers=headers)
    assert answer.status_code == 415
