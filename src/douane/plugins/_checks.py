"""What of an image's structure is unsafe, or lies outside of it, beyond what oslo.utils checks."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SENTENCES = {
    "backing-file": "it names another file as its backing file, which would be opened with it; "
    "flatten it (qemu-img convert) and upload the result",
    "data-file": "it keeps its data in another file, which would be opened with it; "
    "convert it (qemu-img convert) and upload the result",
    "parent": "it holds only the difference to a parent image; merge it with its parent and upload the result",
    "extents": "its descriptor names other files, or not just its own data, as the disk; "
    "convert it to a monolithicSparse or streamOptimized VMDK",
    "descriptor": "its VMDK descriptor is missing, damaged or of a kind that names other files; "
    "convert it to a monolithicSparse or streamOptimized VMDK",
    "footer": "its VMDK footer contradicts its header; export it again",
    "subformat": "it is one part of a VMDK that consists of several files; "
    "convert the whole to a monolithicSparse or streamOptimized VMDK",
    "unknown-features": "it uses features of its format that are not known here; "
    "convert it (qemu-img convert) and upload the result",
    "corrupt": "its header marks it as corrupt; repair it (qemu-img check -r all) and upload it again",
    "header": "its header holds values that its format does not allow; make it again",
    "log": "it was not closed properly: its log holds changes that are not in the disk yet; "
    "open and close it where it was made, or convert it",
    "version": "it is encrypted with a version of LUKS that cannot be checked here",
    "inner-safety": "what it contains is not safe",
    "banned": "its format is not one that can be checked; convert it to qcow2 or raw",
    "virtual-size": "the size of the disk in its header is more than any system can address; make it again",
    "partition-table": "its partition table contradicts itself",
}
"""The checks by name, each with the half of a sentence that follows "the image is not safe: "."""

MAX_VIRTUAL_SIZE = (1 << 63) - 1
"""Bytes; offsets in files are signed 64-bit integers (off_t)."""

_EXTENDED_L2 = 1 << 4  # qcow2 incompatible feature, QEMU 5.2; oslo.utils stops counting at bit 3
_KNOWN_FEATURES = 0b11111
_QCOW2_LIMITS = (  # offset, format, least, most, with the source of the limit in qemu's block/qcow2.{h,c}
    (20, ">I", 9, 21),  # cluster_bits: MIN_CLUSTER_BITS, MAX_CLUSTER_BITS
    (32, ">I", 0, 2),  # crypt_method: none, AES, LUKS
    (36, ">I", 0, 32 << 20 >> 3),  # l1_size: QCOW_MAX_L1_SIZE
    (56, ">I", 0, 8 << 20 >> 9),  # refcount_table_clusters: QCOW_MAX_REFTABLE_SIZE
    (60, ">I", 0, 65536),  # nb_snapshots: QCOW_MAX_SNAPSHOTS
)
_QCOW2_DATA_FILE = 0x44415441  # header extension: name of an external data file
_VMDK_MAX_GRAIN = 0x200000  # sectors; qemu, block/vmdk.c, vmdk_add_extent
_VMDK_MAX_TABLE = 512  # entries of a grain table; as above, vmdk_open_vmdk4

_VHDX_PARENT_LOCATOR = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c")  # MS-VHDX 2.6.2.6
_VHDX_HEADERS = (1 << 16, 2 << 16)


def oslo_checks(inspector: Any, failures: dict[str, Any]) -> dict[str, str]:
    """oslo.utils' failed checks, under our names, less those that are known to be wrong: name to reason."""
    told = {name.replace("_", "-"): str(reason) for name, reason in failures.items()}
    if "unknown-features" in told and inspector.NAME == "qcow2":
        header = bytes(inspector.region("header").data)
        version, features = int.from_bytes(header[4:8], "big"), int.from_bytes(header[72:80], "big")
        if version == 3 and features & _EXTENDED_L2 and not features & ~_KNOWN_FEATURES:
            del told["unknown-features"]
    return told


def qcow2(head: bytes) -> tuple[dict[str, str], int]:
    """Unsafe findings in a header of 512 bytes or more, and the least number of bytes the image must have."""
    findings: dict[str, str] = {}
    version = int.from_bytes(head[4:8], "big")
    if version not in (2, 3):
        return findings, 0  # oslo.utils refuses other versions
    for at, form, least, most in _QCOW2_LIMITS:
        (value,) = struct.unpack_from(form, head, at)
        if not least <= value <= most:
            findings["header"] = f"{value} at offset {at} is not in the range {least} to {most}"
    if findings:
        return findings, 0
    cluster = 1 << int.from_bytes(head[20:24], "big")
    size, l1_entries, l1_at, refcounts_at = struct.unpack_from(">Q4xIQQ", head, 24)
    features, length = (0, 72) if version == 2 else struct.unpack_from(">Q20xI", head, 72)
    if features & 2:
        findings["corrupt"] = "incompatible feature bit 1 is set"
    for name, at in (("L1 table", l1_at if l1_entries else cluster), ("refcount table", refcounts_at)):
        if at < cluster or at % cluster:
            findings["header"] = f"the {name} at offset {at} does not begin at a cluster of its own"
    l2_bytes = cluster // (16 if features & _EXTENDED_L2 else 8) * cluster
    if l1_entries * l2_bytes < size:
        findings["header"] = f"an L1 table of {l1_entries} entries is too small for a disk of {size} bytes"
    if version == 3 and length < 104:
        findings["header"] = f"a header length of {length} bytes"
    else:
        findings.update(_qcow2_extensions(head, length, cluster))
    return findings, max(l1_at + 8 * l1_entries if l1_entries else 0, refcounts_at + 8)


