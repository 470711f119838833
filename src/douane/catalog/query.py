"""The typed query of :meth:`~douane.catalog.Catalog.find_images`, and the typed changes of an edit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from .records import MemberStatus, Visibility

TextField = Literal[
    "id", "name", "status", "owner", "disk_format", "container_format", "checksum", "os_hash_algo", "os_hash_value"
]
NumberField = Literal["size", "virtual_size", "min_disk", "min_ram"]
TimeField = Literal["created_at", "updated_at"]
SortField = Literal["name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"]
Comparison = Literal["gt", "gte", "lt", "lte", "eq", "neq"]


class TimeBound(msgspec.Struct, frozen=True):
    """A comparison of a time with whole seconds, which is what clients see: fractions are cut off on both sides."""

    field: TimeField
    comparison: Comparison
    time: datetime
    """With a time zone."""


class SortKey(msgspec.Struct, frozen=True):
    """A field to sort by. A missing value sorts before every other."""

    field: SortField
    descending: bool = True


class ImageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which images, in which order, and which page of them. All conditions must hold; deleted images never match."""

    project: str | None = None
    """Whose view it is; None: a view without a project, which sees public images only."""

    everything: bool = False
    """The view of an administrator, who sees every image; community images of others only if `visibility` asks."""

    visibility: Visibility | Literal["all"] | None = None
    """Only images of this visibility. None: all that the view sees, without community images of others."""

    member_status: MemberStatus | Literal["all"] = "accepted"
    """The answers of the project to images that others share with it."""

    hidden: bool | None = False
    """None: hidden images as well as the others."""

    protected: bool | None = None
    text: Mapping[TextField, tuple[str, ...]] = {}
    """For each field, the values of which an image must have one."""

    equal: Mapping[NumberField, int] = {}
    at_least: Mapping[NumberField, int] = {}
    at_most: Mapping[NumberField, int] = {}
    times: tuple[TimeBound, ...] = ()
    tags: tuple[str, ...] = ()
    """The image must have all of them."""

    properties: Mapping[str, str] = {}
    """Name and value; where a plugin hides a tenant's property of the same name, the plugin's counts."""

    sort: tuple[SortKey, ...] = ()
    """By default, the newest first. Equal images are sorted by created_at, then by id: in the direction of the key if
    there is one key, descending if there are several."""

    limit: int | None = 25
    marker: str | None = None
    """The id of the last image of the page before; it must be an image that the view sees."""


class SetField(msgspec.Struct, frozen=True):
    """Set a base field that may be edited; None empties a name or a format."""

    field: Literal[
        "name",
        "visibility",
        "owner",
        "protected",
        "hidden",
        "min_disk",
        "min_ram",
        "disk_format",
        "container_format",
    ]
    value: str | int | bool | None


class SetTags(msgspec.Struct, frozen=True):
    """Replace all tags."""

    tags: tuple[str, ...]


class SetProperty(msgspec.Struct, frozen=True):
    """Set a property of the tenant. `present`: it must exist before (True) or must not (False); None: either."""

    name: str
    value: str
    present: bool | None = None


class RemoveProperty(msgspec.Struct, frozen=True):
    """Remove a property of the tenant. `present`: True if its absence is a conflict."""

    name: str
    present: bool = True


Change = SetField | SetTags | SetProperty | RemoveProperty


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """The most that an image may have after an edit; None: unlimited."""

    properties: int | None = None
    tags: int | None = None
    members: int | None = None


class UploadQuotas(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a project may have after the beginning of an upload or an import; None: unlimited."""

    uploading: int | None = None
    """Uploads, imports and copies that have not ended."""

    size_total: int | None = None
    """Bytes in all stores."""

    staged_total: int | None = None
    """Bytes that are staged and not imported."""
