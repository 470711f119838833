"""The fields of an image that clients write: names, types and limits, for create, PATCH and schemas."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from douane.api.errors import bad_request, forbidden, over_quota, quoted
from douane.catalog.fields import VISIBILITIES
from douane.catalog.query import Quotas

from .bounds import NAME, NUMBER, QUOTAS, VALUE
from .json_body import is_text, kind

FieldValue = str | int | bool | None
"""Of every field but `tags`."""

FORMATS = ("disk_format", "container_format")
EDITABLE = ("name", "visibility", "owner", "protected", "os_hidden", "min_disk", "min_ram", *FORMATS, "tags")
"""Base fields that a client may write."""
COLUMNS = {"os_hidden": "hidden"}
"""Names of the catalog where they differ."""

READ_ONLY = frozenset({
    "id", "status", "checksum", "size", "virtual_size", "created_at", "updated_at", "direct_url", "self", "file",
    "schema", "stores", "os_hash_algo", "os_hash_value",
})  # fmt: skip
RESERVED = frozenset({"location", "locations", "deleted", "deleted_at"})
RESERVED_PREFIXES = ("os_glance", "douane_")

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
"""Both are the defaults of Glance 33."""


class SiteProperty(msgspec.Struct, frozen=True, kw_only=True):
    """A custom property that the operator describes in the schema; its values are text."""

    description: str = ""
    enum: tuple[str, ...] = ()
    """The values that it may have; empty if any."""
    max_length: int = VALUE


class ImageRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decides about images."""

    disk_formats: tuple[str, ...] = DISK_FORMATS
    container_formats: tuple[str, ...] = CONTAINER_FORMATS
    site_properties: Mapping[str, SiteProperty] = {}
    plugins: frozenset[str] = frozenset()
    """Plugins of the plan: a property ``PLUGIN.name`` is a finding, which no client may write."""
    drop_inherited_findings: bool = False
    """Leave findings out of a new image instead of refusing it.

    If findings are properties of images, Nova and Cinder copy them from an image to its snapshots: a refusal would
    make each snapshot fail.
    """
    quotas: Quotas = QUOTAS


def is_finding(name: str, rules: ImageRules) -> bool:
    """True for names that belong to Douane and its plugins."""
    plugin, dot, _ = plain_name(name).partition(".")
    return plain_name(name).startswith("douane_") or (bool(dot) and plugin in {name.lower() for name in rules.plugins})


def plain_name(name: str) -> str:
    """The name without what people and other programs overlook: case, other forms of a letter, invisible characters and
    spaces around it. A verdict must not be forged by a name that looks like its own."""
    visible = "".join(letter for letter in unicodedata.normalize("NFKC", name) if letter.isprintable())
    return visible.strip().lower()


def check_name(name: str, rules: ImageRules) -> None:
    """Raise HttpError 403 if no client may write the field `name`, and 400 if no property can have this name."""
    if not name:
        raise bad_request("The name of a property is empty.")
    if name in READ_ONLY:
        raise forbidden(f"The attribute {quoted(name)} is read-only.")
    plain = plain_name(name)
    if plain in RESERVED or plain.startswith(RESERVED_PREFIXES) or is_finding(name, rules):
        raise forbidden(f"The attribute {quoted(name)} is reserved; only the image service writes it.")
    if len(name) > NAME:
        raise bad_request(f"The name of a property has {len(name)} characters; at most {NAME} are allowed.")
    if not is_text(name):
        raise bad_request("The name of a property has a character that is not text (a NUL or half a surrogate pair).")


def check_value(name: str, value: Any, rules: ImageRules) -> FieldValue:
    """The value of a base field other than `tags`, or of a property. Raises HttpError 400 if the schema forbids it."""
    if name in ("protected", "os_hidden"):
        return _boolean(name, value)
    if name in ("min_disk", "min_ram"):
        return _number(name, value)
    if name == "visibility":
        return _word(name, value, VISIBILITIES)
    if name == "disk_format":
        return None if value is None else _word(name, value, rules.disk_formats)
    if name == "container_format":
        return None if value is None else _word(name, value, rules.container_formats)
    if name in ("name", "owner"):
        return None if value is None else _text(name, value, NAME)
    return check_property(name, value, rules)


def check_property(name: str, value: Any, rules: ImageRules) -> str:
    """The value of a custom property. Raises HttpError 400."""
    text = _text(name, value, VALUE)
    site = rules.site_properties.get(name)
    if len(text.encode()) > VALUE:
        raise bad_request(f"The property {quoted(name)} has more than {VALUE} bytes.")
    if site is not None:
        _text(name, value, site.max_length)
        if site.enum:
            _word(name, value, site.enum)
    return text


def check_tags(value: Any, quotas: Quotas) -> list[str]:
    """The tags of an image, each once, in their order. Raises HttpError 400, or 413 if there are too many."""
    if not isinstance(value, list):
        raise bad_request(f"The attribute 'tags' must be an array of strings, not {kind(value)}.")
    tags = list(dict.fromkeys(check_tag(tag) for tag in value))
    check_count("tags", len(tags), quotas.tags)
    return tags


def check_tag(value: Any) -> str:
    """One tag. Raises HttpError 400 (no. 12)."""
    tag = _text("tags", value, NAME)
    if not tag:
        raise bad_request("A tag is empty; it must have at least one character.")
    return tag


def check_count(noun: str, count: int, limit: int | None) -> None:
    """Raise HttpError 413 if an image would have more than `limit` of something; None: unlimited."""
    if limit is not None and count > limit:
        raise over_quota(f"The image would have {count} {noun}; at most {limit} are allowed.")


def _boolean(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise bad_request(f"The attribute '{name}' must be true or false, not {kind(value)}.")


def _number(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad_request(f"The attribute '{name}' must be a whole number, not {kind(value)}.")
    if 0 <= value <= NUMBER:
        return value
    raise bad_request(f"The attribute '{name}' must be from 0 to {NUMBER}.")


def _text(name: str, value: Any, limit: int) -> str:
    if not isinstance(value, str):
        raise bad_request(f"The attribute {quoted(name)} must be a string, not {kind(value)}.")
    if len(value) > limit:
        raise bad_request(f"The attribute {quoted(name)} has {len(value)} characters; at most {limit} are allowed.")
    if not is_text(value):
        raise bad_request(f"The attribute {quoted(name)} has a character that is not text (a NUL or half a pair).")
    return value


def _word(name: str, value: Any, words: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in words:
        return value
    raise bad_request(f"The attribute {quoted(name)} cannot be {quoted(value)}; it must be one of {', '.join(words)}.")
