"""Attestations that staged bytes were inspected, so that the import need not inspect them again.

They are files in a folder of this host, as the staged bytes are on this host. An attestation is about the bytes with
its tag, whatever is staged by now: its reader compares. An import deletes the attestation of its image; if the image is
deleted instead, `delete_unneeded` does, as Glance tells nobody, and any host may get the request.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from douane.bills.kept import InventoryRecord, inventory_in
from douane.engine import Report
from douane.glance.image_metadata import reported_properties
from douane.report import PropertyValue

from .tag import Tag

_MAX_BYTES = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}\.json")
_NEW = ".new-"
_LONGEST_SAVE = 3600.0
"""Seconds."""


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was accepted."""

    size: int
    """Bytes."""
    key: bytes
    tag: bytes
    plan: str
    """SHA-256 (hex) of the plan that accepted the image."""
    properties: dict[str, PropertyValue | None]
    disk_format: str | None
    container_format: str | None
    virtual_size: int | None
    at: float
    """Unix time, seconds."""
    digests: dict[str, str] = {}
    """Digests (hex) of the bytes by algorithm, if any were taken."""
    summary: dict[str, Any] | None = None
    """The signed summary, if the plan has ``[evidence]``."""
    inventory: InventoryRecord | str | None = None
    """What the bill of materials is made of, 128 KiB at most; or why there is none. None: of an earlier release."""

    @classmethod
    def of(cls, report: Report, plan: str, tag: Tag, image_id: str) -> Attestation:
        """From the report of an accepted image, the digest of its plan, and the tag of its bytes, which ends."""
        return cls(
            size=tag.size,
            key=tag.key,
            tag=tag.finish(),
            plan=plan,
            properties=reported_properties(report, with_plugins=True),
            disk_format=report.disk_format,
            container_format=report.container_format,
            virtual_size=report.virtual_size,
            at=time.time(),
            digests=report.stored.digests(),
            summary=report.summary,
            inventory=inventory_in(report, image_id),
        )


class Attestations:
    """The attestations in `folder`, a file for each image. If one is missing, the image is inspected again."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def save(self, image: str, attestation: Attestation) -> None:
        """Save the attestation for the bytes that are staged for `image`. Raises OSError."""
        fd, temporary = tempfile.mkstemp(dir=self._folder, prefix=_NEW)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(attestation))
            Path(temporary).replace(self._path(image))
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def find(self, image: str) -> Attestation | None:
        """The attestation for `image`; None if there is none that can be read."""
        try:
            with self._path(image).open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_BYTES), type=Attestation)
        except (OSError, msgspec.MsgspecError):
            return None

    def delete(self, image: str) -> None:
        """Delete the attestation for `image`, if there is one."""
        with contextlib.suppress(OSError):
            self._path(image).unlink()

    def delete_unneeded(self, staging: Path) -> None:
        """Delete the attestations for images that have no file in the folder `staging`, and what killed processes left.

        Raises OSError.
        """
        saved = os.listdir(self._folder)  # first: an attestation is saved when the bytes of its image are staged
        needed = {self._path(name.partition(".")[0]).name for name in os.listdir(staging)}
        for name in saved:
            is_leftover = name.startswith(_NEW) and self._age(name) > _LONGEST_SAVE
            if is_leftover or (_NAME.fullmatch(name) and name not in needed):
                with contextlib.suppress(FileNotFoundError):
                    (self._folder / name).unlink()

    def _age(self, name: str) -> float:
        try:
            return time.time() - (self._folder / name).lstat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _path(self, image: str) -> Path:
        # An id is a UUID, but it came in a URL: it could be a path, and of any length.
        return self._folder / f"{hashlib.sha256(image.encode(errors='surrogatepass')).hexdigest()}.json"
