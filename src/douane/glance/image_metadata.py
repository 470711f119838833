"""What is declared of an image, from Glance; and what was found of it, to Glance: by its API, as the user."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from douane.declared import DeclaredImage
from douane.report import PropertyValue

from .outcome import OUTCOME_PROPERTIES
from .upload.api_client import Answer, App, ask
from .upload.routes import Door

log = logging.getLogger("douane")

PATCH_TYPE = "application/openstack-images-v2.1-json-patch"
ATTRIBUTES = frozenset(
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


def declared_of(app: App, environ: dict[str, Any], door: Door, plugins: Collection[str]) -> DeclaredImage:
    """What the image's owner has declared, and who sends it, as the engine takes it. Raises NotReadable.

    `plugins` are the plan's: what stands on the image in the name of one was found in an earlier attempt, or made up.
    Owner and roles are what the filters before this one say. Where none of them checks who asks (no `authtoken`), they
    are what the client says.
    """
    answer = ask(app, environ, "GET", door.path)
    if answer.code != 200:
        raise NotReadable(answer)
    image = json.loads(answer.body)
    return DeclaredImage(
        name=image.get("name"),
        disk_format=image.get("disk_format"),
        container_format=image.get("container_format"),
        properties={name: value for name, value in properties_of(image).items() if not is_found(name, plugins)},
        owner=image.get("owner") or environ.get("HTTP_X_PROJECT_ID"),
        roles=tuple(role.strip() for role in (environ.get("HTTP_X_ROLES") or "").split(",") if role.strip()),
    )


def is_found(name: str, plugins: Collection[str]) -> bool:
    """True for a property in the namespace of one of `plugins`."""
    return "." in name and name.partition(".")[0] in plugins


def properties_of(image: Mapping[str, Any]) -> dict[str, str]:
    """The properties in an image as the API shows it."""
    return {
        key: str(value)
        for key, value in image.items()
        if key not in ATTRIBUTES | frozenset(OUTCOME_PROPERTIES)
        and not key.startswith("os_glance")
        and isinstance(value, str | int | float | bool)
    }


def set_properties(
    app: App,
    environ: dict[str, Any],
    door: Door,
    wanted: Mapping[str, PropertyValue | None],
    is_stale: Callable[[str], bool],
) -> str | None:
    """Set, or with None remove, properties of the image; what is there already and `is_stale` is removed, too.

    Attributes of the image are no properties: through them its data, its owner, its visibility could be changed.
    Returns what went wrong, for the log; None if nothing did.
    """
    answer = ask(app, environ, "GET", door.path)
    if answer.code != 200:
        return answer.status
    there = json.loads(answer.body)
    patch: list[dict[str, Any]] = []
    stale = [name for name in properties_of(there) if is_stale(name)]
    for name, value in {**dict.fromkeys(stale), **wanted}.items():
        if name in ATTRIBUTES or name.startswith("os_glance"):
            log.error("image %.80r: %s is no property that can be set on it; it is left out", door.image, name)
            continue
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
