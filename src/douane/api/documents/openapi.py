"""The OpenAPI 3.1 document, generated from the table of routes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from douane import __version__
from douane.api.requests.bounds import NAME
from douane.api.requests.image_fields import READ_ONLY, ImageRules

from .openapi_operations import BILL, BYTES, JSON, OPERATIONS, SCHEMA_NAMES, UUID, Operation
from .schemas import image_schema, member_schema, task_schema

Route = tuple[str, type, str]
"""Path template, resource and summary: a row of the table of routes."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PAGES_PREFIX = "/ui"
"""The pages for people are no part of the API."""

_PARAMETER = re.compile(r"\{(\w+)\}")
_UUIDS = frozenset({"image_id", "task_id", "upload_id"})
_MEDIA_TYPES = {"bytes": BYTES, "bill": BILL}
_DESCRIPTIONS = {"bytes": "The bytes.", "bill": "A bill of materials in CycloneDX 1.6."}
_HYPER = ("name", "links")
"""Members of the schemas for clients that are no JSON Schema of today."""


def openapi_document(routes: Iterable[Route], rules: ImageRules) -> dict[str, Any]:
    """The document about these routes."""
    paths = {path: _path(path, resource, summary) for path, resource, summary in shown(routes)}
    _link(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Douane: the OpenStack Image API, with the operator's plugins",
            "version": __version__,
            "summary": "Images are created, uploaded or imported, and every byte passes the operator's plugins.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": _components(rules),
            "responses": {"Error": {"description": "An error, with a sentence.", "content": _error_content()}},
        },
    }


def shown(routes: Iterable[Route]) -> Iterator[Route]:
    """The routes that the document describes."""
    return (route for route in routes if not route[0].startswith(PAGES_PREFIX))


def methods_of(resource: type) -> Iterator[tuple[str, str]]:
    """Each method of a resource, with the first paragraph of its documentation."""
    for method in METHODS:
        responder = getattr(resource, f"on_{method.lower()}", None)
        if responder is not None:
            yield method, " ".join((inspect.getdoc(responder) or "").partition("\n\n")[0].split())


def _path(template: str, resource: type, summary: str) -> dict[str, Any]:
    names = _PARAMETER.findall(template)
    described = OPERATIONS.get(template, {})
    words = re.sub(r"\W+", "_", template).strip("_") or "root"
    path: dict[str, Any] = {"summary": summary, "parameters": [_path_parameter(template, name) for name in names]}
    for method, text in methods_of(resource):
        operation = described.get(method, Operation())
        path[method.lower()] = {"operationId": f"{method.lower()}_{words}", "summary": text, **_operation(operation)}
    return path


def _link(paths: dict[str, dict[str, Any]]) -> None:
    """Say that the id of a new image is what other operations take as `image_id`."""
    created = paths.get("/v2/images", {}).get("post")
    if created is None:
        return
    created["responses"]["201"]["links"] = {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {"image_id": "$response.body#/id"},
        }
        for template, path in paths.items()
        for method, operation in path.items()
        if "{image_id}" in template and method.upper() in METHODS
    }


def _operation(operation: Operation) -> dict[str, Any]:
    document: dict[str, Any] = {"responses": _responses(operation)}
    parameters = [
        *({"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()),
        *({"name": name, "in": "header", "schema": schema} for name, schema in operation.headers.items()),
    ]
    if parameters:
        document["parameters"] = parameters
    if operation.bodies:
        content = {media: ({"schema": schema} if schema else {}) for media, schema in operation.bodies.items()}
        for media, example in operation.examples.items():
            content[media]["example"] = example
        document["requestBody"] = {"required": True, "content": content}
    if operation.public:
        document["security"] = []
    return document


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, schema in operation.answers.items():
        answer: dict[str, Any] = {"description": _DESCRIPTIONS.get(schema, schema or "Done.")}
        if schema:
            answer["content"] = {_MEDIA_TYPES[schema]: {}} if schema in _MEDIA_TYPES else _json(schema)
        responses[str(status)] = answer
    return {**responses, "default": {"$ref": "#/components/responses/Error"}}


def _path_parameter(template: str, name: str) -> dict[str, Any]:
    schema: Mapping[str, Any] = UUID if name in _UUIDS else {"type": "string", "minLength": 1, "maxLength": NAME}
    if template in SCHEMA_NAMES:
        schema = {"type": "string", "enum": list(SCHEMA_NAMES[template])}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(schema: str) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _error_content() -> dict[str, Any]:
    """Errors of the calls of resumable uploads are problems (RFC 9457), with the member ``error`` of all errors."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {**_json("Error"), **problem}


def _components(rules: ImageRules) -> dict[str, Any]:
    image = {"type": "object", **_plain(image_schema(rules))}
    sent = {name: schema for name, schema in image["properties"].items() if name not in READ_ONLY or name == "id"}
    task = {"type": "object", **_plain(task_schema())}
    member = {"type": "object", **_plain(member_schema())}
    error = {
        "type": "object",
        "required": ["code", "title", "message"],
        "properties": {"code": {"type": "integer"}, "title": {"type": "string"}, "message": {"type": "string"}},
    }
    return {
        "Image": image,
        "NewImage": {"type": "object", "properties": sent, "additionalProperties": {"type": "string"}},
        "Images": _list("images", "Image"),
        "Member": member,
        "Members": _list("members", "Member"),
        "Task": task,
        "Tasks": _list("tasks", "Task"),
        "TaskList": _list("tasks", "Document"),
        "Locations": {"type": "array", "items": {"type": "object", "required": ["url", "metadata"]}},
        "Versions": _list("versions", "Document"),
        "Document": {"type": "object"},
        "Error": {"type": "object", "required": ["error"], "properties": {"error": error}},
        "Problem": {
            "type": "object",
            "required": ["type", "title", "error"],
            "properties": {
                "type": {"type": "string", "format": "uri"},
                "title": {"type": "string"},
                "expected-offset": {"type": "integer"},
                "provided-offset": {"type": "integer"},
                "error": error,
            },
        },
    }


def _list(name: str, item: str) -> dict[str, Any]:
    items = {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}}
    return {"type": "object", "required": [name], "properties": {name: items}}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in _HYPER}
