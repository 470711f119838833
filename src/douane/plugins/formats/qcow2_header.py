"""The header of a qcow2 image: the checks of qemu before it opens the image.

Format: qemu, docs/interop/qcow2.txt. Limits: block/qcow2.h, and qcow2_do_open() in block/qcow2.c.
"""

from douane_guest.headers.qcow2 import (
    AES,
    COMPRESSION,
    COMPRESSION_TYPE,
    CORRUPT,
    DATA_FILE,
    DIRTY,
    EXTENDED_L2,
    KNOWN_INCOMPATIBLE,
    LUKS,
    MAX_L1_BYTES,
    MAX_REFCOUNT_TABLE_BYTES,
    MAX_SNAPSHOTS,
    RAW_DATA_FILE,
    SECTOR,
    V2_BYTES,
    V2_FIELDS,
    V3_BYTES,
    V3_FIELDS,
    Qcow2Header,
)

from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import Match
    from .requests import Request


def read_header(match: "Match") -> "Generator[Request, Any, Qcow2Header | None]":
    """Read, note and judge the header; return it, or None if the structures after it cannot be understood."""
    begin = yield Bytes(0, 32, "the header")
    version, size = int.from_bytes(begin[4:8], "big"), int.from_bytes(begin[24:32], "big")
    match.virtual_size = size // SECTOR * SECTOR  # as qemu: total_sectors = header.size / BDRV_SECTOR_SIZE
    match.variant = f"v{version}"
    if version not in (2, 3):
        match.note("version", version, 4)
        match.find("version", f"version is {version}, but must be 2 or 3", 4)
        return None
    header = Qcow2Header((yield Bytes(0, V2_BYTES, "the header")))
    _note(match, header, V2_FIELDS)
    if version == 3:
        header = Qcow2Header((yield Bytes(0, V3_BYTES, "the header")))
        _note(match, header, V3_FIELDS)
    if not 9 <= header.cluster_bits <= 21:
        match.find("header", f"cluster_bits is {header.cluster_bits}, but must be 9 to 21", 20)
        return None
    if header.header_length > header.cluster_size or (header.version == 3 and header.header_length < V3_BYTES):
        match.find("header", f"header_length is {header.header_length}, but must be 104 to {header.cluster_size}", 100)
        return None
    if header.header_length % 8:
        match.find("odd", f"header_length is {header.header_length}, no multiple of 8", 100)
    if header.header_length > COMPRESSION_TYPE:
        header.compression_type = (yield Bytes(COMPRESSION_TYPE, 1, "the header"))[0]
        match.note("compression_type", header.compression_type, COMPRESSION_TYPE)
        yield Bytes(header.header_length - 1, 1, "the header")
    _judge_features(header, match)
    _judge_sizes(header, match)
    return header


def _note(match: "Match", header: Qcow2Header, fields: "tuple[tuple[str, int], ...]") -> None:
    for name, offset in fields:
        match.note(name, getattr(header, name), offset)


def _judge_features(header: Qcow2Header, match: "Match") -> None:
    features = header.incompatible_features
    if features & DIRTY:
        match.find("dirty", "incompatible feature bit 0: its reference counts may be wrong", 72)
    if features & CORRUPT:
        match.find("corrupt", "a program marked it as damaged (incompatible feature bit 1)", 72)
    if features & DATA_FILE:
        match.find("data-file", "its disk is in another file (incompatible feature bit 2, CVE-2024-32498)", 72)
    elif header.autoclear_features & RAW_DATA_FILE:
        match.find("header", "autoclear feature bit 1 (data file) is set without incompatible feature bit 2", 88)
    unknown = [bit for bit in range(64) if (features & ~KNOWN_INCOMPATIBLE) >> bit & 1]
    if unknown:
        match.find("unknown-feature", f"unknown incompatible feature bits: {unknown}", 72)
    # validate_compression_type() in block/qcow2.c
    if header.compression_type > 1:
        match.find("unknown-feature", f"compression_type is {header.compression_type}, but must be 0 or 1", 104)
    if (header.compression_type > 0) != bool(features & COMPRESSION):
        text = f"compression_type is {header.compression_type}, which contradicts incompatible feature bit 3"
        match.find("header", text, 104)
    if features & EXTENDED_L2 and header.cluster_bits < 14:
        match.find("header", f"cluster_bits is {header.cluster_bits}: subclusters would be smaller than a sector", 20)
    if header.refcount_order > 6:
        match.find("header", f"refcount_order is {header.refcount_order}, but must be 0 to 6", 96)
    if header.crypt_method in (AES, LUKS):
        name = "AES" if header.crypt_method == AES else "LUKS"
        match.find("encrypted", f"crypt_method is {header.crypt_method}: {name}", 32)
    elif header.crypt_method:
        match.find("unknown-feature", f"crypt_method is {header.crypt_method}, but must be 0, 1 or 2", 32)


def _judge_sizes(header: Qcow2Header, match: "Match") -> None:
    cluster = header.cluster_size
    if header.size % SECTOR:
        match.find("unaligned-size", f"size is {header.size}, no multiple of {SECTOR}; tools round it differently", 24)
    if not header.size:
        match.find("no-disk", "size is 0", 24)
    bytes_per_table = cluster // header.l2_entry_bytes * cluster
    needed = -(-header.size // bytes_per_table)
    if header.l1_size * 8 > MAX_L1_BYTES:
        match.find("header", f"l1_size is {header.l1_size}: the table exceeds {MAX_L1_BYTES} bytes", 36)
    if needed > header.l1_size:
        match.find("virtual-size", f"size is {header.size}, which needs l1_size {needed}, not {header.l1_size}", 24)
    if not header.refcount_table_clusters:
        match.find("header", "refcount_table_clusters is 0", 56)
    if header.refcount_table_bytes > MAX_REFCOUNT_TABLE_BYTES:
        clusters = header.refcount_table_clusters
        text = f"refcount_table_clusters is {clusters}: the table exceeds {MAX_REFCOUNT_TABLE_BYTES} bytes"
        match.find("header", text, 56)
    if header.nb_snapshots > MAX_SNAPSHOTS:
        match.find("header", f"nb_snapshots is {header.nb_snapshots}, but may be at most {MAX_SNAPSHOTS}", 60)
    if header.nb_snapshots:
        match.find("snapshots", f"nb_snapshots is {header.nb_snapshots}", 60)
    for name, offset, at, used in (
        ("l1_table_offset", header.l1_table_offset, 40, header.l1_size),
        ("refcount_table_offset", header.refcount_table_offset, 48, header.refcount_table_clusters),
        ("snapshots_offset", header.snapshots_offset, 64, header.nb_snapshots),
    ):
        if used and offset % cluster:
            match.find("header", f"{name} is {offset}, no multiple of the cluster size {cluster}", at)
    if header.incompatible_features & DATA_FILE and header.nb_snapshots:
        match.find("odd", "snapshots together with a data file", 60)
