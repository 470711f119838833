"""Seeds of archives and of compressed images: the standard library's, zstd's and lz4's."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
import zipfile

OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:id="file1" ovf:href="disk.vmdk" ovf:size="{size}"/></References>
 <DiskSection><Info>Disks</Info><Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="4"
  ovf:capacityAllocationUnits="byte * 2^20"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
 <VirtualSystem ovf:id="vm"><Info>A machine</Info><VirtualHardwareSection><Info>Hardware</Info>
  <Item><rasd:HostResource>ovf:/disk/disk1</rasd:HostResource><rasd:InstanceID>1</rasd:InstanceID>
  <rasd:ResourceType>17</rasd:ResourceType></Item></VirtualHardwareSection></VirtualSystem>
</Envelope>
"""


def images(tools: dict[str, bytes]) -> dict[str, bytes]:
    """All of them, by name; `tools` is what the other tools made."""
    disk = tools["vmdk-stream"]
    qcow2 = tools["qcow2-v3"]
    ovf = OVF.format(size=len(disk)).encode()
    digests = {"machine.ovf": ovf, "disk.vmdk": disk}
    manifest = "".join(f"SHA256({name})= {hashlib.sha256(data).hexdigest()}\n" for name, data in digests.items())
    members = {"machine.ovf": ovf, "machine.mf": manifest.encode(), "disk.vmdk": disk}
    return {
        "ovf": ovf,
        "ova-ustar": _tar(members, tarfile.USTAR_FORMAT),
        "ova-pax": _tar(members | {"é" * 60: b"x"}, tarfile.PAX_FORMAT),
        "ova-gnu": _tar(members | {"long" * 40: b"x"}, tarfile.GNU_FORMAT),
        "ova-qcow2": _tar({"machine.ovf": ovf, "disk.vmdk": tools["qcow2-backing"]}, tarfile.USTAR_FORMAT),
        "tar-links": _links(),
        "gzip": gzip.compress(qcow2, mtime=0),
        "gzip-twice": gzip.compress(gzip.compress(bytes(9999), mtime=0), mtime=0),
        "gzip-members": gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0),
        "ari": gzip.compress(b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0", mtime=0),
        "bzip2": bz2.compress(qcow2),
        "xz": lzma.compress(qcow2),
        "xz-crc32-blocks": lzma.compress(bytes(99999), check=lzma.CHECK_CRC32) * 2,
        "lzma": lzma.compress(qcow2, lzma.FORMAT_ALONE),
        "zstd": _filter(["zstd", "-q", "-c", "--check"], qcow2),
        "lz4": _filter(["lz4", "-q", "-c"], qcow2),
        "zip": _zip(zipfile.ZIP_DEFLATED, {"disk.raw": qcow2}),
        "zip-two": _zip(zipfile.ZIP_STORED, {"a/disk.raw": b"x" * 700, "b.qcow2": qcow2[:2048]}),
    }


def _tar(members: dict[str, bytes], form: int) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=form) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return held.getvalue()


def _links() -> bytes:
    held = io.BytesIO()
    kinds = {"l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "c": tarfile.CHRTYPE, "d": tarfile.DIRTYPE}
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../target"
            tar.addfile(member)
    return held.getvalue()


def _zip(method: int, members: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return held.getvalue()


def _filter(words: list[str], data: bytes) -> bytes:
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True, timeout=60).stdout
