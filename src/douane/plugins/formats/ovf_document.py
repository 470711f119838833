"""OVF descriptors: the files and disks of a virtual appliance, from XML that is not trusted.

DMTF DSP0243 (OVF 1.x and 2.x), and 0.9 as VMware published it. defusedxml parses it: a document type definition, and
with it every entity and every external reference, is an error. Bytes, depth and elements are bounded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from xml.etree.ElementTree import Element

MAX_BYTES = 8 << 20
"""Largest descriptor. Real descriptors have some kilobytes; the largest known, made for a test, has 3.9 MiB."""

MAX_DEPTH = 64
MAX_ELEMENTS = 250_000
MAX_ENTRIES = 4096
"""Most files, and most disks."""

_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

_NAMESPACES = {
    "http://www.vmware.com/schema/ovf/1/envelope": "0.9",
    "http://schemas.dmtf.org/ovf/1/envelope": "1",
    "http://schemas.dmtf.org/ovf/envelope/1": "1",
    "http://schemas.dmtf.org/ovf/envelope/2": "2",
    "": "none",
}


class OvfError(ValueError):
    """The descriptor cannot be used. `code`: ``xml`` (not well-formed, or has definitions), or ``ovf``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class File:
    """A ``File`` of ``References``. `id`; `href` as written; `size` in bytes, None if missing; `compression`: ``""``,
    ``"gzip"`` or any other text; `chunk_size` in bytes, None if the file is not split into chunks."""

    __slots__ = ("chunk_size", "compression", "href", "id", "size")

    def __init__(self, id: str, href: str, size: "int | None", compression: str, chunk_size: "int | None") -> None:
        self.id, self.href, self.size, self.chunk_size = id, href, size, chunk_size
        self.compression = "" if compression == "identity" else compression


class Disk:
    """A ``Disk`` of the ``DiskSection``. `id`; `file_ref`: the id of its File, ``""`` for a disk without content;
    `parent_ref`: the id of its parent disk, or ``""``; `format`: a URI; `capacity` in bytes, None if it is missing, a
    property of the deployment, or in an unknown unit; `capacity_text`: as written; `capacity_unit` in bytes."""

    __slots__ = ("capacity", "capacity_text", "capacity_unit", "file_ref", "format", "id", "parent_ref")

    def __init__(self, attributes: "dict[str, str]") -> None:
        self.id = attributes.get("diskId", "")
        self.file_ref = attributes.get("fileRef", "")
        self.parent_ref = attributes.get("parentRef", "")
        self.format = attributes.get("format", "")
        units = attributes.get("capacityAllocationUnits", "")
        self.capacity_text = f"{attributes.get('capacity', '')} {units}".strip()
        self.capacity = in_bytes(attributes.get("capacity", ""), units)
        self.capacity_unit = in_bytes("1", units) or 1


class OvfDocument:
    """A parsed descriptor: `root`, the ``Envelope`` element; `version`, by its namespace: ``0.9``, ``1``, ``2``,
    ``none``, or ``""`` if unknown; `files` by id; `disks`; `systems`: the ids of the virtual systems."""

    def __init__(self, root: "Element") -> None:
        self.root = root
        namespace = root.tag[1:].partition("}")[0] if root.tag.startswith("{") else ""
        self.namespace = namespace
        self.version = _NAMESPACES.get(namespace.rstrip("/"), "")
        self.files: dict[str, File] = {}
        self.disks: list[Disk] = []
        self.systems = [
            attributes_of(element).get("id", "") for element in root.iter() if local_name(element) == "VirtualSystem"
        ]
        self._read_files()
        self._read_disks()

    def file_of(self, disk: Disk) -> "File | None":
        """The file that holds `disk`; None for a disk without content, and for a dangling reference."""
        return self.files.get(disk.file_ref) if disk.file_ref else None

    def _read_files(self) -> None:
        for section in _only_one(self.root, "References"):
            for element in section:
                if local_name(element) != "File":
                    continue
                attributes = attributes_of(element)
                file = File(
                    attributes.get("id", ""),
                    attributes.get("href", ""),
                    _count(attributes.get("size", ""), "the size of a file"),
                    attributes.get("compression", ""),
                    _count(attributes.get("chunkSize", ""), "the chunk size of a file"),
                )
                if not file.href:
                    raise OvfError("ovf", f"the file {file.id[:80]!r} has no href")
                if file.id in self.files or len(self.files) >= MAX_ENTRIES:
                    raise OvfError("ovf", f"two files have the id {file.id[:80]!r}, or there are too many")
                if file.chunk_size == 0:
                    raise OvfError("ovf", f"the file {file.href[:80]!r} is split into chunks of no bytes")
                self.files[file.id] = file

    def _read_disks(self) -> None:
        ids: set[str] = set()
        for section in _only_one(self.root, "DiskSection"):
            for element in section:
                if local_name(element) != "Disk":
                    continue
                disk = Disk(attributes_of(element))
                if disk.id in ids or len(ids) >= MAX_ENTRIES:
                    raise OvfError("ovf", f"two disks have the id {disk.id[:80]!r}, or there are too many")
                ids.add(disk.id)
                self.disks.append(disk)


