"""How a pool of Ceph is reached."""

from __future__ import annotations

import msgspec

from douane.errors import PlanError

MiB = 1 << 20
LEAST_CHUNK, GREATEST_CHUNK = 4096, 32 * MiB
"""What librbd accepts as the size of an object."""


class RbdOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an RBD store."""

    pool: str
    ceph_conf: str = "/etc/ceph/ceph.conf"
    user: str = "glance"
    """The name of the client, without ``client.``."""

    keyring: str | None = None
    """None: where the configuration of Ceph says."""

    chunk_size: int = 8 * MiB
    """Bytes of an object, a power of two."""

    python: str = "/usr/bin/python3"
    """The interpreter that has the bindings (the package python3-rbd)."""

    timeout: float = 30.0
    """Seconds after which an operation of the cluster has failed."""

    processes: int = 32
    """Images that are open at once in one process of Douane."""

    @property
    def order(self) -> int:
        """The binary logarithm of the size of an object."""
        return self.chunk_size.bit_length() - 1


def check(options: RbdOptions, where: str) -> RbdOptions:
    """The options, if they can be used. Raises PlanError, whose sentence begins with `where`."""
    size = options.chunk_size
    if not LEAST_CHUNK <= size <= GREATEST_CHUNK or size & (size - 1):
        raise PlanError(f"{where} 'chunk_size' is wrong: expected a power of two from 4KiB to 32MiB, got {size}")
    if not options.pool or "/" in options.pool or "\0" in options.pool:
        raise PlanError(f"{where} 'url' is wrong: expected rbd:POOL, the name of a pool without slashes")
    if not 1 <= options.timeout <= 3600:
        raise PlanError(f"{where} 'timeout' is wrong: expected 1s to 1h, got {options.timeout:g}s")
    if not 1 <= options.processes <= 1024:
        raise PlanError(f"{where} 'processes' is wrong: expected 1 to 1024, got {options.processes}")
    return options