def _qcow2_extensions(head: bytes, at: int, cluster: int) -> dict[str, str]:
    while at + 8 <= cluster:
        kind, length = struct.unpack_from(">II", head, at) if at + 8 <= len(head) else (0, 0)
        if kind == _QCOW2_DATA_FILE:
            return {"data-file": "a header extension names an external data file"}
        if not kind:
            return {}
        at += 8 + (length + 7 & ~7)
    return {"header": "the header and its extensions do not fit into the first cluster"}


def vhd(head: bytes) -> tuple[dict[str, str], int]:
    """As :func:`qcow2`, for the copy of a VHD's footer at the start of it, and the header behind."""
    data_at, kind = struct.unpack(">Q", head[16:24])[0], struct.unpack(">I", head[60:64])[0]
    findings = {}
    if kind == 4:
        findings["parent"] = "disk type 4, differencing"
    reach = data_at + 1024
    if reach <= len(head) and head[data_at : data_at + 8] == b"cxsparse":
        table_at, entries, block = struct.unpack_from(">Q4xII", head, data_at + 16)
        reach = max(reach, table_at + 4 * entries)
        if block < 512 or block & (block - 1):
            findings["header"] = f"a block size of {block}, which is no power of two from 512 on"
    return findings, reach


def vdi(head: bytes) -> tuple[dict[str, str], int]:
    """As :func:`qcow2`, for the header of a VDI."""
    kind, table_at = struct.unpack_from("<I", head, 0x4C)[0], struct.unpack_from("<I", head, 0x154)[0]
    block, blocks = struct.unpack_from("<I", head, 0x178)[0], struct.unpack_from("<I", head, 0x180)[0]
    findings = {}
    if kind not in (1, 2):
        findings["parent"] = f"image type {kind}, which is neither dynamic (1) nor fixed (2)"
    if not block:
        findings["header"] = "a block size of 0"
    return findings, table_at + 4 * blocks


def vmdk(head: bytes) -> tuple[dict[str, str], int]:
    """As :func:`qcow2`, for the header of a sparse VMDK."""
    grain, descriptor_at, descriptor_sectors, entries = struct.unpack_from("<QQQI", head, 20)
    directories = [at for at in struct.unpack_from("<QQ", head, 48) if at != (1 << 64) - 1]
    findings = {}
    if descriptor_at == 0:
        findings["subformat"] = "a sparse extent without a descriptor"
    elif not 0 < grain <= _VMDK_MAX_GRAIN or not 0 < entries <= _VMDK_MAX_TABLE:
        findings["header"] = f"a grain of {grain} sectors, or a table of {entries} entries"
    return findings, max(descriptor_at + descriptor_sectors, *directories, 0) * 512


def vmdk_descriptor(text: str) -> dict[str, str]:
    """Unsafe findings in the text, in lower case, that is embedded in a sparse VMDK."""
    findings = {}
    extents = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in ("rw", "rdonly", "noaccess"):
            extents.append(words)
        key, value = (part.strip() for part in (*line.split("=", 1), "")[:2])
        if key == "parentfilenamehint" or (key == "parentcid" and value != "ffffffff"):
            findings["parent"] = line.strip()[:100]
    if len(extents) != 1 or extents[0][2:3] != ["sparse"]:
        findings["extents"] = f"{len(extents)} extents, where one of type SPARSE belongs"
    return findings


def vhdx(head: bytes, metadata: bytes) -> dict[str, str]:
    """Unsafe findings in the headers of a VHDX and in its metadata table."""
    findings = {}
    if _VHDX_PARENT_LOCATOR in metadata:
        findings["parent"] = "a parent locator"
    current = [
        (struct.unpack_from("<Q", head, at + 8)[0], head[at + 48 : at + 64])
        for at in _VHDX_HEADERS
        if head[at : at + 4] == b"head"
    ]
    if not current:
        findings["header"] = "neither of the two headers has its signature"
    elif any(max(current)[1]):
        findings["log"] = "the log's GUID is set in the current header"
    return findings


def sentence(name: str) -> str:
    """What follows "the image is not safe: " for the check `name`, also for one that is new to us."""
    return SENTENCES.get(name, f"it fails the check {name}")
