"""Disks with files, for plugins that look into the guest: the plugin's words are packages, paths and contents."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

from douane_plugin.testing import guest_image

from .images import long_filler

SYSTEM = {"/etc/os-release": "ID=debian\nVERSION_ID=12\n", "/etc/passwd": "root:x:0:0::/root:/bin/sh\n"}
ENCRYPTED = b"LUKS\xba\xbe\0\2" + bytes(8184)
LABELS = {"security.capability": bytes(20), "security.selinux": b"system_u:object_r:bin_t:s0\0", "user.odd": b"\xff"}
STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n\n"
MAX_CONTENT = 96 << 20
"""Bytes of files in a large disk. The rest of it lies behind the file system."""

MAX_FILES = 20_000
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,60}")
_PATH = re.compile(r"/?[\w.@+-]+(/[\w.@+-]+)+")


def disks(tokens: Sequence[bytes], texts: Sequence[str], seed: int) -> Iterator[bytes]:
    """Yield disks: empty ones, one with extended attributes, one that is damaged, one that is encrypted, and those with
    the words of a plugin."""
    plain = guest_image({**SYSTEM, "/root/.ssh/authorized_keys": "ssh-ed25519 AAAA\n", "/odd\udcff\nname": b"\xff"})
    yield guest_image({})
    yield plain
    yield guest_image({**SYSTEM, "/usr/bin/tool": b"\x7fELF"}, xattrs={"/usr/bin/tool": LABELS})
    yield ENCRYPTED
    yield from damaged(plain)
    packages = "".join([STATUS.format(text) for text in texts if _PACKAGE.fullmatch(text)])
    yield guest_image({**SYSTEM, "/var/lib/dpkg/status": packages})
    for path in dict.fromkeys("/" + text.strip("/") for text in texts if _PATH.fullmatch(text)):
        for content in (b"", b"root::1\n", long_filler(5000, seed)):
            with contextlib.suppress(ValueError):  # a path with "..", or below a file
                yield guest_image({**SYSTEM, path: content})
    for token in tokens[:60]:
        yield guest_image({**SYSTEM, "/etc/file": token, "/home/user/other": b"first\n" + token + b"\nlast"})
    yield guest_image({**SYSTEM, **{f"/many/{number}": token for number, token in enumerate(tokens)}})


def damaged(disk: bytes) -> Iterator[bytes]:
    """Yield copies of a disk: in each, the extents of another file or folder are none."""
    at = disk.find(b"\x0a\xf3")
    while at >= 0:
        yield disk[:at] + b"\0\0" + disk[at + 2 :]
        at = disk.find(b"\x0a\xf3", at + 2)


def large_file(size: int, seed: int) -> bytes:
    """Return a disk of about `size` bytes with one large file."""
    content = long_filler(min(max(size - (64 << 10), 0), MAX_CONTENT), seed)
    return guest_image({**SYSTEM, "/large": content}).ljust(size, b"\0")


def many_files(size: int, seed: int) -> bytes:
    """Return a disk of about `size` bytes with a file for each 8 KiB."""
    files = {f"/many/{number:05d}": long_filler(2000, seed + number) for number in range(min(size >> 13, MAX_FILES))}
    return guest_image({**SYSTEM, **files}).ljust(size, b"\0")
