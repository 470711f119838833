"""What every plugin sees of the system besides its own files: data that libraries look for at fixed places.

Read-only, the same in every tier, as far as the host has it. In tier `full` a plugin also sees accounts of its own.
"""

from __future__ import annotations

import functools
import os
import stat

from .spec import Tier

_SHOWN = (
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/usr/lib/file",
    "/usr/lib/locale/C.UTF-8",
    "/usr/lib/locale/C.utf8",
    "/usr/lib/ssl/cert.pem",
    "/usr/lib/ssl/certs",
    "/usr/share/misc/magic.mgc",
    "/usr/share/zoneinfo",
)
"""Public, and the same for every user of the host: time zones, certificate authorities, the C.UTF-8 locale, the data of
file(1). Each is a mount in tier `full`, which takes a hundredth of the time that a sandbox needs to start."""

_TOLERATED = (
    "/etc/localtime",
    "/etc/magic",
    "/etc/magic.mime",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/os-release",
    "/usr/lib/ssl",
    "/usr/share/file",
    "/usr/share/misc/magic",
)
"""As public, and unnecessary. In tier `full` they do not exist, which libraries expect of such files; in `strict` they
could only be refused, which libraries take for an error."""

_FILLED = ("/etc/", "/usr/lib/ssl")
"""Where an administrator puts files; elsewhere packages do."""

DEVICES = ("/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")

LOCAL_TIME = ("/etc/localtime", "/usr/share/zoneinfo/UTC")
"""In tier `full`: a link, and its target."""

USER = "plugin"
ACCOUNTS = ("/etc/passwd", "/etc/group")
"""In tier `full`: files of the sandbox's own."""


@functools.cache
def shown_files() -> tuple[str, ...]:
    """What every tier shows, as far as this host has it."""
    return tuple(path for path in _SHOWN if os.path.exists(path))


def readable_files(tier: Tier, *, read_all: bool = False) -> tuple[str, ...]:
    """What a plugin may read in `tier`; what does not exist there does not matter. `read_all`: its process reads files
    whatever their mode, so what is not for everybody is left out."""
    host = (*shown_files(), *(() if tier is Tier.FULL else _TOLERATED))
    if read_all:
        host = tuple(path for shown in host for path in _public(shown))
    return (*host, *(ACCOUNTS if tier is Tier.FULL else ()), *DEVICES)


def _public(path: str) -> list[str]:
    """`path`; if it is a folder that administrators fill and something in it is not for everybody, such as a private
    key beside the certificates, the files in it that are. Links lead to what has a rule of its own, or to nothing."""
    real = os.path.realpath(path)
    if not real.startswith(_FILLED):
        return [path]
    files: list[str] = []
    try:
        is_all = _add_public(real, files) if os.path.isdir(real) else _is_public(os.stat(real))
    except OSError:  # missing, or changed meanwhile
        is_all = False
    return [path] if is_all else files


def _add_public(folder: str, files: list[str]) -> bool:
    """Add the files in `folder` that everybody can read; False if that is not all that there is."""
    if not _is_public(os.stat(folder)):
        return False
    is_all = True
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            if entry.is_dir():
                is_all &= _add_public(entry.path, files)
            elif _is_public(entry.stat()):
                files.append(entry.path)
            else:
                is_all = False
    return is_all


def _is_public(status: os.stat_result) -> bool:
    needed = 0o005 if stat.S_ISDIR(status.st_mode) else 0o004
    return status.st_mode & needed == needed


def synthetic_files(uid: int, gid: int, home: str) -> dict[str, str]:
    """The accounts of a sandbox, by path: the plugin's, and nobody, who owns what is foreign."""
    return {
        "/etc/passwd": f"{USER}:x:{uid}:{gid}::{home}:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
        "/etc/group": f"{USER}:x:{gid}:\nnogroup:x:65534:\n",
    }
