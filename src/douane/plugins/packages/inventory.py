"""What an image is judged by: its systems with their packages, and what could not be read.

It is attached to the answer, so that `douane rescan` judges the image by a newer database without reading it, and
`douane sbom --from-import` makes a bill of materials of it.
"""

from __future__ import annotations

from .ownership import Ownership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from douane_plugin import Guest, GuestPackage, GuestRoot

DOCUMENT = "inventory"
FORMAT = 1
ROOM = 128 << 10
"""Bytes of the attached text: 7,000 packages of Debian. All documents of an answer have 256 KiB."""

MAX_UNPACKED = 32 << 20
_OS_FIELDS = ("ID", "VERSION_ID", "NAME", "PRETTY_NAME", "CPE_NAME", "BUILD_ID")
"""The fields of os-release that a verdict or a bill of materials needs."""


class Package:
    """A package, with the fields of a `GuestPackage`; `of_distribution`: a package of a language that is the
    distribution's."""

    __slots__ = (
        "architecture",
        "kind",
        "name",
        "of_distribution",
        "origin",
        "path",
        "source",
        "source_version",
        "version",
    )

    def __init__(self, name: str, version: str, source: str, source_version: str, shared: tuple[Any, ...]) -> None:
        self.name, self.version, self.source, self.source_version = name, version, source, source_version
        self.kind: str
        self.architecture: str
        self.origin: str
        self.path: str
        self.of_distribution: bool
        self.kind, self.architecture, self.origin, self.path, self.of_distribution = shared

    @property
    def shared(self) -> tuple[str, str, str, str, bool]:
        """What many packages have in common."""
        return self.kind, self.architecture, self.origin, self.path, self.of_distribution


class System:
    """A system in the image: the name of its volume, the fields of its os-release, its packages."""

    def __init__(self, volume: str, os: dict[str, str], packages: list[Package]) -> None:
        self.volume, self.os, self.packages = volume, os, packages


class Inventory:
    """All systems, and the parts of the image that could not be read: code, place and reason."""

    def __init__(self, systems: list[System], unread: list[tuple[str, str, str]]) -> None:
        self.systems, self.unread = systems, unread

    def count(self) -> int:
        """How many packages there are."""
        return sum(len(system.packages) for system in self.systems)


def inventory_of(guest: Guest) -> Inventory:
    """Read it. Raises Incomplete."""
    systems = [_system(root) for root in guest.roots]
    return Inventory(systems, [(_text(part.code), _text(part.place), _text(part.why)) for part in guest.unread])


def _system(root: GuestRoot) -> System:
    packages = root.packages()
    ownership = Ownership(root, packages)
    fields = {name: _text(root.os[name]) for name in _OS_FIELDS if name in root.os}
    return System(_text(root.volume.name), fields, [_package(package, ownership) for package in packages])


def _package(package: GuestPackage, ownership: Ownership) -> Package:
    texts = package.kind, package.architecture, package.origin, package.path
    shared = (*map(_text, texts), ownership.is_of_distribution(package))
    return Package(
        _text(package.name), _text(package.version), _text(package.source), _text(package.source_version), shared
    )


def _text(text: str) -> str:
    """The same whether it was read in the image or in the document: bytes that are no UTF-8 as in a report."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def document_of(inventory: Inventory) -> dict[str, Any]:
    """The document: the number of packages, and all of it as compressed JSON, if that is not too long."""
    import base64
    import json
    import zlib

    shared: dict[tuple[Any, ...], int] = {}
    systems = [
        [each.volume, each.os, [_row(package, shared) for package in each.packages]] for each in inventory.systems
    ]
    value = [FORMAT, list(shared), systems, inventory.unread]
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(text.encode(), 6)).decode()
    head: dict[str, Any] = {"packages": inventory.count()}
    return head | ({"zlib": packed} if len(packed) <= ROOM else {"too_long": len(packed)})


def _row(package: Package, shared: dict[tuple[Any, ...], int]) -> list[Any]:
    number = shared.setdefault(package.shared, len(shared))
    if not package.source:
        return [number, package.name, package.version]
    return [number, package.name, package.version, package.source, package.source_version]


class Shelf:
    """Packages that many inventories have: each is made once, so what is known of it is found by the object."""

    def __init__(self) -> None:
        self._packages: dict[tuple[Any, ...], dict[tuple[str, ...], Package]] = {}

    def of(self, group: tuple[Any, ...]) -> dict[tuple[str, ...], Package]:
        """The packages that have this in common, by the other fields."""
        return self._packages.setdefault(group, {})


def inventory_from(document: Any, shelf: Shelf | None = None) -> Inventory:
    """The inventory of a document. Raises ValueError if it has none, or is damaged."""
    import base64
    import json
    import zlib

    if not isinstance(document, dict) or not isinstance(document.get("zlib"), str):
        raise ValueError("there is no list of packages")
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(base64.b64decode(document["zlib"], validate=True), MAX_UNPACKED)
        form, shared, systems, unread = json.loads(text)
        if not unpacker.eof or form != FORMAT:
            raise ValueError("the list of packages is of another version, or too long")
        shelf = shelf or Shelf()
        groups = [(each, shelf.of(each)) for each in map(_group, shared)]
        return Inventory(
            [
                System(_checked(volume), _fields(os), [_from_row(row, groups) for row in rows])
                for volume, os, rows in systems
            ],
            [(_checked(code), _checked(place), _checked(why)) for code, place, why in unread],
        )
    except (zlib.error, RecursionError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"the list of packages is damaged: {error}") from None


def _group(group: Iterable[Any]) -> tuple[Any, ...]:
    kind, architecture, origin, path, of_distribution = group
    texts = _checked(kind), _checked(architecture), _checked(origin), _checked(path)
    return (*texts, of_distribution is True)


def _fields(fields: dict[Any, Any]) -> dict[str, str]:
    return {_checked(name): _checked(value) for name, value in fields.items()}


def _from_row(row: list[Any], groups: list[tuple[tuple[Any, ...], dict[tuple[str, ...], Package]]]) -> Package:
    number: int = row[0]
    group, packages = groups[number]
    fields = tuple(row[1:])
    package = packages.get(fields)
    if package is None:
        name, version, source, source_version = fields if len(fields) == 4 else (*fields, "", "")
        texts = _checked(name), _checked(version), _checked(source), _checked(source_version)
        package = packages[fields] = Package(*texts, group)
    return package


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError("a field is no text")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # JSON can have halves of surrogates
            raise TypeError("a field is no UTF-8") from None
    return text
