"""What every plugin sees of the system besides its own files: data that libraries look for at fixed places.

Read-only, the same in every tier, as far as the host has it. In tier `full` a plugin also sees accounts of its own.
"""

from __future__ import annotations

import functools
import os

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


def readable_files(tier: Tier) -> tuple[str, ...]:
    """What a plugin may read in `tier`; what does not exist there does not matter."""
    return (*shown_files(), *(ACCOUNTS if tier is Tier.FULL else _TOLERATED), *DEVICES)


def synthetic_files(uid: int, gid: int, home: str) -> dict[str, str]:
    """The accounts of a sandbox, by path: the plugin's, and nobody, who owns what is foreign."""
    return {
        "/etc/passwd": f"{USER}:x:{uid}:{gid}::{home}:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
        "/etc/group": f"{USER}:x:{gid}:\nnogroup:x:65534:\n",
    }
