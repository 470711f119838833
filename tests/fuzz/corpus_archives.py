"""Seeds of archives and compressed images, made by the standard library, zstd and lz4."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile

from support.images import ova
from support.images.compression import by_program
from support.images.tar import special, tar
from support.images.zip import STORED, zipped

LINKS = {"l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "c": tarfile.CHRTYPE, "d": tarfile.DIRTYPE}
HARDWARE = (
    "<VirtualHardwareSection><Info>Hardware</Info><Item><rasd:HostResource>ovf:/disk/disk1</rasd:HostResource>"
    "<rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item></VirtualHardwareSection>"
)


def images(tools: dict[str, bytes]) -> dict[str, bytes]:
    """All seeds by name; `tools` has the seeds of the other tools."""
    disk = tools["vmdk-stream"]
    qcow2 = tools["qcow2-v3"]
    descriptor = ova.ovf(
        ova.file(size=len(disk)),
        ova.disk(capacity=4, format=ova.STREAM_OPTIMIZED, capacityAllocationUnits="byte * 2^20"),
        ova.SYSTEM.format(id="vm", inside=HARDWARE),
    )
    described = (("machine.ovf", descriptor), ("disk.vmdk", disk))
    members = (*described[:1], ("machine.mf", ova.manifest(*described)), *described[1:])
    return {
        "ovf": descriptor,
        "ova-ustar": tar(*members),
        "ova-pax": tar(*members, ("é" * 60, b"x"), format=tarfile.PAX_FORMAT),
        "ova-gnu": tar(*members, ("long" * 40, b"x"), format=tarfile.GNU_FORMAT),
        "ova-qcow2": tar(*described[:1], ("disk.vmdk", tools["qcow2-backing"])),
        "tar-links": tar(*(special(name, kind, "../target") for name, kind in LINKS.items())),
        "gzip": gzip.compress(qcow2, mtime=0),
        "gzip-twice": gzip.compress(gzip.compress(bytes(9999), mtime=0), mtime=0),
        "gzip-members": gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0),
        "ari": gzip.compress(b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0", mtime=0),
        "bzip2": bz2.compress(qcow2),
        "xz": lzma.compress(qcow2),
        "xz-crc32-blocks": lzma.compress(bytes(99999), check=lzma.CHECK_CRC32) * 2,
        "lzma": lzma.compress(qcow2, lzma.FORMAT_ALONE),
        "zstd": by_program(qcow2, "zstd", "-q", "-c", "--check"),
        "lz4": by_program(qcow2, "lz4", "-q", "-c"),
        "zip": zipped(("disk.raw", qcow2)),
        "zip-two": zipped(("a/disk.raw", b"x" * 700), ("b.qcow2", qcow2[:2048]), method=STORED),
    }
