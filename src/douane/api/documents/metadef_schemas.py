"""The ten schemas of metadata definitions (no. 5): Tempest reads them, and nothing else of that part of the API exists.

They name the fields of Glance's schemas, so that a client that builds its model from them works; bounds and
descriptions are left out.
"""

from __future__ import annotations

from .schemas import Schema, page_schema

_TEXT = {"type": "string"}
_TIMES = {
    "created_at": {"type": "string", "format": "date-time", "readOnly": True},
    "updated_at": {"type": "string", "format": "date-time", "readOnly": True},
}
_LINKS = {"self": {"type": "string", "readOnly": True}, "schema": {"type": "string", "readOnly": True}}
_PROPERTY = {
    "name": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
    "type": {"type": "string", "enum": ["array", "boolean", "integer", "number", "object", "string"]},
    "operators": {"type": "array", "items": _TEXT},
    "enum": {"type": "array"},
    "default": {},
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "minLength": {"type": "integer"},
    "maxLength": {"type": "integer"},
    "pattern": _TEXT,
    "items": {"type": "object"},
    "readonly": {"type": "boolean"},
}
_OBJECT = {
    "name": _TEXT,
    "description": _TEXT,
    "required": {"type": "array", "items": _TEXT},
    "properties": {"type": "object", "additionalProperties": {"type": "object"}},
    **_TIMES,
    **_LINKS,
}
_ASSOCIATION = {"name": _TEXT, "prefix": _TEXT, "properties_target": _TEXT, **_TIMES}
_TAG = {"name": _TEXT, **_TIMES}
_NAMESPACE = {
    "namespace": _TEXT,
    "display_name": _TEXT,
    "description": _TEXT,
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "protected": {"type": "boolean"},
    "owner": _TEXT,
    "resource_type_associations": {"type": "array", "items": {"type": "object", "properties": _ASSOCIATION}},
    "objects": {"type": "array", "items": {"type": "object", "properties": _OBJECT}},
    "properties": {"type": "object", "additionalProperties": {"type": "object", "properties": _PROPERTY}},
    "tags": {"type": "array", "items": {"type": "object", "properties": _TAG}},
    **_TIMES,
    **_LINKS,
}


def metadef_schemas() -> dict[str, Schema]:
    """The schemas by the last part of their path, ``/v2/schemas/metadefs/{name}``."""
    namespace = _schema("namespace", _NAMESPACE, "namespace")
    metadef_object = _schema("object", _OBJECT, "name")
    association = _schema("resource_type_association", _ASSOCIATION, "name")
    item = _schema("property", _PROPERTY, "title", "type")
    tag = _schema("tag", _TAG, "name")
    named = _schema("property", _PROPERTY, "title", "type", "name")
    properties = page_schema("properties", item)
    # A collection of properties is an object, by the names of the properties.
    properties["properties"]["properties"] = {"type": "object", "additionalProperties": item}
    return {
        "namespace": namespace,
        "namespaces": page_schema("namespaces", namespace),
        "object": metadef_object,
        "objects": page_schema("objects", metadef_object),
        "property": named,
        "properties": properties,
        "resource_type": association,
        "resource_types": page_schema("resource_type_associations", association),
        "tag": tag,
        "tags": page_schema("tags", tag),
    }


def _schema(name: str, properties: Schema, *required: str) -> Schema:
    return {"name": name, "required": list(required), "properties": properties}
