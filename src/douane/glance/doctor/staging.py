"""The folder in which Glance stages images, and our import plugin puts changed ones in their place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from douane.units import show_size

from .points import Point, advice, ok, wrong
from .site import Site

_AREA = "staging"
_LITTLE = 10 << 30


def examine(site: Site) -> Iterator[Point]:
    """Whether it is there, whose it is, and how much room it has."""
    from glance import housekeeping

    try:
        path = str(housekeeping.staging_store_path())
    except Exception as error:  # of Glance: no file store; of an option that is not set
        yield wrong(
            _AREA,
            "folder",
            f"it is no folder on this host: {error}",
            "set filesystem_store_datadir in [os_glance_staging_store], or node_staging_uri = file:///...",
        )
        return
    try:
        found = os.stat(path)
    except OSError as error:
        yield wrong(_AREA, "folder", f"{path}: {error.strerror}", "make it, owned by Glance's user, with mode 700")
        return
    yield _folder(path, found)
    yield _room(path, transforms=site.transforms)
    if not (site.conf.worker_self_reference_url or site.conf.public_endpoint):
        yield advice(
            _AREA,
            "hosts",
            "worker_self_reference_url is not set",
            "with several Glance hosts set it, on each to its own URL: an import must reach the host that has the "
            "staged file",
        )


def _folder(path: str, found: os.stat_result) -> Point:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        return wrong(_AREA, "folder", f"{path} is no folder", "make it one")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return wrong(
            _AREA,
            "folder",
            f"{path}, of user {found.st_uid} and mode {mode:o}, cannot be written by user {os.geteuid()}",
            "chown it to Glance's user",
        )
    if mode & 0o002:
        return wrong(
            _AREA,
            "folder",
            f"everybody may write {path} (mode {mode:o}): an image could be replaced after it was checked",
            f"chmod 700 {path}",
        )
    if mode & 0o027:
        return advice(
            _AREA,
            "folder",
            f"others than Glance's user may look into {path}, or write it (mode {mode:o})",
            f"chmod 700 {path}",
        )
    return ok(_AREA, "folder", f"{path}, of user {found.st_uid}, mode {mode:o}")


def _room(path: str, *, transforms: bool) -> Point:
    free = os.statvfs(path)
    room = free.f_bavail * free.f_frsize
    needed = "for each image as it came" + (", and beside it as it becomes" if transforms else "")
    told = f"{show_size(room)} free; it must do {needed}"
    if room < _LITTLE:
        return advice(_AREA, "room", told, "is that enough for the largest images that are imported at a time?")
    return ok(_AREA, "room", told)
