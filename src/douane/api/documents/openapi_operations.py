"""What the OpenAPI document says of each operation beyond its path: query, body and answers.

A new route needs an entry here; `tests/unit/api/test_openapi.py` fails without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from douane.api.requests.bounds import LIST_ITEMS, NAME, PAGE, URL
from douane.api.requests.import_request import METHODS
from douane.api.transfer.resumable import INTEROP_VERSION, PART_TYPE
from douane.catalog.fields import VISIBILITIES

from .metadef_schemas import metadef_schemas

Schema = Mapping[str, Any]

JSON = "application/json"
BYTES = "application/octet-stream"
BILL = "application/vnd.cyclonedx+json"
V21_PATCH = "application/openstack-images-v2.1-json-patch"
V20_PATCH = "application/openstack-images-v2.0-json-patch"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    answers: Mapping[int, str] = {}
    """The component schema of each status without an error; an empty name is an empty body, ``bytes`` is an image,
    ``bill`` a bill of materials."""

    bodies: Mapping[str, Schema] = {}
    """Schemas of the body, by its media type."""

    examples: Mapping[str, Any] = {}
    """A body, by its media type."""

    query: Mapping[str, Schema] = {}
    headers: Mapping[str, Schema] = {}
    public: bool = False
    """It needs no token."""


TEXT: Schema = {"type": "string", "maxLength": NAME}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "string", "enum": ["true", "false"]}
UUID: Schema = {"type": "string", "format": "uuid"}
PAGES: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 0, "description": f"At most {PAGE}; a larger one is cut."},
    "marker": {**UUID, "description": "The id of the last of the page before."},
    "sort_dir": {"type": "string", "enum": ["asc", "desc"]},
}
IMAGE_FILTERS: dict[str, Schema] = {
    **PAGES,
    "sort_key": {
        "type": "string",
        "enum": [
            "name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at",
        ],
    },
    "sort": {"type": "string", "description": "name:asc,created_at:desc; not beside sort_key"},
    "id": TEXT, "name": TEXT, "status": TEXT, "owner": TEXT, "disk_format": TEXT, "container_format": TEXT,
    "checksum": TEXT, "os_hash_value": TEXT, "tag": TEXT,
    "visibility": {"type": "string", "enum": [*VISIBILITIES, "all"]},
    "member_status": {"type": "string", "enum": ["pending", "accepted", "rejected", "all"]},
    "protected": FLAG, "os_hidden": FLAG,
    "size_min": COUNT, "size_max": COUNT, "min_ram": COUNT, "min_disk": COUNT,
    "created_at": {"type": "string", "description": "gt:2026-11-29T10:00:00Z; gt, gte, lt, lte, eq or neq"},
    "updated_at": {"type": "string", "description": "As created_at."},
}  # fmt: skip
SENT_BYTES: dict[str, Schema] = {
    "X-OpenStack-Image-Size": {**COUNT, "description": "The size that is announced, if the body comes in chunks."},
    "X-Image-Meta-Store": {**TEXT, "description": "The store to keep the bytes in."},
    "Upload-Complete": {
        "type": "string",
        "enum": ["?0", "?1"],
        "description": "?0: the body is a first part, which may be empty; the answer 201 names the upload.",
    },
    "Upload-Length": {**COUNT, "description": "Bytes of the whole image, if the body is a part."},
    "Upload-Draft-Interop-Version": {"type": "integer", "enum": [INTEROP_VERSION], "description": "Beside ?0."},
}
SENT_PART: dict[str, Schema] = {
    "Upload-Offset": {**COUNT, "description": "Where the part begins: the bytes that are kept."},
    "Upload-Complete": {"type": "string", "enum": ["?0", "?1"], "description": "?1 with the last part."},
    "Upload-Length": {**COUNT, "description": "Bytes of the whole image."},
}

PATCH_LIST: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {"op": {"enum": ["add", "replace", "remove"]}, "path": {"type": "string"}, "value": {}},
    },
}
OLD_PATCH_LIST: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("add", "replace", "remove")} | {"value": {}},
        "minProperties": 1,
    },
}
IMPORT: Schema = {
    "type": "object",
    "required": ["method"],
    "properties": {
        "method": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"enum": list(METHODS)},
                "uri": {
                    "type": "string",
                    "maxLength": URL,
                    "description": "Of web-download; #sha256=DIGITS at its end is the expected digest.",
                },
            },
        },
        "stores": {"type": "array", "items": TEXT, "maxItems": LIST_ITEMS},
        "all_stores": {"type": "boolean"},
        "all_stores_must_succeed": {"type": "boolean", "default": True},
    },
}
IMPORT_EXAMPLE = {"method": {"name": "web-download", "uri": "https://images.example.org/debian-13.qcow2"}}
PATCH_EXAMPLE = [{"op": "replace", "path": "/name", "value": "debian-13.1"}]
LOCATION: Schema = {
    "type": "object",
    "required": ["url"],
    "properties": {
        "url": {"type": "string", "maxLength": URL},
        "validation_data": {
            "type": "object",
            "properties": {"os_hash_algo": {"enum": ["md5", "sha256", "sha512"]}, "os_hash_value": TEXT},
        },
    },
}
MEMBER: Schema = {"type": "object", "required": ["member"], "properties": {"member": TEXT}}
MEMBER_STATUS: Schema = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"enum": ["pending", "accepted", "rejected"]}},
}
_PATCHES = {V21_PATCH: PATCH_LIST, V20_PATCH: OLD_PATCH_LIST}
_PAGES_OF_TASKS: dict[str, Schema] = {
    "limit": PAGES["limit"],
    "marker": {**UUID, "description": "The id of the first of the page before: this one has the tasks before it."},
}
_TASK_FILTERS = {
    **PAGES,
    "sort_key": {"type": "string", "enum": ["created_at"]},
    "status": {"type": "string", "enum": ["pending", "processing", "success", "failure"]},
    "type": {"type": "string", "enum": ["api_image_import", "location_import"]},
}


def _get(schema: str, **more: Any) -> dict[str, Operation]:
    return {"GET": Operation(answers={200: schema}, **more)}


SCHEMA_NAMES: dict[str, tuple[str, ...]] = {
    "/v2/schemas/{name}": ("image", "images", "member", "members", "task", "tasks"),
    "/v2/schemas/metadefs/{name}": tuple(metadef_schemas()),
}
OPERATIONS: dict[str, dict[str, Operation]] = {
    "/": {"GET": Operation(answers={300: "Versions"}, public=True)},
    "/versions": _get("Versions", public=True),
    "/healthcheck": {"GET": Operation(answers={200: "Document", 503: "Document"}, public=True)},
    "/openapi.json": _get("Document", public=True),
    "/v2/schemas/{name}": _get("Document"),
    "/v2/schemas/metadefs/{name}": _get("Document"),
    "/v2/images": {
        "GET": Operation(answers={200: "Images"}, query=IMAGE_FILTERS),
        "POST": Operation(
            answers={201: "Image"},
            bodies={JSON: {"$ref": "#/components/schemas/NewImage"}},
            examples={
                JSON: {"name": "debian-13", "disk_format": "qcow2", "container_format": "bare", "tags": ["linux"]}
            },
            headers={"X-Image-Meta-Store": TEXT},
        ),
    },
    "/v2/images/{image_id}": {
        "GET": Operation(answers={200: "Image"}),
        "PATCH": Operation(answers={200: "Image"}, bodies=_PATCHES, examples={V21_PATCH: PATCH_EXAMPLE}),
        "DELETE": Operation(answers={204: ""}),
    },
    "/v2/images/{image_id}/actions/deactivate": {"POST": Operation(answers={204: ""})},
    "/v2/images/{image_id}/actions/reactivate": {"POST": Operation(answers={204: ""})},
    "/v2/images/{image_id}/file": {
        "PUT": Operation(answers={201: "", 204: ""}, bodies={BYTES: {}}, headers=SENT_BYTES),
        "OPTIONS": Operation(answers={204: ""}),
        "GET": Operation(
            answers={200: "bytes", 204: "", 206: "bytes"},
            query={"prefer": TEXT},
            headers={"Range": {"type": "string", "pattern": "^bytes=[0-9]*-[0-9]*$"}},
        ),
    },
    "/v2/images/{image_id}/stage": {
        "PUT": Operation(answers={201: "", 204: ""}, bodies={BYTES: {}}, headers=SENT_BYTES),
        "OPTIONS": Operation(answers={204: ""}),
    },
    "/v2/images/{image_id}/uploads/{upload_id}": {
        "HEAD": Operation(answers={204: ""}),
        "GET": Operation(answers={204: ""}),
        "PATCH": Operation(answers={204: ""}, bodies={PART_TYPE: {}}, headers=SENT_PART),
        "DELETE": Operation(answers={204: ""}),
        "OPTIONS": Operation(answers={204: ""}),
    },
    "/v2/images/{image_id}/import": {
        "POST": Operation(
            answers={202: ""},
            bodies={JSON: IMPORT},
            examples={JSON: IMPORT_EXAMPLE},
            headers={"X-Image-Meta-Store": TEXT},
        ),
    },
    "/v2/images/{image_id}/tags/{tag}": {
        "PUT": Operation(answers={204: ""}),
        "DELETE": Operation(answers={204: ""}),
    },
    "/v2/images/{image_id}/members": {
        "GET": Operation(answers={200: "Members"}),
        "POST": Operation(answers={200: "Member"}, bodies={JSON: MEMBER}, examples={JSON: {"member": "a-project"}}),
    },
    "/v2/images/{image_id}/members/{member}": {
        "GET": Operation(answers={200: "Member"}),
        "PUT": Operation(
            answers={200: "Member"}, bodies={JSON: MEMBER_STATUS}, examples={JSON: {"status": "accepted"}}
        ),
        "DELETE": Operation(answers={204: ""}),
    },
    "/v2/images/{image_id}/tasks": _get("Tasks", query=_PAGES_OF_TASKS),
    "/v2/images/{image_id}/sbom": _get("bill"),
    "/v2/images/{image_id}/locations": {
        "GET": Operation(answers={200: "Locations"}),
        "POST": Operation(answers={202: ""}, bodies={JSON: LOCATION}),
    },
    "/v2/images/{image_id}/actions/cancel_import": {"POST": Operation(answers={204: ""})},
    "/v2/tasks": {"GET": Operation(answers={200: "TaskList"}, query=_TASK_FILTERS)},
    "/v2/tasks/{task_id}": _get("Task"),
    "/v2/info/import": _get("Document"),
    "/v2/info/stores": _get("Document"),
    "/v2/info/stores/detail": _get("Document"),
    "/v2/info/usage": _get("Document"),
    "/v2/stores/{store_id}/{image_id}": {"DELETE": Operation(answers={204: ""})},
    "/metrics": {"GET": Operation(answers={200: ""}, public=True)},
}
