"""JSON schemas that clients read (no. 3 and 4): images, members and tasks.

glanceclient builds its model of an image from `image`, and refuses a value that does not fit; Nova takes the formats of
snapshots from ``disk_format.enum``; Nova and Cinder tell base fields from custom properties by its names and by
`is_base`. So every base field is listed, with null where it occurs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from douane.api.requests.bounds import NAME
from douane.api.requests.image_fields import READ_ONLY, ImageRules
from douane.catalog.fields import VISIBILITIES
from douane.catalog.records import MemberStatus

Schema = dict[str, Any]

UUID_PATTERN = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
IMAGE_STATUSES = (
    "queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated",
)  # fmt: skip
"""Glance's words; some of them no image of Douane has."""
TASK_TYPES = ("api_image_import", "location_import", "import")
TASK_STATUSES = ("pending", "processing", "success", "failure")
_LISTED_TASK = ("input", "result", "progress", "message")
"""What a list of tasks leaves out."""


def image_schema(rules: ImageRules) -> Schema:
    """``/v2/schemas/image``."""
    properties = _image_properties(rules)
    for name, site in sorted(rules.site_properties.items()):
        if name not in properties:
            field = _text(site.description or f"The property {name}", site.max_length)
            properties[name] = {**field, **({"enum": list(site.enum)} if site.enum else {}), "is_base": False}
    return {
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def images_schema(rules: ImageRules) -> Schema:
    """``/v2/schemas/images``."""
    return page_schema("images", image_schema(rules))


def member_schema() -> Schema:
    """``/v2/schemas/member``."""
    return {
        "name": "member",
        "properties": {
            "member_id": _text("The project that the image is shared with"),
            "image_id": _uuid("The image"),
            "created_at": _text("When the image was shared"),
            "updated_at": _text("When the status changed"),
            "status": {**_text("What the member decided"), "enum": list(get_args(MemberStatus))},
            "schema": {"type": "string", "readOnly": True},
        },
    }


def members_schema() -> Schema:
    """``/v2/schemas/members``."""
    return short_page_schema("members", member_schema())


def task_schema() -> Schema:
    """``/v2/schemas/task``."""
    blob: Schema = {"type": ["null", "object"]}
    return {
        "name": "task",
        "properties": {
            "id": _uuid("The task"),
            "type": {**_text("What the task does"), "enum": list(TASK_TYPES)},
            "status": {**_text("How far the task is"), "enum": list(TASK_STATUSES)},
            "input": {**blob, "description": "The request"},
            "result": {**blob, "description": "The report: what each plugin said"},
            "progress": {**blob, "description": "Bytes, per cent, and the plugin that the run waits for"},
            "owner": _text("The project that requested the task"),
            "message": _text("Why the task failed"),
            "image_id": _text("The image"),
            "request_id": _text("The id of the request"),
            "user_id": _text("The user who requested the task"),
            "expires_at": {"type": ["null", "string"], "description": "When the record may be removed"},
            "created_at": _text("When the task was requested"),
            "updated_at": _text("When the task changed"),
            "self": {"type": "string", "readOnly": True},
            "schema": {"type": "string", "readOnly": True},
        },
    }


def tasks_schema() -> Schema:
    """``/v2/schemas/tasks``."""
    task = task_schema()
    for name in _LISTED_TASK:
        del task["properties"][name]
    return short_page_schema("tasks", task)


def page_schema(name: str, item: Schema) -> Schema:
    """The schema of a page of a list, with links to other pages."""
    text = {"type": "string"}
    return {
        "name": name,
        "properties": {name: {"type": "array", "items": item}, "first": text, "next": text, "schema": text},
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def short_page_schema(name: str, item: Schema) -> Schema:
    """The schema of a list that has one page."""
    return {
        "name": name,
        "properties": {name: {"type": "array", "items": item}, "schema": {"type": "string"}},
        "links": [{"rel": "describedby", "href": "{schema}"}],
    }


def _image_properties(rules: ImageRules) -> Schema:
    properties: Schema = {
        "id": _uuid("The image"),
        "name": _text("The name of the image", NAME, null=True),
        "status": {**_text("The state of the image"), "enum": list(IMAGE_STATUSES)},
        "visibility": {**_text("Who may see the image"), "enum": list(VISIBILITIES)},
        "protected": {"type": "boolean", "description": "The image cannot be deleted"},
        "os_hidden": {"type": "boolean", "description": "Lists leave the image out"},
        "checksum": _text("The MD5 of the bytes", 32, null=True),
        "os_hash_algo": _text("The algorithm of os_hash_value", 64, null=True),
        "os_hash_value": _text("The digest of the bytes, in hexadecimal digits", 128, null=True),
        "owner": _text("The project that owns the image", NAME, null=True),
        "size": _integer("The size of the image in bytes", null=True),
        "virtual_size": _integer("The size of the disk in the image, in bytes", null=True),
        "container_format": _formats("The format of the container", rules.container_formats),
        "disk_format": _formats("The format of the disk", rules.disk_formats),
        "created_at": _text("When the image was created"),
        "updated_at": _text("When the image was last changed"),
        "tags": {"type": "array", "description": "Words that the image is found by", "items": _text("A tag", NAME)},
        "direct_url": _text("Where the bytes are in a store"),
        "min_ram": _integer("The memory in MiB that a server needs for the image"),
        "min_disk": _integer("The disk in GiB that a server needs for the image"),
        "self": _text("The path of the image"),
        "file": _text("The path of its bytes"),
        "stores": _text("The stores that hold the bytes, separated by commas"),
        "schema": _text("The path of this schema"),
        "locations": {"type": "array", "description": "Where the bytes are; never shown", "items": {"type": "object"}},
    }
    for name in READ_ONLY - {"id"}:
        properties[name]["readOnly"] = True
    return properties


def _text(description: str, limit: int | None = None, *, null: bool = False) -> Schema:
    field: Schema = {"type": ["null", "string"] if null else "string", "description": description}
    return {**field, "maxLength": limit} if limit else field


def _integer(description: str, *, null: bool = False) -> Schema:
    return {"type": ["null", "integer"] if null else "integer", "description": description}


def _uuid(description: str) -> Schema:
    return {**_text(description), "pattern": UUID_PATTERN}


def _formats(description: str, formats: Sequence[str]) -> Schema:
    return {**_text(description, null=True), "enum": [None, *formats]}
