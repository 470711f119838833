"""The schemas (IMAGE-API no. 3 to 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from douane.api.documents.metadef_schemas import metadef_schemas
from douane.api.documents.schemas import (
    image_schema,
    images_schema,
    member_schema,
    members_schema,
    task_schema,
    tasks_schema,
)
from douane.api.requests.image_fields import EDITABLE, READ_ONLY, ImageRules, SiteProperty
from support.json_schema import violations

RULES = ImageRules(
    disk_formats=("raw", "qcow2"),
    container_formats=("bare",),
    site_properties={
        "os_type": SiteProperty(description="The system", enum=("linux",)),
        "note": SiteProperty(max_length=3),
        "size": SiteProperty(),
    },
)


def test_the_formats_of_the_site_are_in_the_schema() -> None:
    properties = image_schema(RULES)["properties"]
    assert properties["disk_format"]["enum"] == [None, "raw", "qcow2"]  # Nova reads it
    assert properties["container_format"]["enum"] == [None, "bare"]


def test_base_fields_are_told_from_the_properties_of_the_site() -> None:
    properties = image_schema(RULES)["properties"]
    assert {name for name, field in properties.items() if field.get("is_base", True) is False} == {"os_type", "note"}
    assert properties["os_type"]["enum"] == ["linux"]
    assert properties["note"]["maxLength"] == 3
    assert properties["size"]["type"] == ["null", "integer"]
    assert image_schema(RULES)["additionalProperties"] == {"type": "string"}
    assert {link["rel"] for link in image_schema(RULES)["links"]} == {"self", "enclosure", "describedby"}


def test_the_fields_that_a_client_may_not_write_are_marked() -> None:
    properties = image_schema(RULES)["properties"]
    assert {name for name, field in properties.items() if field.get("readOnly")} == READ_ONLY - {"id"}
    assert set(EDITABLE) <= properties.keys()


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("image", image_schema(RULES)),
        ("images", images_schema(RULES)),
        ("member", member_schema()),
        ("members", members_schema()),
        ("task", task_schema()),
        ("tasks", tasks_schema()),
    ],
)
def test_every_schema_has_its_name_and_is_json(name: str, schema: dict[str, Any]) -> None:
    assert schema["name"] == name
    assert json.loads(json.dumps(schema)) == schema
    assert ("links" in schema) == (name not in ("member", "task"))  # the short form


NAMES = {
    "namespace": "namespace", "namespaces": "namespaces", "object": "object", "objects": "objects",
    "property": "property", "properties": "properties", "tag": "tag", "tags": "tags",
    "resource_type": "resource_type_association", "resource_types": "resource_type_associations",
}  # fmt: skip


def test_the_ten_schemas_of_metadata_definitions_have_glances_names() -> None:
    schemas = metadef_schemas()
    assert {path: schema["name"] for path, schema in schemas.items()} == NAMES
    assert schemas["properties"]["properties"]["properties"]["type"] == "object"
    assert "name" in schemas["property"]["required"]
    assert json.loads(json.dumps(schemas)) == schemas


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": 7}, "is not"),
        ({"disk_format": "floppy"}, "is not one of"),
        ({"id": "x"}, "does not match"),
        ({"size": True}, "is not"),
        ({"custom": None}, "is not string"),
        ({"tags": ["x" * 256]}, "too long"),
        ([], "is not object"),
    ],
)
def test_a_document_that_does_not_fit_is_noticed(value: Any, words: str) -> None:
    assert words in " ".join(violations(value, image_schema(RULES)))


def test_a_missing_field_and_an_unknown_keyword_are_noticed() -> None:
    assert list(violations({}, {"properties": {}, "required": ["a"]})) == [": a is missing"]
    assert "oneOf" in " ".join(violations({}, {"oneOf": []}))
