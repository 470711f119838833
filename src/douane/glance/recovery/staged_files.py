"""What a killed Glance leaves on the disk of an image that was on its way in."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

log = logging.getLogger("douane")


def unlink(staging: Path, *patterns: str) -> None:
    """Delete the staged files whose names fit (``Path.glob``). Raises OSError."""
    for pattern in patterns:
        for path in staging.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def delete_partial(store: str, image: str) -> None:
    """What a file store has of an image that it was just taking: with it, it would refuse to take the image again.
    Raises OSError."""
    import glance_store

    driver = glance_store.get_store_from_store_identifier(store)
    folders = [driver.datadir] if getattr(driver, "datadir", None) else []
    for more in getattr(driver, "priority_data_map", {}).values():
        folders += more
    if not folders:
        log.warning("store %s is no file store: what it has of image %s, if anything, stays", store, image)
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            (Path(folder) / image).unlink()
