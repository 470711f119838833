"""The header of a QED, a format of QEMU between two versions of qcow2 (qemu, docs/interop/qed_spec.txt)."""

import struct

MAGIC = b"QED\0"
BYTES = 64
BACKING_FILE, NEED_CHECK, BACKING_FORMAT_NO_PROBE = 1, 2, 4
KNOWN_FEATURES = BACKING_FILE | NEED_CHECK | BACKING_FORMAT_NO_PROBE
ZERO_CLUSTER = 1
"""The entry of a cluster of zeros."""

FIELDS = (
    *(("cluster_size", 4), ("table_size", 8), ("header_size", 12), ("features", 16), ("compat_features", 24)),
    *(("autoclear_features", 32), ("l1_table_offset", 40), ("image_size", 48)),
    *(("backing_filename_offset", 56), ("backing_filename_size", 60)),
)


class QedHeader:
    """The fields by their names in the specification. `table_size` and `header_size` are in clusters, else bytes."""

    def __init__(self, data: bytes) -> None:
        self.cluster_size = self.table_size = self.header_size = self.features = self.compat_features = 0
        self.autoclear_features = self.l1_table_offset = self.image_size = 0
        self.backing_filename_offset = self.backing_filename_size = 0
        for (name, _), value in zip(FIELDS, struct.unpack("<IIIQQQQQII", data[4:BYTES]), strict=True):
            setattr(self, name, value)

    @property
    def table_bytes(self) -> int:
        """Bytes of the L1 table, and of each L2 table."""
        return self.table_size * self.cluster_size

    @property
    def fault(self) -> str:
        """Why no disk can be read by the sizes of the header; empty if one can (bdrv_qed_do_open() in block/qed.c)."""
        cluster, table = self.cluster_size, self.table_size
        if not (4096 <= cluster <= 64 << 20) or cluster & (cluster - 1):
            return f"cluster_size is {cluster}, but must be a power of two from 4096 to {64 << 20}"
        if not (1 <= table <= 16) or table & (table - 1):
            return f"table_size is {table}, but must be 1, 2, 4, 8 or 16"
        return ""
