"""Numbers of fixed lengths in bytes."""


def u16(data: bytes, at: int) -> int:
    """The little-endian 16-bit number at `at`; 0 past the end."""
    return int.from_bytes(data[at : at + 2], "little")


def u32(data: bytes, at: int) -> int:
    """The little-endian 32-bit number at `at`."""
    return int.from_bytes(data[at : at + 4], "little")


def u64(data: bytes, at: int) -> int:
    """The little-endian 64-bit number at `at`."""
    return int.from_bytes(data[at : at + 8], "little")


def be32(data: bytes, at: int) -> int:
    """The big-endian 32-bit number at `at`."""
    return int.from_bytes(data[at : at + 4], "big")


def be64(data: bytes, at: int) -> int:
    """The big-endian 64-bit number at `at`."""
    return int.from_bytes(data[at : at + 8], "big")
