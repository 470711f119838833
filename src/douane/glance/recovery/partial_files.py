"""The files that a killed Glance leaves of an image that was being staged, or stored."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from douane.glance import internals

log = logging.getLogger("douane")


def delete_staged(staging: Path, image: str, *, with_original: bool) -> None:
    """Delete what transforms made of the staged data of `image`, and with `with_original` the staged data itself.

    Raises OSError.
    """
    names = [f"{image}.*", image] if with_original else [f"{image}.*"]
    for name in names:
        for path in staging.glob(name):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def delete_stored(store: str, image: str) -> None:
    """Delete the part of `image` that a file store has: with it, the store would refuse to take the image again.

    Raises OSError.
    """
    folders = internals.store_folders(store)
    if not folders:
        log.warning("store %s is no file store: if it has a part of image %s, the part stays", store, image)
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            (folder / image).unlink()
