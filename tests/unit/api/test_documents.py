"""The documents of images, members and tasks (IMAGE-API 1.2 and 1.6), checked against the schemas that clients read."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from douane.api.documents.records import (
    ImageView,
    image_document,
    image_list_document,
    location_list_document,
    member_document,
    member_list_document,
    task_document,
    task_list_document,
    task_stub,
)
from douane.api.documents.schemas import (
    image_schema,
    images_schema,
    member_schema,
    members_schema,
    task_schema,
    tasks_schema,
)
from douane.api.requests.image_fields import ImageRules
from douane.catalog import Catalog, CopyFacts, Image, ImportRequest, Task
from support.json_schema import violations

RULES = ImageRules()
BODY = {"method": {"name": "glance-direct"}, "stores": ["a", "b"]}
REQUEST = ImportRequest(owner="p1", user_id="u1", request_id="req-1", import_req=BODY, stores=("a", "b"))
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
VERDICT = {
    "plugin": "format", "outcome": "refused", "code": "bad", "message": "No.", "detail": "Traceback /srv/plugin.py",
    "documents": {"secret": 1}, "ran": {"use": "/srv/plugin.py"},
}  # fmt: skip
REPORT = {"outcome": "refused", "code": "bad", "message": "No.", "sandbox": "full", "verdicts": [VERDICT]}


@pytest.fixture
def task(catalog: Catalog, image: Image) -> Task:
    """An import of the image that runs."""
    return catalog.begin_import(image.id, method="glance-direct", plan={}, on_failure="requeue", request=REQUEST)


def fits(value: Any, schema: dict[str, Any]) -> None:
    assert list(violations(value, schema)) == []


def with_fields(image: Image, **fields: Any) -> Image:
    return msgspec.structs.replace(image, **fields)


def test_a_queued_image_has_every_field_and_its_properties_at_the_top(image: Image) -> None:
    document = image_document(image)
    fits(document, image_schema(RULES))
    assert document["a"] == "1"
    assert (document["status"], document["size"], document["checksum"], document["tags"]) == ("queued", None, None, [])
    assert (document["protected"], document["os_hidden"], document["min_disk"]) == (False, False, 0)
    assert (document["self"], document["file"]) == (f"/v2/images/{image.id}", f"/v2/images/{image.id}/file")
    assert "stores" not in document  # only with data
    assert TIME.fullmatch(document["created_at"]) and TIME.fullmatch(document["updated_at"])
    # All fields of the schema but those that need data or an option.
    assert image_schema(RULES)["properties"].keys() - document.keys() == {"stores", "direct_url", "locations"}


def test_an_active_image_shows_stores_and_digests(image: Image) -> None:
    digests = {"md5": "0" * 32, "sha512": "1" * 128}
    active = with_fields(image, status="active", size=7, virtual_size=9, digests=digests, stores=["a", "b"])
    document = image_document(active, ImageView(direct_url="rbd://f/p/i/snap"))
    fits(document, image_schema(RULES))
    assert (document["size"], document["virtual_size"], document["stores"]) == (7, 9, "a,b")
    assert (document["checksum"], document["os_hash_algo"], document["os_hash_value"]) == (
        "0" * 32,
        "sha512",
        "1" * 128,
    )
    assert document["direct_url"] == "rbd://f/p/i/snap"


def test_a_staged_size_is_shown_until_the_image_has_one(image: Image) -> None:
    view = ImageView(staged_size=5)
    assert image_document(image, view)["size"] == 5  # no. 19
    assert image_document(with_fields(image, size=0), view)["size"] == 0


def test_a_running_import_shows_the_stores_that_it_has_not_reached(image: Image, task: Task) -> None:
    document = image_document(with_fields(image, status="importing", stores=["a"]), ImageView(task=task))
    fits(document, image_schema(RULES))
    assert document["os_glance_importing_to_stores"] == "b"
    assert document["os_glance_failed_import"] == ""
    assert document["os_glance_import_task"] == task.id


def test_a_copy_that_lost_a_store_shows_it_as_failed(image: Image, task: Task) -> None:
    copying = with_fields(image, status="active", size=1, stores=["z"], failed_stores=["b"])
    document = image_document(copying, ImageView(task=task))
    assert document["os_glance_importing_to_stores"] == "a"
    assert document["os_glance_failed_import"] == "b"


def test_a_refused_import_says_why(catalog: Catalog, image: Image, task: Task) -> None:
    catalog.fail(task, outcome="refused", code="bad", message="No.")
    document = image_document(catalog.image(image.id), ImageView(outcome="refused"))
    fits(document, image_schema(RULES))
    assert (document["status"], document["a"]) == ("queued", "1")  # properties as before
    assert document["os_glance_failed_import"] != ""  # Tempest
    assert document["os_glance_importing_to_stores"] == ""
    reason = {name: value for name, value in document.items() if name.startswith("douane_")}
    assert reason == {"douane_outcome": "refused", "douane_code": "bad", "douane_reason": "No."}


@pytest.mark.parametrize("status", ["active", "deactivated", "importing"])
def test_nothing_of_a_refusal_stays_after_a_success_or_during_the_next_import(image: Image, status: str) -> None:
    later = with_fields(image, status=status, size=1, code="bad", message="No.")
    # A property of that name can come from the command line.
    later = with_fields(later, properties={"douane_proof": "forged", "os_glance_x": "y", "b": "2"})
    document = image_document(later)
    assert not [name for name in document if name.startswith("douane")]
    assert "os_glance_x" not in document
    assert document["b"] == "2"


def test_findings_are_shown_only_by_option(image: Image) -> None:
    checked = with_fields(image, properties={"a": "1", "format.disk": "raw"}, sources={"format.disk": "format"})
    assert "format.disk" not in image_document(checked)
    assert image_document(checked, ImageView(findings=True))["format.disk"] == "raw"


@pytest.mark.parametrize("name", ["id", "status", "size", "stores", "checksum", "direct_url", "locations", "owner"])
def test_a_property_never_hides_a_base_field(image: Image, name: str) -> None:
    document = image_document(with_fields(image, properties={name: "forged"}))
    assert document.get(name) != "forged"


def test_a_page_of_images(image: Image) -> None:
    page = image_list_document([image_document(image)], "/v2/images", f"/v2/images?marker={image.id}")
    fits(page, images_schema(RULES))
    assert page["next"] == f"/v2/images?marker={image.id}"
    assert "next" not in image_list_document([], "/v2/images", None)


def test_members(catalog: Catalog, image: Image) -> None:
    member = catalog.add_member(image.id, "p2")
    document = member_document(member)
    fits(document, member_schema())
    assert (document["member_id"], document["image_id"], document["status"]) == ("p2", image.id, "pending")
    assert TIME.fullmatch(document["created_at"])
    assert document.keys() == member_schema()["properties"].keys()
    fits(member_list_document([member]), members_schema())


def test_a_task_that_runs(image: Image, task: Task) -> None:
    document = task_document(task, is_admin=False, is_owner=True)
    fits(document, task_schema())
    assert (document["type"], document["status"], document["message"]) == ("api_image_import", "processing", "")
    assert document["input"] == {"image_id": image.id, "import_req": BODY, "backend": ["a", "b"]}
    assert (document["request_id"], document["user_id"], document["owner"]) == ("req-1", "u1", "p1")
    assert document["result"] is None
    assert "expires_at" not in document  # gophercloud parses it as a time
    assert task_document(task, is_admin=False, waits=True)["status"] == "pending"
    fits(task_list_document([document]), {"properties": {"tasks": {"type": "array", "items": task_schema()}}})


def test_a_task_of_the_command_line_has_no_user(task: Task) -> None:
    bare = msgspec.structs.replace(task, owner=None, user_id=None, request_id=None, import_req=None)
    document = task_document(bare, is_admin=True)
    fits(document, task_schema())
    assert document["owner"] == ""
    assert not {"user_id", "request_id"} & document.keys()
    assert document["input"]["import_req"] == {}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("accepted", "success"), ("refused", "failure"), ("undecided", "failure"), ("cancelled", "failure")],
)
def test_the_status_of_a_task_that_ended(task: Task, outcome: str, status: str) -> None:
    ended = msgspec.structs.replace(task, outcome=outcome, message="No.", expires_at="2026-01-02T03:04:05.678901Z")
    document = task_document(ended, is_admin=False)
    fits(document, task_schema())
    assert (document["status"], document["message"]) == (status, "No.")
    assert document["expires_at"] == "2026-01-02T03:04:05Z"


def test_a_tenant_reads_the_verdicts_and_not_what_is_the_operators(task: Task) -> None:
    ended = msgspec.structs.replace(task, outcome="refused", report=REPORT)
    assert task_document(ended, is_admin=False)["result"] == {
        "outcome": "refused",
        "code": "bad",
        "message": "No.",
        "verdicts": [{"plugin": "format", "outcome": "refused", "code": "bad", "message": "No."}],
    }
    assert task_document(ended, is_admin=True)["result"] == REPORT


@pytest.mark.parametrize("report", [[], "x", 7, {"verdicts": "x"}, {"verdicts": [1]}])
def test_a_report_of_another_form_breaks_no_document(task: Task, report: Any) -> None:
    fits(task_document(msgspec.structs.replace(task, report=report), is_admin=False), task_schema())


def test_a_tenant_reads_the_verdicts_on_variants_and_not_what_is_the_operators(task: Task) -> None:
    ended = msgspec.structs.replace(task, report={**REPORT, "variants": {"ceph": REPORT, "other": 1}})
    tenants = task_document(msgspec.structs.replace(task, report=REPORT), is_admin=False)["result"]
    assert task_document(ended, is_admin=False)["result"] == {**tenants, "variants": {"ceph": tenants, "other": {}}}


def test_the_list_of_all_tasks_has_no_input_and_no_result(task: Task) -> None:
    stub = task_stub(task)
    fits({"tasks": [stub]}, tasks_schema())
    assert not {"input", "result", "message"} & stub.keys()


@pytest.mark.parametrize(
    ("rights", "shown"),
    [
        ({"is_admin": True}, True),
        ({"is_admin": False, "is_owner": True}, True),
        ({"is_admin": False}, False),
    ],
)
def test_the_progress_of_a_run_is_for_its_owner_and_administrators(
    task: Task, rights: dict[str, bool], shown: bool
) -> None:
    report = {"running": {"waits_for": "judge"}}
    running = msgspec.structs.replace(task, step="receiving", outcome=None, done=7, total=10, report=report)
    document = task_document(running, **rights)  # type: ignore[arg-type]
    expected = {"bytes": 7, "total": 10, "percent": 70, "waits_for": "judge"}
    assert document.get("progress") == (expected if shown else None)
    assert "progress" not in task_document(msgspec.structs.replace(running, step="waiting"), **rights)  # type: ignore[arg-type]


def test_a_task_that_registers_a_location(task: Task) -> None:
    assert task_stub(msgspec.structs.replace(task, method="location-import"))["type"] == "location_import"


def test_locations_name_their_stores() -> None:
    assert location_list_document([("rbd://f/p/i/snap", "ceph")]) == [
        {"url": "rbd://f/p/i/snap", "metadata": {"store": "ceph"}}
    ]


def test_a_location_of_a_variant_says_what_lies_there() -> None:
    facts = CopyFacts(size=7, virtual_size=None, disk_format="raw", container_format="bare", digests={"sha256": "ab"})
    [own, variant] = location_list_document([("file:///a", "file"), ("rbd://x", "ceph")], {"ceph": facts})
    assert own["metadata"] == {"store": "file"}
    assert variant["metadata"] == {"store": "ceph", **msgspec.to_builtins(facts)}


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:secret@a.test/x@y?z=@", "https://a.test/x@y?z=@"),
        ("https://a:b@c:secret@a.test", "https://a.test"),
        ("https://a.test/x@y", "https://a.test/x@y"),
        ("https://a.test?x=y@z", "https://a.test?x=y@z"),
    ],
)
def test_a_task_shows_no_credentials_of_the_url(task: Task, uri: str, shown: str) -> None:
    request = {"method": {"name": "web-download", "uri": uri}, "stores": ["a"]}
    document = task_document(msgspec.structs.replace(task, import_req=request), is_admin=True)
    assert document["input"]["import_req"] == {"method": {"name": "web-download", "uri": shown}, "stores": ["a"]}


def test_a_preliminary_report_is_no_result(task: Task) -> None:
    running = msgspec.structs.replace(task, report={"running": {"waits_for": "antivirus"}})
    assert [task_document(running, is_admin=is_admin)["result"] for is_admin in (True, False)] == [None, None]


def test_who_only_sees_an_image_reads_no_signature_and_nobody_of_its_import(task: Task) -> None:
    uri = "https://user:pw@cdn.example/a.img?X-Amz-Signature=secret#part"
    request = {"method": {"name": "web-download", "uri": uri}}
    task = msgspec.structs.replace(task, import_req=request)
    other = task_document(task, is_admin=False)
    assert other["input"]["import_req"]["method"]["uri"] == "https://cdn.example/a.img"
    assert "user_id" not in other and "request_id" not in other
    for is_admin in (True, False):
        whole = task_document(task, is_admin=is_admin, is_owner=not is_admin)
        assert whole["input"]["import_req"]["method"]["uri"].endswith("?X-Amz-Signature=secret#part")
        assert (whole["user_id"], whole["request_id"]) == ("u1", "req-1")
