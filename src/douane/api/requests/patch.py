"""The body of ``PATCH /v2/images/{id}`` in both of its forms (1.4), as typed changes for the catalog.

What needs the request alone is decided here; the catalog applies all changes in their order, or none, and answers with
409 if a property is not there, or is there already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from douane.api.errors import HttpError, bad_request, conflict, forbidden, quoted
from douane.api.identity.rights import Identity, may_publish
from douane.catalog.query import Change, RemoveProperty, SetField, SetProperty, SetTags
from douane.catalog.records import Image

from .bounds import CHANGES, NAME
from .image_fields import COLUMNS, EDITABLE, FORMATS, ImageRules, check_name, check_property, check_tags, check_value
from .json_body import kind, read_json

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
_BAD_ESCAPE = re.compile(r"~(?![01])")
_ACTIONS = ("add", "replace", "remove")

Action = Literal["add", "replace", "remove"]


def read_changes(content_type: str | None, body: bytes, rules: ImageRules) -> list[Change]:
    """The changes in a body. Raises HttpError 415 with Accept-Patch, 400, 403, 409 or 413."""
    form = (content_type or "").partition(";")[0].strip().lower()
    if form not in (V20, V21):
        raise HttpError(
            415,
            f"PATCH of an image expects the content type {V21} or {V20}.",
            headers={"Accept-Patch": f"{V20}, {V21}"},
        )
    operations = read_json(body)
    if not isinstance(operations, list):
        raise bad_request(f"The body must be an array of operations, not {kind(operations)}.")
    if len(operations) > CHANGES:
        raise bad_request(f"The body has {len(operations)} operations; at most {CHANGES} are allowed.")
    return [_change(operation, form == V20, rules) for operation in operations]


def require_rights(changes: Iterable[Change], image: Image, identity: Identity) -> None:
    """Raise HttpError 403 for a new owner or `public` without the right, and for formats of an image not queued.

    `image` is as it was before; the caller has checked that `identity` may change it.
    """
    for change in changes:
        if not isinstance(change, SetField):
            continue
        name, value = change.field, change.value
        if name in FORMATS and image.status != "queued":
            raise forbidden(
                f"The attribute '{name}' can be changed only while the image is queued, not {image.status}."
            )
        if name == "owner" and value != image.owner and not identity.is_admin:
            raise forbidden("You may not give the image to another owner; only an administrator may.")
        if name == "visibility" and value == "public" != image.visibility and not may_publish(identity):
            raise forbidden("You may not make an image public; only an administrator may.")


def read_pointer(pointer: Any) -> str:
    """The name in a JSON pointer of one level (RFC 6901): ``/name``, with ``~1`` for ``/`` and ``~0`` for ``~``."""
    if not isinstance(pointer, str):
        raise bad_request(f"The path of an operation must be a string, not {kind(pointer)}.")
    written = quoted(pointer)
    if not pointer.startswith("/"):
        raise bad_request(f"The path {written} must begin with '/'.")
    if _BAD_ESCAPE.search(pointer):
        raise bad_request(f"The path {written} has a '~' that is neither '~0' nor '~1'.")
    levels = pointer[1:].split("/")
    if "" in levels:
        raise bad_request(f"The path {written} has an empty level; '/' and the name of an attribute are expected.")
    names = [level.replace("~1", "/").replace("~0", "~") for level in levels]
    if names[0] == "locations":
        raise forbidden("The attribute 'locations' may not be changed; only the image service writes it.")
    if len(names) > 1:
        raise bad_request(f"The path {written} has more than one level; '/' and the name of an attribute are expected.")
    return names[0]


def _change(operation: Any, is_v20: bool, rules: ImageRules) -> Change:
    if not isinstance(operation, dict):
        raise bad_request(f"An operation must be a JSON object, not {kind(operation)}.")
    action, pointer = _v20_action(operation) if is_v20 else _v21_action(operation)
    name = read_pointer(pointer)
    check_name(name, rules)
    if action != "remove" and "value" not in operation:
        raise bad_request(f"The operation '{action}' of {quoted(name)} has no 'value'.")
    value = operation.get("value")
    if name in EDITABLE:
        return _field_change(action, name, value, is_v20, rules)
    if action == "remove":
        return RemoveProperty(name)
    present = True if action == "replace" else (False if is_v20 else None)
    return SetProperty(name, check_property(name, value, rules), present)


def _field_change(action: Action, name: str, value: Any, is_v20: bool, rules: ImageRules) -> Change:
    if action == "remove":
        raise forbidden(f"The attribute '{name}' may not be removed; give it another value.")
    if action == "add" and is_v20:
        raise conflict(f"The image already has the attribute '{name}'; use 'replace'.")
    if name == "tags":
        return SetTags(tuple(check_tags(value, rules.quotas)))
    return SetField(COLUMNS.get(name, name), check_value(name, value, rules))  # type: ignore[arg-type]  # check_value refuses names that are no fields


def _v20_action(operation: dict[str, Any]) -> tuple[Action, Any]:
    actions: list[Action] = [action for action in ("add", "replace", "remove") if action in operation]
    if len(actions) != 1:
        raise bad_request("An operation must have exactly one of the members 'add', 'replace' and 'remove'.")
    return actions[0], operation[actions[0]]


def _v21_action(operation: dict[str, Any]) -> tuple[Action, Any]:
    action = operation.get("op")
    if action not in _ACTIONS:
        written = "no 'op'" if "op" not in operation else f"the 'op' {quoted(action, NAME)}"
        raise bad_request(f"An operation has {written}; it must be one of {', '.join(_ACTIONS)}.")
    if "path" not in operation:
        raise bad_request(f"An operation '{action}' has no 'path'.")
    return action, operation["path"]
