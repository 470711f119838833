"""The body of ``POST /v2/images`` (no. 6): base fields and any number of properties, all at the top level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from douane.api.errors import HttpError, bad_request, forbidden, quoted
from douane.api.identity.rights import Identity, may_publish
from douane.catalog.records import Visibility

from .bounds import NAME, QUOTAS
from .identifiers import read_uuid
from .image_fields import (
    EDITABLE,
    FieldValue,
    ImageRules,
    check_count,
    check_name,
    check_property,
    check_tags,
    check_value,
    is_finding,
)
from .json_body import is_text, read_object


class NewImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a client wants it."""

    id: str | None
    """None if the service chooses."""
    name: str | None
    owner: str | None
    visibility: Visibility
    protected: bool
    os_hidden: bool
    min_disk: int
    min_ram: int
    disk_format: str | None
    container_format: str | None
    tags: list[str]
    properties: dict[str, str]
    dropped: list[str]
    """Findings of the image that this one was made from; they are left out, and belong into the log."""
    store: str | None
    """The store that the header X-Image-Meta-Store names; whether it exists is for the caller to check."""


def read_new_image(body: bytes, identity: Identity, rules: ImageRules, *, store: str | None = None) -> NewImage:
    """The image that `body` describes. Raises HttpError 400, 403 or 413.

    The default visibility is `shared`, as in Glance; the owner is the project of the token.
    """
    if not identity.is_member:
        raise forbidden("You may not create an image: this needs the role member in a project.")
    fields = read_object(body)
    image_id = _chosen_id(fields)
    base: dict[str, FieldValue] = {}
    properties: dict[str, str] = {}
    dropped = []
    for name, value in fields.items():
        if rules.drop_inherited_findings and is_finding(name, rules):
            dropped.append(name)
            continue
        if name not in ("id", "tags"):
            check_name(name, rules)
            if name in EDITABLE:
                base[name] = check_value(name, value, rules)
            else:
                properties[name] = check_property(name, value, rules)
    check_count("properties", len(properties), rules.quotas.properties)
    values = {
        "name": None,
        "visibility": "shared",
        "protected": False,
        "os_hidden": False,
        "min_disk": 0,
        "min_ram": 0,
        "disk_format": None,
        "container_format": None,
        **base,
        "owner": _owner(base, identity),
    }
    if values["visibility"] == "public" and not may_publish(identity):
        raise forbidden("You may not make an image public; only an administrator may.")
    return NewImage(
        id=image_id,
        tags=check_tags(fields.get("tags", []), rules.quotas),
        properties=properties,
        dropped=dropped[: QUOTAS.properties],
        store=read_store_header(store),
        **cast(dict[str, Any], values),
    )


def created_headers(image_id: str, methods: Sequence[str], store_ids: Sequence[str]) -> dict[str, str]:
    """The headers of the answer: openstacksdk refuses `use_import` if the methods do not list it.

    A header without a value is left out, as Glance does.
    """
    headers = {
        "Location": f"/v2/images/{image_id}",
        "OpenStack-image-import-methods": ",".join(methods),
        "OpenStack-image-store-ids": ",".join(store_ids),
    }
    return {name: value for name, value in headers.items() if value}


def read_store_header(value: str | None) -> str | None:
    """The store that the header X-Image-Meta-Store names, or None. Raises HttpError 400."""
    if value is None or not value.strip():
        return None
    name = value.strip()
    if len(name) > NAME or not is_text(name) or not name.isprintable():
        raise bad_request("The header X-Image-Meta-Store is not the name of a store.")
    return name


def _chosen_id(fields: dict[str, Any]) -> str | None:
    if "id" not in fields:
        return None
    image_id = read_uuid(fields["id"])
    if image_id is None:
        raise bad_request(f"The attribute 'id' is {quoted(fields['id'])}; a UUID with dashes is expected.")
    return image_id


def _owner(base: dict[str, FieldValue], identity: Identity) -> FieldValue:
    owner = base.get("owner", identity.project_id)
    if owner == identity.project_id or identity.is_admin:
        return owner
    raise _foreign_owner(owner)


def _foreign_owner(owner: FieldValue) -> HttpError:
    return forbidden(f"You may not create an image of the owner {quoted(owner)}; only an administrator may.")
