"""What the expressions of a policy see."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Guest, Image

IMAGE = {
    "name": "", "size": 0, "disk_format": "", "container_format": "", "owner": "", "roles": [], "properties": {},
}  # fmt: skip
"""The facts of an image of which nothing is declared."""

GUEST: dict[str, Any] = {"os": {}, "volumes": [], "systems": 0, "packages": [], "unread": []}
"""The facts of a guest of which nothing is read."""


def image_facts(image: Image) -> dict[str, Any]:
    """What is declared. What is not known is left out, so that a rule about it cannot be met by accident."""
    facts = {
        "name": image.name,
        "size": image.size,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "owner": image.owner,
    }
    known: dict[str, Any] = {name: value for name, value in facts.items() if value is not None}
    return {**known, "roles": list(image.roles), "properties": dict(image.properties)}


def guest_facts(guest: Guest, names: frozenset[str]) -> dict[str, Any]:
    """What is in the image, as far as expressions with these names need it: packages take the longest."""
    facts: dict[str, Any] = {"os": {}, "systems": 0, "volumes": []}
    facts["os"] = dict(guest.os)
    facts["systems"] = len(guest.roots)
    facts["volumes"] = [
        {"name": volume.name, "filesystem": volume.filesystem, "label": volume.label, "uuid": volume.uuid}
        for volume in guest.volumes
    ]
    if "packages" in names:
        facts["packages"] = [
            {"name": package.name, "version": package.version, "kind": package.kind} for package in guest.packages()
        ]
    if "unread" in names:  # after all that was read; this is what asks for the list
        facts["unread"] = [{"place": part.place, "code": part.code, "why": part.why} for part in guest.unread]
    return facts
