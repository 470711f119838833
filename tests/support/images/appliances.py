"""Appliances (OVAs) for the tests of `ova`, made by Python's tarfile, GNU tar, or by hand where no tool would."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable
from typing import Any

from douane.plugins.ova import Ova, OvaAnyOrder
from douane_plugin import Image, Reject
from support.images.compressed import StrictSource, Told

NAMESPACE = "http://schemas.dmtf.org/ovf/envelope/1"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"
ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="{namespace}" xmlns:ovf="{namespace}" xmlns:rasd="{cim}ResourceAllocationSettingData"
 xmlns:pasd="{cim}ProcessorAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>{files}</References>
  <DiskSection><Info>disks</Info>{disks}</DiskSection>
  {systems}
</Envelope>
"""
SYSTEM = '<VirtualSystem ovf:id="{id}"><Info>one</Info>{inside}</VirtualSystem>'
DISK = bytes(range(256)) * 80 + b"the end of a disk"

Member = tuple[str, bytes] | tarfile.TarInfo


def file(href: str = "disk.vmdk", id: str = "file1", **more: object) -> str:
    """A File of the References; `more` are further attributes: size, compression, chunkSize."""
    told = "".join(f' ovf:{key}="{value}"' for key, value in more.items())
    return f'<File ovf:href="{href}" ovf:id="{id}"{told}/>'


def disk(id: str = "disk1", ref: str = "file1", **more: object) -> str:
    """A Disk of the DiskSection."""
    told = "".join(f' ovf:{key}="{value}"' for key, value in more.items())
    return f'<Disk ovf:capacity="1" ovf:diskId="{id}" ovf:fileRef="{ref}" ovf:format="x"{told}/>'


def ovf(files: str = "", disks: str = "", systems: str = "", namespace: str = NAMESPACE) -> bytes:
    """A descriptor; of one disk where nothing else is said."""
    systems = systems or SYSTEM.format(id="vm", inside="")
    return ENVELOPE.format(
        files=files or file(), disks=disks or disk(), systems=systems, namespace=namespace, cim=CIM
    ).encode()


def tar(*members: Member, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive as tarfile makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def ova(*more: Member, descriptor: bytes | None = None, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """The descriptor, and `more`; without, the disk that it speaks of."""
    return tar(("vm.ovf", descriptor or ovf()), *(more or (("disk.vmdk", DISK),)), format=format)


def manifest(*files: tuple[str, bytes], algorithm: str = "sha256") -> bytes:
    """The lines of a manifest for these files."""
    lines = [f"{algorithm.upper()}({name})= {hashlib.new(algorithm, data).hexdigest()}\n" for name, data in files]
    return "".join(lines).encode()


def special(name: str, type: bytes, link: str = "") -> tarfile.TarInfo:
    """A member that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    return info


def block(name: bytes, size: int, flag: bytes = b"0", rest: bytes = b"") -> bytes:
    """One header by hand, with its checksum; `rest` is what stands from offset 345 on."""
    octal = b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    fields = name.ljust(100, b"\0") + b"0000644\0" * 3 + octal + b"0" * 11 + b"\0"
    magic = b"ustar  \0" if flag in (b"S", b"L") else b"ustar\00000"
    header = (fields + b" " * 8 + flag + bytes(100) + magic.ljust(88, b"\0") + rest).ljust(512, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def padded(data: bytes) -> bytes:
    """`data` with zeros up to a whole block."""
    return data + bytes(-len(data) % 512)


class Taken:
    """What became of an image: `data`, or `code` and `message` of a refusal; `warnings` are codes."""

    def __init__(
        self,
        chunks: bytes | Iterable[bytes],
        facts: dict[str, Any] | None = None,
        any_order: bool = False,
        trust: bytes | None = None,
        **config: Any,
    ) -> None:
        class Granted(OvaAnyOrder if any_order else Ova):  # type: ignore[misc]  # which of the two is a choice
            def grant(self, name: str) -> Any:
                if trust is None or name != "trust":
                    raise LookupError(name)
                return io.BytesIO(trust)

        pieces = [chunks] if isinstance(chunks, bytes) else list(chunks)
        self.source = StrictSource(pieces)
        self.told = Told()
        self.code: str | None = None
        self.message = ""
        self.warnings: list[str] = []
        self.proposed: dict[str, Any] = {}
        self.longest = 0
        plugin = Granted(**config)
        plugin.warn = lambda code, message: self.warnings.append(code)
        plugin.propose = self.proposed.__setitem__
        image = Image(facts or {}, self.source, transforms=self.told)
        if any_order:
            image = Image(
                facts or {}, self.source, reads="random", file=io.BytesIO(b"".join(pieces)), transforms=self.told
            )
        parts = []
        try:
            for part in plugin.transform(image):
                self.longest = max(self.longest, len(part))
                parts.append(bytes(part))
        except Reject as refusal:
            self.code, self.message = refusal.code, refusal.message
        self.data = b"".join(parts)


def refused(chunks: bytes | Iterable[bytes], **config: Any) -> str | None:
    """The code with which `ova` refuses, or None."""
    taken = Taken(chunks, **config)
    assert (taken.code is None) == (taken.message == "")
    return taken.code
