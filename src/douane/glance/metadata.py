"""What is declared of an image, from Glance; and what was found of it, to Glance: by its API, as the user."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from douane.engine.report import PropertyValue

from .doors import Door
from .gates import Declared
from .subrequest import Answer, App, ask

log = logging.getLogger("douane")

PATCH_TYPE = "application/openstack-images-v2.1-json-patch"
_OWN = frozenset(
    {
        *("id", "name", "status", "visibility", "protected", "os_hidden", "owner", "size", "virtual_size", "checksum"),
        *("os_hash_algo", "os_hash_value", "disk_format", "container_format", "created_at", "updated_at", "min_disk"),
        *("min_ram", "tags", "self", "file", "schema", "stores", "locations", "direct_url"),
    }
)
"""Attributes of every image (Image API v2, schema ``image``); what else stands there is a property."""


class NotReadable(Exception):
    """The image cannot be seen by who wants to fill it; `answer` is what Glance said."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def declared_of(app: App, environ: dict[str, Any], door: Door) -> Declared:
    """What the image's owner has declared, and who sends it, as the engine takes it. Raises NotReadable."""
    answer = ask(app, environ, "GET", door.path)
    if answer.code != 200:
        raise NotReadable(answer)
    image = json.loads(answer.body)
    return {
        "name": image.get("name"),
        "disk_format": image.get("disk_format"),
        "container_format": image.get("container_format"),
        "properties": properties_of(image),
        "owner": image.get("owner") or environ.get("HTTP_X_PROJECT_ID"),
        "roles": [role.strip() for role in (environ.get("HTTP_X_ROLES") or "").split(",") if role.strip()],
    }


def properties_of(image: Mapping[str, Any]) -> dict[str, str]:
    """The properties in an image as the API shows it."""
    return {
        key: str(value)
        for key, value in image.items()
        if key not in _OWN and not key.startswith("os_glance") and isinstance(value, str | int | float | bool)
    }


def set_properties(
    app: App, environ: dict[str, Any], door: Door, wanted: Mapping[str, PropertyValue | None]
) -> str | None:
    """Set, or with None remove, properties of the image. Returns what went wrong, for the log; None if nothing did."""
    if not wanted:
        return None
    answer = ask(app, environ, "GET", door.path)
    if answer.code != 200:
        return answer.status
    there = json.loads(answer.body)
    patch: list[dict[str, Any]] = []
    for name, value in wanted.items():
        path = "/" + name.replace("~", "~0").replace("/", "~1")  # RFC 6901, 3
        if value is None:
            patch += [{"op": "remove", "path": path}] if name in there else []
        else:
            patch.append({"op": "replace" if name in there else "add", "path": path, "value": text(value)})
    if not patch:
        return None
    body = json.dumps(patch).encode()
    answer = ask(app, environ, "PATCH", door.path, body=body, content_type=PATCH_TYPE)
    return None if answer.code == 200 else f"{answer.status}: {answer.body[:500].decode(errors='replace')}"


def text(value: PropertyValue) -> str:
    """A property's value as Glance has them: texts."""
    return str(value).lower() if isinstance(value, bool) else str(value)
