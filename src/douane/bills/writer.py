"""A bill of materials in CycloneDX 1.6, written piece by piece: an image may have more packages than fit in memory."""

from __future__ import annotations

import base64
import datetime
import json
import uuid
from collections.abc import Iterable
from typing import Literal, TextIO

import msgspec

from douane import __version__
from douane.errors import SandboxError

MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


class Property(msgspec.Struct, frozen=True):
    """A fact that CycloneDX has no word for."""

    name: str
    value: str


class Occurrence(msgspec.Struct, frozen=True):
    """Where in the guest it is."""

    location: str


class Evidence(msgspec.Struct, frozen=True):
    """Why it is in the bill."""

    occurrences: list[Occurrence]


class Component(msgspec.Struct, frozen=True, omit_defaults=True):
    """A system or a package, as `douane_guest.sbom` writes it: what comes out of a sandbox is checked."""

    type: Literal["operating-system", "library"]
    ref: str = msgspec.field(name="bom-ref")
    name: str
    version: str = ""
    description: str = ""
    cpe: str = ""
    purl: str = ""
    properties: list[Property] = []
    evidence: Evidence | None = None


class Bill(msgspec.Struct, frozen=True):
    """What the bill is of."""

    name: str
    sha256: str
    unread: int
    """Parts of the image that could not be read."""

    transforms: tuple[str, ...]
    """The transforms that have unpacked the image."""

    timestamp: bool
    imported: str = ""
    """The import that kept the inventory; empty: the image was read for the bill."""


def write_bill(bill: Bill, lines: Iterable[bytes], output: TextIO) -> None:
    """`lines` are the components. Raises SandboxError if one of them is no such thing."""
    head = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(bill.sha256),
        "version": 1,
        "metadata": _metadata(bill),
    }
    # All but the closing brace: the components follow, one at a time.
    output.write(json.dumps(head, indent=1)[:-2] + ',\n "components": [')
    separator = "\n  "
    for line in lines:
        try:
            component = msgspec.json.decode(line, type=Component)
        except msgspec.MsgspecError as error:
            raise SandboxError(f"the plugin wrote an invalid component: {error}") from error
        output.write(separator + json.dumps(msgspec.to_builtins(component)))
        separator = ",\n  "
    aggregate = "incomplete" if bill.unread else "unknown"
    compositions = [{"aggregate": aggregate, "assemblies": ["image"]}]
    output.write(f'\n ],\n "compositions": {json.dumps(compositions)}\n}}\n')


def stored_name(image_id: str) -> str:
    """What an image in the store is called, which has no file of its own."""
    return f"the image {image_id}"


def serial_number(sha256: str) -> str:
    """The same for the same image: a UUID of the digest's name (RFC 6920)."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    return uuid.uuid5(uuid.NAMESPACE_URL, f"ni:///sha-256;{digest}").urn


def _metadata(bill: Bill) -> dict[str, object]:
    properties = [Property("douane:transform", name) for name in bill.transforms]
    if bill.imported:
        properties.append(Property("douane:import", bill.imported))
    if bill.unread:
        properties.append(Property("douane:unread", str(bill.unread)))
    metadata: dict[str, object] = {
        "tools": {"components": [{"type": "application", "name": "douane", "version": __version__}]},
        "component": {
            "type": "file",
            "bom-ref": "image",
            "name": bill.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
            "hashes": [{"alg": "SHA-256", "content": bill.sha256}],
        },
    }
    if properties:
        metadata["properties"] = msgspec.to_builtins(properties)
    if bill.timestamp:
        metadata = {"timestamp": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")} | metadata
    return metadata
