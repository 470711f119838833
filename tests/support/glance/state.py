"""The state of an image: as its owner sees it, its tasks, and its files on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .glance_config import STORES
from .http import Api


@dataclass(frozen=True)
class GlanceFolders:
    """The folders of a Glance."""

    folder: Path

    def staged(self, image: str) -> list[str]:
        """Files of this image in the staging folder (a partial file has a suffix)."""
        return sorted(path.name for path in (self.folder / "staging").iterdir() if path.name.startswith(image))

    def stored(self, image: str) -> list[str]:
        """``store/file`` of this image's data in all stores."""
        return sorted(
            f"{store}/{path.name}"
            for store in STORES
            for path in (self.folder / "stores" / store).iterdir()
            if path.name.startswith(image)
        )

    def data(self, image: str, store: str = STORES[0]) -> bytes:
        """The image's bytes in this store. Raises FileNotFoundError."""
        return (self.folder / "stores" / store / image).read_bytes()


@dataclass(frozen=True)
class State:
    """The state of one image."""

    status: str
    size: int | None
    tasks: tuple[str, ...]
    """Status of each import task, the oldest first."""
    staged: tuple[str, ...]
    stored: tuple[str, ...]
    failed_stores: str
    importing_to: str
    properties: dict[str, Any]
    """Properties that the image service itself does not set."""


def state_of(api: Api, folders: GlanceFolders, image: str) -> State:
    """The state of an image. Raises AssertionError if `api` may not see the image."""
    record = api.must("GET", f"/v2/images/{image}")
    tasks = sorted(api.must("GET", f"/v2/images/{image}/tasks")["tasks"], key=lambda task: str(task["created_at"]))
    return State(
        status=record["status"],
        size=record["size"],
        tasks=tuple(task["status"] for task in tasks),
        staged=tuple(folders.staged(image)),
        stored=tuple(folders.stored(image)),
        failed_stores=record.get("os_glance_failed_import", ""),
        importing_to=record.get("os_glance_importing_to_stores", ""),
        properties={
            key: value for key, value in record.items() if key not in _ATTRIBUTES and not key.startswith("os_glance")
        },
    )


_ATTRIBUTES = {
    *("name", "id", "status", "visibility", "protected", "owner", "size", "virtual_size", "checksum", "tags", "stores"),
    *("container_format", "disk_format", "min_disk", "min_ram", "created_at", "updated_at", "self", "file", "schema"),
    *("direct_url", "locations", "os_hidden", "os_hash_algo", "os_hash_value"),
}
