"""The OpenAPI document: every route and method, with what it takes and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest

from douane.api.documents.openapi import methods_of, openapi_document, shown
from douane.api.documents.openapi_operations import OPERATIONS
from douane.api.requests.image_fields import ImageRules
from douane.api.routes import ROUTES
from support.api import ADMIN, Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    opened = Api(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(openapi_document(ROUTES, ImageRules())))


def test_every_method_of_every_route_is_described():
    for path, resource, _ in shown(ROUTES):
        assert path in OPERATIONS, f"describe {path} in api/documents/openapi_operations.py"
        methods = {method for method, _ in methods_of(resource)}
        assert methods <= OPERATIONS[path].keys(), path
        for method in methods:
            operation = OPERATIONS[path][method]
            assert operation.answers, (path, method)
            assert bool(operation.bodies) == (method in resource.bodies), (path, method)
        assert all(text.endswith(".") for _, text in methods_of(resource)), path


def test_the_document_is_openapi_and_its_references_lead_somewhere(document):
    assert document["openapi"] == "3.1.0" and document["info"]["version"]
    assert not [path for path in document["paths"] if path.startswith("/ui")]
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        place = document
        for step in name.split("/"):
            place = place[step]
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method not in ("summary", "parameters")
    ]
    assert len(ids) == len(set(ids))
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def fits(document, name, value):
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema_rs.validator_for(schema).validate(value)


def test_the_schemas_are_those_of_the_answers(api, document):
    created = api.create(name="n", disk_format="raw", container_format="bare", colour="red", tags=["a"])
    fits(document, "Image", created)
    fits(document, "Images", api.request("GET", "/v2/images").json())
    api.activate(created["id"], b"bytes")
    fits(document, "Image", api.request("GET", f"/v2/images/{created['id']}").json())
    fits(document, "Tasks", api.request("GET", f"/v2/images/{created['id']}/tasks").json())
    fits(document, "TaskList", api.request("GET", "/v2/tasks", ADMIN).json())
    member = api.request("POST", f"/v2/images/{created['id']}/members", json={"member": "p2"}).json()
    fits(document, "Member", member)
    fits(document, "Error", api.request("GET", "/v2/images/nonsense").json())
    fits(document, "NewImage", {"name": "n", "disk_format": "raw", "colour": "red"})
    with pytest.raises(jsonschema_rs.ValidationError):
        fits(document, "NewImage", {"name": 3})


def test_the_document_is_served_without_a_token(api, document):
    answer = api.request("GET", "/openapi.json", sender=None)
    assert answer.status_code == 200 and answer.json() == document
