"""Ids in paths and bodies: UUIDs, kept in lower case."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def read_uuid(value: object) -> str | None:
    """The id in lower case (RFC 9562, section 4: input is case-insensitive), or None if it is no UUID with dashes."""
    if isinstance(value, str) and len(value) == 36 and _UUID.fullmatch(value):
        return value.lower()
    return None
