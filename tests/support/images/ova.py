"""OVF descriptors and appliances (OVAs)."""

from __future__ import annotations

import hashlib
import tarfile

from .tar import Member, tar, tar_member

NAMESPACE = "http://schemas.dmtf.org/ovf/envelope/1"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_"
STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
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


def file(href: str = "disk.vmdk", id: str = "file1", **attributes: object) -> str:
    """A File of the References; `attributes`: size, compression, chunkSize."""
    return f'<File ovf:href="{href}" ovf:id="{id}"{_attributes(attributes)}/>'


def disk(id: str = "disk1", ref: str = "file1", *, capacity: int = 1, format: str = "x", **attributes: object) -> str:
    """A Disk of the DiskSection; `attributes`: capacityAllocationUnits, GiB by default, parentRef, populatedSize."""
    attributes.setdefault("capacityAllocationUnits", "byte * 2^30")
    required = f'ovf:capacity="{capacity}" ovf:diskId="{id}" ovf:fileRef="{ref}" ovf:format="{format}"'
    return f"<Disk {required}{_attributes(attributes)}/>"


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(f' ovf:{key}="{value}"' for key, value in attributes.items())


def ovf(
    files: str | None = None, disks: str | None = None, systems: str | None = None, namespace: str = NAMESPACE
) -> bytes:
    """A descriptor; what is None describes one machine with one disk."""
    return ENVELOPE.format(
        files=file() if files is None else files,
        disks=disk() if disks is None else disks,
        systems=SYSTEM.format(id="vm", inside="") if systems is None else systems,
        namespace=namespace,
        cim=CIM,
    ).encode()


def ova(*members: Member, descriptor: bytes | None = None, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """The descriptor, and `members`; without, the disk of the descriptor."""
    return tar(
        ("vm.ovf", ovf() if descriptor is None else descriptor), *(members or (("disk.vmdk", DISK),)), format=format
    )


def beginning() -> bytes:
    """The blocks of the descriptor, with which an appliance begins."""
    return tar_member(b"vm.ovf", ovf())


def manifest(*files: tuple[str, bytes], algorithm: str = "sha256") -> bytes:
    """The lines of a manifest for these files."""
    lines = [f"{algorithm.upper()}({name})= {hashlib.new(algorithm, data).hexdigest()}\n" for name, data in files]
    return "".join(lines).encode()


CONTENT = b"\x01" * 5000
"""The disk of a `sized_ova`."""
SIZED_FILE = file(size=len(CONTENT))
SIZED_DISK = disk(format=STREAM_OPTIMIZED)


def sized_ovf(files: str = SIZED_FILE, disks: str = SIZED_DISK, namespace: str = NAMESPACE) -> bytes:
    """A descriptor that states the size of its file, and of its disk in whole GiB, as oVirt does."""
    return ovf(files, disks, namespace=namespace)


def sized_ova(*members: Member, descriptor: bytes | None = None) -> bytes:
    """An appliance whose descriptor is a `sized_ovf`."""
    descriptor = sized_ovf() if descriptor is None else descriptor
    return ova(*(members or (("disk.vmdk", CONTENT),)), descriptor=descriptor)
