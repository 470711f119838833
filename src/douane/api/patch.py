"""The body of ``PATCH /v2/images/{id}`` in both of its forms (1.4): to changes, and changes to an edit of the image.

All changes are applied in their order, or none is. :func:`read_changes` needs the request alone; :func:`apply_changes`
compares with the image as it was read, so the caller writes the edit only if the image has not changed since.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from .bounds import CHANGES, NAME
from .errors import HttpError, bad_request, conflict, forbidden, quoted
from .image_fields import EDITABLE, FORMATS, FieldValue, ImageRules, check_count, check_name, check_tags, check_value
from .json_body import kind, read_json
from .rights import Identity, may_publish

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
_BAD_ESCAPE = re.compile(r"~(?![01])")
_ACTIONS = ("add", "replace", "remove")

Action = Literal["add", "replace", "remove"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `name` may be written, and `value` fits the schema."""

    action: Action
    name: str
    value: FieldValue | list[str] = None
    strict: bool = False
    """The v2.0 form: `add` of what exists is an error."""


class EditableImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a PATCH may change, as it is before; `status` decides about the formats."""

    status: str
    fields: dict[str, FieldValue]
    """The fields of `EDITABLE` without `tags`."""
    tags: list[str]
    properties: dict[str, str]
    """Those of the tenant: a plugin's are not written by a PATCH."""


class ImageEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What a PATCH changes; empty if the image is already so."""

    fields: dict[str, FieldValue]
    tags: list[str] | None
    """None if they stay as they are."""
    properties: dict[str, str]
    """New and changed ones."""
    removed: list[str]
    """Names of properties."""


def read_changes(content_type: str | None, body: bytes, rules: ImageRules) -> list[Change]:
    """The changes in a body. Raises HttpError 415 with Accept-Patch, 400, 403 or 413."""
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


def apply_changes(changes: list[Change], image: EditableImage, identity: Identity, rules: ImageRules) -> ImageEdit:
    """The difference that `changes` make. Raises HttpError 403, 409 or 413.

    The caller has checked that `identity` may change the image.
    """
    fields: dict[str, FieldValue] = dict(image.fields)
    tags = list(image.tags)
    properties = dict(image.properties)
    for change in changes:
        name = change.name
        if name in EDITABLE:
            if change.action == "remove":
                raise forbidden(f"The attribute '{name}' may not be removed; give it another value.")
            if change.action == "add" and change.strict:
                raise _exists(name)
            if isinstance(change.value, list):
                tags = change.value
            else:
                _require_right(change, image, identity)
                fields[name] = change.value
        elif change.action == "add":
            if change.strict and name in properties:
                raise _exists(name)
            properties[name] = str(change.value)
        elif name not in properties:
            raise conflict(f"The image has no property {quoted(name)} to {change.action}.")
        elif change.action == "replace":
            properties[name] = str(change.value)
        else:
            del properties[name]
    check_count("properties", len(properties), rules.quotas.properties, len(image.properties))
    check_count("tags", len(tags), rules.quotas.tags, len(image.tags))
    return ImageEdit(
        fields={name: value for name, value in fields.items() if value != image.fields.get(name)},
        tags=tags if tags != image.tags else None,
        properties={name: value for name, value in properties.items() if image.properties.get(name) != value},
        removed=sorted(image.properties.keys() - properties.keys()),
    )


def read_pointer(pointer: Any) -> str:
    """The name in a JSON pointer of one level (RFC 6901): ``/name``, with ``~1`` for ``/`` and ``~0`` for ``~``."""
    if not isinstance(pointer, str):
        raise bad_request(f"The path of an operation must be a string, not {kind(pointer)}.")
    shown = quoted(pointer)
    if not pointer.startswith("/"):
        raise bad_request(f"The path {shown} must begin with '/'.")
    if _BAD_ESCAPE.search(pointer):
        raise bad_request(f"The path {shown} has a '~' that is neither '~0' nor '~1'.")
    levels = pointer[1:].split("/")
    if "" in levels:
        raise bad_request(f"The path {shown} has an empty level; '/' and the name of an attribute are expected.")
    names = [level.replace("~1", "/").replace("~0", "~") for level in levels]
    if names[0] == "locations":
        raise forbidden("The attribute 'locations' may not be changed; only the image service writes it.")
    if len(names) > 1:
        raise bad_request(f"The path {shown} has more than one level; '/' and the name of an attribute are expected.")
    return names[0]


def _change(operation: Any, is_v20: bool, rules: ImageRules) -> Change:
    if not isinstance(operation, dict):
        raise bad_request(f"An operation must be a JSON object, not {kind(operation)}.")
    action, pointer = _v20_action(operation) if is_v20 else _v21_action(operation)
    name = read_pointer(pointer)
    check_name(name, rules)
    value: FieldValue | list[str] = None
    if action != "remove":
        if "value" not in operation:
            raise bad_request(f"The operation '{action}' of {quoted(name)} has no 'value'.")
        value = _value(name, operation["value"], rules)
    return Change(action=action, name=name, value=value, strict=is_v20)


def _value(name: str, value: Any, rules: ImageRules) -> FieldValue | list[str]:
    return check_tags(value, rules.quotas) if name == "tags" else check_value(name, value, rules)


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


def _require_right(change: Change, image: EditableImage, identity: Identity) -> None:
    name, value = change.name, change.value
    if name in FORMATS and image.status != "queued":
        raise forbidden(f"The attribute '{name}' may be changed only while the image is queued; it is {image.status}.")
    if value == image.fields.get(name):
        return
    if name == "owner" and not identity.is_admin:
        raise forbidden("You may not give the image to another owner; only an administrator may.")
    if name == "visibility" and value == "public" and not may_publish(identity):
        raise forbidden("You may not make an image public; only an administrator may.")


def _exists(name: str) -> HttpError:
    return conflict(f"The image already has the attribute {quoted(name)}; use 'replace'.")
