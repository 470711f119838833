"""Writing a file around the page cache: O_DIRECT (open(2), "NOTES"), where it is known to do what is expected."""

from __future__ import annotations

import fcntl
import os
import re

BLOCK_BYTES = 4096
"""Offsets, lengths and memory must be multiples of the device's logical block, which is 512 or 4096 bytes."""

_FILE_SYSTEMS = ("ext4", "xfs")
"""Where this has been tried. Others take the flag and do something else: NFS may write each block at once, btrfs goes
through the cache where it has checksums, overlayfs and FUSE depend on what is below them."""


def bypass_cache(fd: int) -> bool:
    """Let writes to `fd` go around the page cache from now on; False where they go through it as ever."""
    try:
        if _file_system(fd) not in _FILE_SYSTEMS:
            return False
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError:
        return False
    return True


def use_cache(fd: int) -> None:
    """Undo :func:`bypass_cache`, for a piece that is no multiple of a block. Raises OSError."""
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)


def _file_system(fd: int) -> str:
    """The type of the file system that `fd` is in, by its device's number (proc_pid_mountinfo(5)); "" if not found."""
    number = os.fstat(fd).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo") as rows:
        for row in rows:
            if (found := re.match(r"\S+ \S+ (\S+) .* - (\S+) ", row)) and found[1] == device:
                return found[2]
    return ""
