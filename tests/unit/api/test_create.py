"""The body of POST /v2/images (IMAGE-API no. 6)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.api.documents.records import image_document
from douane.api.documents.schemas import image_schema
from douane.api.errors import HttpError
from douane.api.identity.rights import make_identity
from douane.api.requests.create import NewImage, created_headers, read_new_image, read_store_header
from douane.api.requests.image_fields import ImageRules, SiteProperty
from douane.catalog import Catalog
from douane.catalog.query import Quotas
from support.json_schema import violations

TENANT = make_identity("u1", "p1", ["member", "reader"])
ADMIN = make_identity("u0", "p0", ["admin"])
RULES = ImageRules(
    plugins=frozenset({"format"}),
    site_properties={"os_type": SiteProperty(enum=("linux", "windows")), "short": SiteProperty(max_length=3)},
    quotas=Quotas(properties=4, tags=3),
)
UUID = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"


def create(fields: dict[str, Any], identity: Any = TENANT, rules: ImageRules = RULES) -> NewImage:
    return read_new_image(json.dumps(fields).encode(), identity, rules)


def test_an_empty_object_is_a_shared_image_of_the_project() -> None:
    image = create({})
    assert (image.id, image.owner, image.visibility, image.tags, image.properties) == (None, "p1", "shared", [], {})
    assert (image.protected, image.os_hidden, image.min_disk, image.min_ram) == (False, False, 0, 0)


def test_base_fields_tags_and_properties_stand_side_by_side() -> None:
    image = create({
        "id": UUID, "name": "é", "disk_format": "qcow2", "container_format": None, "visibility": "private",
        "min_ram": 512, "protected": True, "os_hidden": True, "tags": ["b", "a", "b"], "hw:x/y": "1",
        "os_type": "linux",
    })  # fmt: skip
    assert image.id == UUID.lower()
    assert (image.name, image.disk_format, image.container_format) == ("é", "qcow2", None)
    assert (image.min_ram, image.protected, image.os_hidden, image.visibility) == (512, True, True, "private")
    assert image.tags == ["b", "a"]
    assert image.properties == {"hw:x/y": "1", "os_type": "linux"}


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"id": "x"}, 400, "a UUID with dashes"),
        ({"id": None}, 400, "a UUID with dashes"),
        ({"id": UUID.replace("-", "")}, 400, "a UUID with dashes"),
        ({"id": UUID + "\n"}, 400, "a UUID with dashes"),
        ({"name": 7}, 400, "'name' must be a string, not a number"),
        ({"name": "x" * 256}, 400, "256 characters; at most 255"),
        ({"disk_format": "floppy"}, 400, "cannot be 'floppy'; it must be one of"),
        ({"disk_format": ["raw"]}, 400, "'disk_format' cannot be"),
        ({"container_format": ""}, 400, "'container_format' cannot be"),
        ({"visibility": None}, 400, "'visibility' cannot be"),
        ({"visibility": "all"}, 400, "'visibility' cannot be"),
        ({"protected": "true"}, 400, "true or false, not a string"),
        ({"os_hidden": 1}, 400, "true or false, not a number"),
        ({"min_disk": "1"}, 400, "whole number, not a string"),
        ({"min_disk": True}, 400, "whole number, not a boolean"),
        ({"min_disk": 1.5}, 400, "whole number"),
        ({"min_ram": -1}, 400, "from 0 to 2147483647"),
        ({"min_ram": 2**31}, 400, "from 0 to 2147483647"),
        ({"tags": "a"}, 400, "array of strings"),
        ({"tags": None}, 400, "array of strings, not null"),
        ({"tags": [1]}, 400, "'tags' must be a string"),
        ({"tags": [""]}, 400, "A tag is empty"),
        ({"tags": ["x" * 256]}, 400, "at most 255"),
        ({"tags": list("abcd")}, 413, "4 tags; at most 3"),
        ({"a": 1}, 400, "'a' must be a string, not a number"),
        ({"a": None}, 400, "'a' must be a string, not null"),
        ({"a": {"b": "c"}}, 400, "not an object"),
        ({"a": "x" * 65_536}, 400, "at most 65535"),
        ({"a": "é" * 40_000}, 400, "more than 65535 bytes"),
        ({"": "x"}, 400, "name of a property is empty"),
        ({"x" * 256: "x"}, 400, "at most 255"),
        (dict.fromkeys("abcde", "x"), 413, "5 properties; at most 4"),
        ({"os_type": "plan9"}, 400, "one of linux, windows"),
        ({"short": "abcd"}, 400, "at most 3"),
        ({"owner": "p2"}, 403, "of the owner 'p2'"),
        ({"owner": None}, 403, "of the owner"),
        ({"visibility": "public"}, 403, "public"),
        *(({name: "x"}, 403, "read-only") for name in ("status", "checksum", "self", "file", "schema", "direct_url")),
        *(({name: "x"}, 403, "read-only") for name in ("stores", "created_at", "size", "os_hash_value")),
        *(({name: "x"}, 403, "reserved") for name in ("location", "locations", "deleted", "deleted_at")),
        *(({name: "x"}, 403, "reserved") for name in ("os_glance", "os_glance_import_task", "os_glance_failed_import")),
        # A verdict cannot be forged.
        *(({name: "x"}, 403, "reserved") for name in ("douane_outcome", "douane_proof", "format.disk")),
    ],
)
def test_what_a_tenant_may_not_send(fields: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        create(fields)
    assert error.value.status == status


def test_an_admin_gives_the_image_to_another_owner_and_publishes_it() -> None:
    image = create({"owner": "p2", "visibility": "public"}, ADMIN)
    assert (image.owner, image.visibility) == ("p2", "public")
    assert create({"owner": None}, ADMIN).owner is None


def test_a_reader_creates_nothing() -> None:
    with pytest.raises(HttpError, match="role member") as error:
        create({}, make_identity("u", "p1", ["reader"]))
    assert error.value.status == 403


def test_a_snapshot_loses_the_findings_of_its_image_where_images_show_them() -> None:
    rules = msgspec.structs.replace(RULES, drop_inherited_findings=True)
    image = create({"format.disk": "qcow2", "douane_code": "x", "formatting": "kept"}, rules=rules)
    assert image.properties == {"formatting": "kept"}
    assert image.dropped == ["format.disk", "douane_code"]


@pytest.mark.parametrize(("value", "store"), [(None, None), ("", None), (" ", None), (" ceph ", "ceph")])
def test_the_header_for_a_store(value: str | None, store: str | None) -> None:
    assert read_store_header(value) == store


@pytest.mark.parametrize("value", ["x" * 256, "a\x00b", "a\nb"])
def test_a_header_that_names_no_store(value: str) -> None:
    with pytest.raises(HttpError, match="not the name of a store"):
        read_store_header(value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.uuids().map(str) | TEXT,
        "name": st.none() | TEXT,
        "visibility": st.sampled_from(["private", "shared", "community", "public"]),
        "protected": st.booleans(),
        "os_hidden": st.booleans(),
        "min_disk": st.integers(-1, 2**31),
        "disk_format": st.sampled_from([None, "raw", "floppy"]),
        "tags": st.lists(TEXT, max_size=3),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fields=FIELDS, properties=st.dictionaries(TEXT, TEXT, max_size=3))
def test_the_catalog_keeps_every_image_that_is_read(
    catalog: Catalog, fields: dict[str, Any], properties: dict[str, str]
) -> None:
    try:
        new = create({**properties, **fields}, ADMIN)
    except HttpError as error:
        assert error.status in (400, 403, 413)
        return
    left_out = ("id", "os_hidden", "dropped", "store")  # the same id may come in two examples
    values = {name: getattr(new, name) for name in new.__struct_fields__ if name not in left_out}
    image = catalog.create_image(hidden=new.os_hidden, **values)
    document = image_document(image)
    assert list(violations(document, image_schema(RULES))) == []
    expected = {name: value for name, value in {**properties, **fields}.items() if name not in ("tags", "id")}
    assert {name: document[name] for name in expected} == expected
    assert set(document["tags"]) == set(fields.get("tags", []))


def test_the_answer_says_what_can_come_next() -> None:
    assert created_headers("i1", ["glance-direct", "web-download"], ["a", "b"]) == {
        "Location": "/v2/images/i1",
        "OpenStack-image-import-methods": "glance-direct,web-download",
        "OpenStack-image-store-ids": "a,b",
    }
    assert "OpenStack-image-import-methods" not in created_headers("i1", [], ["a"])
