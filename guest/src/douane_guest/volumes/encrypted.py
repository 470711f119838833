"""Volumes that are encrypted: told by the guest's own headers, never opened.

Sources: LUKS1 and LUKS2 On-Disk Format Specification; libyal's documentation of BitLocker Drive Encryption.
"""

from __future__ import annotations

from douane_guest.source import Source

_LUKS, _LUKS_SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
_SECOND_HEADERS = tuple(1 << shift for shift in range(14, 23))
"""Where LUKS2 keeps its second header: it opens the volume when the first is damaged."""
_BITLOCKER = b"-FVE-FS-"
_BITLOCKER_GUID = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")


def encryption_of(source: Source) -> str:
    """The word for the encryption, empty if there is none."""
    head = source.pread(0, min(512, source.size)).ljust(512, b"\0")
    if head.startswith(_LUKS):
        return f"LUKS{int.from_bytes(head[6:8], 'big')}"
    if head[3:11] == _BITLOCKER or (head[3:11] == b"MSWIN4.1" and head[424:440] == _BITLOCKER_GUID):
        return "BitLocker"
    for offset in _SECOND_HEADERS:
        if offset + 6 <= source.size and source.pread(offset, 6) == _LUKS_SECOND:
            return "LUKS2"
    return ""
