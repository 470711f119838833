"""qcow2 images by hand, and where the fields of a real one stand."""

from __future__ import annotations

import struct
import zlib

CLUSTER = 65536

AT = {
    "version": (4, 4),
    "backing_file_offset": (8, 8),
    "backing_file_size": (16, 4),
    "cluster_bits": (20, 4),
    "size": (24, 8),
    "crypt_method": (32, 4),
    "l1_size": (36, 4),
    "l1_table_offset": (40, 8),
    "refcount_table_offset": (48, 8),
    "refcount_table_clusters": (56, 4),
    "nb_snapshots": (60, 4),
    "snapshots_offset": (64, 8),
    "incompatible": (72, 8),
    "autoclear": (88, 8),
    "refcount_order": (96, 4),
    "header_length": (100, 4),
    "compression_type": (104, 1),
}


def with_fields(image: bytes, **values: int) -> bytes:
    """`image` with other values in its header."""
    new = bytearray(image)
    for name, value in values.items():
        at, length = AT[name]
        new[at : at + length] = value.to_bytes(length, "big")
    return bytes(new)


def with_extension(image: bytes, kind: int, data: bytes, length: int | None = None) -> bytes:
    """`image` with one header extension in place of all that it had."""
    start = int.from_bytes(image[100:104], "big")
    extension = struct.pack(">II", kind, len(data) if length is None else length) + data.ljust(
        -(-len(data) // 8) * 8, b"\0"
    )
    return image[:start] + extension + bytes(8) + image[start + len(extension) + 8 :]


def handmade(
    l1: list[int],
    tables: dict[int, list[int]],
    clusters: int,
    *,
    cluster_bits: int = 9,
    l1_at: int = 3,
    features: int = 0,
) -> bytes:
    """An image of `clusters` clusters: the header, a refcount table at 1 with its block at 2, and `l1` at `l1_at`.

    `tables` are L2 tables: the cluster at which each stands, and its entries.
    """
    size = 1 << cluster_bits
    disk = len(l1) * (size // (16 if features & 16 else 8)) * size
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, cluster_bits, disk)
    head += struct.pack(">IIQQIIQ", 0, len(l1), l1_at * size, size, 1, 0, 0)
    head += struct.pack(">QQQII", features, 0, 0, 4, 104)
    image = bytearray(clusters * size)
    image[: len(head)] = head
    image[size : size + 8] = struct.pack(">Q", 2 * size)
    image[l1_at * size : l1_at * size + 8 * len(l1)] = struct.pack(f">{len(l1)}Q", *l1)
    for cluster, entries in tables.items():
        image[cluster * size : cluster * size + 8 * len(entries)] = struct.pack(f">{len(entries)}Q", *entries)
    return bytes(image)


def qcow2_of_one_cluster(size: int, fill: bytes) -> bytes:
    """A qcow2 of `size` bytes of which every cluster is the same compressed one."""
    cluster, entries = CLUSTER, CLUSTER // 8
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    data = packer.compress((fill * cluster)[:cluster]) + packer.flush()
    tables = -(-size // (cluster * entries))
    at = (4 + tables) * cluster
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, size, 0, tables, 3 * cluster, cluster, 1, 0, 0)
    directory = struct.pack(f">{tables}Q", *((4 + n) * cluster | 1 << 63 for n in range(tables)))
    table = struct.pack(">Q", 1 << 62 | (len(data) - 1) // 512 << 54 | at) * entries
    parts = [header, struct.pack(">Q", 2 * cluster), bytes(cluster), directory, *[table] * tables, data]
    return b"".join(part + bytes(-len(part) % cluster) for part in parts)
