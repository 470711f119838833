"""Whether reads and writes of a file pass through the page cache."""

from __future__ import annotations

import fcntl
import os
import re

_DIRECT_FILE_SYSTEMS = ("ext4", "xfs")
"""Where O_DIRECT was measured. Others accept the flag and do something else: NFS may write each block at once, btrfs
goes through the cache where it has checksums, overlayfs and FUSE depend on the file system below them."""


def bypass_cache(fd: int) -> bool:
    """Let writes to `fd` bypass the page cache (O_DIRECT); False where that is not known to work."""
    try:
        if _file_system(fd) not in _DIRECT_FILE_SYSTEMS:
            return False
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError:
        return False
    return True


def use_cache(fd: int) -> None:
    """Undo :func:`bypass_cache`, for a piece that is no multiple of a block. Raises OSError."""
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)


def _file_system(fd: int) -> str:
    """The type of the file system of `fd`, by its device number (proc_pid_mountinfo(5)); "" if it is not listed."""
    number = os.fstat(fd).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo") as rows:
        for row in rows:
            if (match := re.match(r"\S+ \S+ (\S+) .* - (\S+) ", row)) and match[1] == device:
                return match[2]
    return ""
