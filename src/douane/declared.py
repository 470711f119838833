"""The sender's claims about an image. They are unproven: plugins compare them with the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class DeclaredImage(msgspec.Struct, frozen=True, kw_only=True):
    """The declared facts of one image; None (or empty) where the sender said nothing."""

    name: str | None = None
    """The image's name."""
    disk_format: str | None = None
    """``raw``, ``qcow2``, ... as in the Image API."""
    container_format: str | None = None
    """``bare``, ``ova``, ... as in the Image API."""
    properties: dict[str, str] = {}
    """The image's own properties, outside all plugins' namespaces."""
    owner: str | None = None
    """The id of the project (tenant) that will own the image."""
    roles: tuple[str, ...] = ()
    """The roles of the user who sends the image."""

    def replace(self, **changes: Any) -> DeclaredImage:
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """The fields as builtin types, for a JSON document."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> DeclaredImage:
        """Read what :meth:`to_json` wrote; a null is the same as an absent key, and unknown keys are ignored.

        Raises msgspec.ValidationError if a value has the wrong type.
        """
        return msgspec.convert({key: value for key, value in fields.items() if value is not None}, cls)