def parse(data: bytes) -> OvfDocument:
    """Parse a descriptor. Raises OvfError, and nothing else, whatever `data` is."""
    if len(data) > MAX_BYTES:
        raise OvfError("ovf", f"the descriptor has more than {MAX_BYTES} bytes")
    root = _parse_xml(data)
    if local_name(root) != "Envelope":
        raise OvfError("ovf", f"the descriptor is not an Envelope but {local_name(root)[:80]!r}")
    return OvfDocument(root)


def local_name(element: "Element") -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def attributes_of(element: "Element") -> "dict[str, str]":
    """The attributes of an element by their names without OVF's namespace, which not all descriptors use, and without
    extensions (``vmw:...``).

    Raises OvfError if an attribute differs with and without namespace: its value would depend on the program.
    """
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        namespace, _, name = key.rpartition("}")
        if namespace and "envelope" not in namespace:
            continue
        if attributes.setdefault(name, value) != value:
            raise OvfError("ovf", f"a {local_name(element)[:80]} has two attributes {name[:80]!r} that differ")
    return attributes


def in_bytes(quantity: str, units: str) -> "int | None":
    """A quantity in bytes, by its units (DSP0004, annex C.1, programmatic units): ``byte * 2^30``, ``byte``,
    ``megabytes``; without units, bytes. None if the quantity is no number, or the units are unknown."""
    quantity = quantity.strip()
    if not (quantity.isascii() and quantity.isdigit() and len(quantity) <= 30):
        return None
    factor = _factor(units.lower().replace(" ", ""))
    return None if factor is None else int(quantity) * factor


def _factor(units: str) -> "int | None":
    base, _, factors = units.partition("*")
    if base not in ("", "byte", "bytes"):
        names = {"kilo": 10, "k": 10, "mega": 20, "m": 20, "giga": 30, "g": 30, "tera": 40, "t": 40}
        for ending in ("bytes", "byte", "b"):
            if base.endswith(ending) and base[: -len(ending)] in names and not factors:
                return 1 << names[base[: -len(ending)]]
        return None
    value = 1
    for factor in factors.split("*") if factors else ():
        number, caret, power = factor.partition("^")
        if not (number.isascii() and number.isdigit() and len(number) <= 6):
            return None
        if caret and not (power.isascii() and power.isdigit() and len(power) <= 2):
            return None
        value *= int(number) ** int(power) if caret else int(number)
    return value if value < 1 << 80 else None


def _count(text: str, subject: str) -> "int | None":
    text = text.strip()
    if not text or text.startswith("${"):
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise OvfError("ovf", f"{subject} is not a number: {text[:40]!r}")
    return int(text)


def _only_one(root: "Element", name: str) -> "list[Element]":
    """The section `name`, or none. OVF 0.9 calls every section ``Section``, with the name in ``xsi:type``."""
    sections = [
        element
        for element in root
        if local_name(element) == name
        or (local_name(element) == "Section" and element.get(_XSI_TYPE, "").rpartition(":")[2] == f"{name}_Type")
    ]
    if len(sections) > 1:
        raise OvfError("ovf", f"the descriptor has {len(sections)} sections {name}")
    return sections


def _parse_xml(data: bytes) -> "Element":
    # Imported here: it costs 20 ms, and few images have a descriptor.
    from xml.etree.ElementTree import TreeBuilder

    from defusedxml.ElementTree import DefusedXMLParser

    class Bounded(TreeBuilder):
        depth = elements = 0

        def start(self, tag: "Any", attrs: "Any", /) -> "Any":
            self.depth += 1
            self.elements += 1
            if self.depth > MAX_DEPTH:
                raise OvfError("xml", f"the descriptor nests elements more than {MAX_DEPTH} deep")
            if self.elements > MAX_ELEMENTS:
                raise OvfError("xml", f"the descriptor has more than {MAX_ELEMENTS} elements")
            return super().start(tag, attrs)

        def end(self, tag: "Any", /) -> "Any":
            self.depth -= 1
            return super().end(tag)

    try:
        parser = DefusedXMLParser(target=Bounded(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
        parser.feed(data)
        root: Element = parser.close()
    except OvfError:
        raise
    except Exception as error:
        # ParseError, defusedxml's own errors, and for an unknown encoding LookupError, ValueError and more: any failure
        # of the parser means that the descriptor cannot be used.
        if type(error).__name__ in ("DTDForbidden", "EntitiesForbidden", "ExternalReferenceForbidden"):
            raise OvfError("xml", "the descriptor has a document type definition, which no tool writes") from error
        raise OvfError("xml", f"the descriptor is not well-formed XML: {error!s:.200}") from error
    return root
