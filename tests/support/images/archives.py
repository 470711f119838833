"""Archives for the tests: by Python's tarfile where they are sound, by hand where no tool would make them."""

from __future__ import annotations

import io
import tarfile

from douane.plugins.formats.codes import CODES
from douane.plugins.formats.examination import Examination
from support.examination import examine

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="{namespace}" xmlns:ovf="{namespace}">
  <References>{files}</References>
  <DiskSection><Info>disks</Info>{disks}</DiskSection>
  <VirtualSystem ovf:id="vm"><Info>one</Info></VirtualSystem>
</Envelope>
"""
NAMESPACE = "http://schemas.dmtf.org/ovf/envelope/1"
FILE = '<File ovf:href="disk.vmdk" ovf:id="file1" ovf:size="5000"/>'
DISK = (
    '<Disk ovf:capacity="3" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="disk1" ovf:fileRef="file1" '
    'ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>'
)
CONTENT = b"\x01" * 5000
END = bytes(1024)


def ovf(files: str = FILE, disks: str = DISK, namespace: str = NAMESPACE) -> bytes:
    """A descriptor."""
    return OVF.format(files=files, disks=disks, namespace=namespace).encode()


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, format: int = tarfile.USTAR_FORMAT) -> bytes:
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


def ova(*more: tuple[str, bytes] | tarfile.TarInfo, descriptor: bytes | None = None) -> bytes:
    """A descriptor, and `more`; without, the disk that it speaks of."""
    return tar(("vm.ovf", ovf() if descriptor is None else descriptor), *(more or (("disk.vmdk", CONTENT),)))


def block(
    name: bytes, size: int | bytes = 0, flag: bytes = b"0", magic: bytes = b"ustar\x0000", prefix: bytes = b""
) -> bytes:
    """One header, with its checksum; `prefix` is all that stands from offset 345 on."""
    told = size if isinstance(size, bytes) else b"%011o\0" % size
    fields = name.ljust(100, b"\0") + b"0000644\0" * 3 + told.ljust(12, b"\0") + b"0" * 11 + b"\0"
    header = fields + b" " * 8 + flag + bytes(100) + magic.ljust(88, b"\0") + prefix
    return checked(header.ljust(512, b"\0"))


def checked(header: bytes) -> bytes:
    """`header` with the checksum that fits."""
    blank = header[:148] + b" " * 8 + header[156:512]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def padded(data: bytes) -> bytes:
    """`data`, with zeros up to a whole block."""
    return data + bytes(-len(data) % 512)


def pax(*records: tuple[str, str], flag: bytes = b"x") -> bytes:
    """An extension header."""
    data = b""
    for key, value in records:
        line = f" {key}={value}\n".encode()
        length = len(line)
        while len(str(length)) + len(line) != length:
            length = len(str(length)) + len(line)
        data += str(length).encode() + line
    return block(b"pax", len(data), flag) + padded(data)


def refused(image: bytes | Examination) -> set[str]:
    """The codes of findings that are refused by default."""
    found = image if isinstance(image, Examination) else examine(image)
    return {finding.code for finding in found.findings if CODES[finding.code][0] == "refuse"}


def details(examination: Examination) -> str:
    """What all findings say."""
    return "\n".join(finding.detail for finding in examination.findings)
