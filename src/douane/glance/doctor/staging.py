"""The folder in which Glance stages images, and the import plugin replaces those that a transform changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from douane.units import show_size

from .points import Area, Point
from .site import Site

_AREA = Area("staging")
_LOW_SPACE = 10 << 30


def examine(site: Site) -> Iterator[Point]:
    """Yield points for its owner, its permissions and its free space, and for other hosts."""
    from glance import housekeeping

    try:
        path = str(housekeeping.staging_store_path())
    except Exception as error:  # of Glance: no file store; of an option that is not set
        yield _AREA.wrong(
            "folder",
            f"it is no folder on this host: {error}",
            "set filesystem_store_datadir in [os_glance_staging_store], or node_staging_uri = file:///...",
        )
        return
    try:
        status = os.stat(path)
    except OSError as error:
        yield _AREA.wrong("folder", f"{path}: {error.strerror}", "create it, owned by Glance's user, with mode 700")
        return
    yield _folder(path, status)
    yield _room(path, transforms=site.transforms)
    if not (site.conf.worker_self_reference_url or site.conf.public_endpoint):
        yield _AREA.advice(
            "hosts",
            "worker_self_reference_url is not set",
            "with several Glance hosts, set it on each to the host's own URL: an import must reach the host that has "
            "the staged file",
        )


def _folder(path: str, status: os.stat_result) -> Point:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode):
        return _AREA.wrong("folder", f"{path} is no folder", "replace it with a folder")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return _AREA.wrong(
            "folder",
            f"{path}, of user {status.st_uid} and mode {mode:o}, cannot be written by user {os.geteuid()}",
            "chown it to Glance's user",
        )
    if mode & 0o002:
        return _AREA.wrong(
            "folder",
            f"everybody may write {path} (mode {mode:o}): an image could be replaced after it was checked",
            f"chmod 700 {path}",
        )
    if mode & 0o027:
        return _AREA.advice(
            "folder", f"users besides Glance's may read or write {path} (mode {mode:o})", f"chmod 700 {path}"
        )
    return _AREA.ok("folder", f"{path}, of user {status.st_uid}, mode {mode:o}")


def _room(path: str, *, transforms: bool) -> Point:
    filesystem = os.statvfs(path)
    free = filesystem.f_bavail * filesystem.f_frsize
    need = "for each image as it arrives" + (", and for its transformed copy" if transforms else "")
    fact = f"{show_size(free)} free; it must suffice {need}"
    if free < _LOW_SPACE:
        return _AREA.advice("room", fact, "is that enough for the largest images that are imported at the same time?")
    return _AREA.ok("room", fact)
