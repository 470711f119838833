"""The files that a killed Glance leaves of an image that was being staged."""

from __future__ import annotations

import contextlib
from pathlib import Path


def delete_staged(staging: Path, image: str, *, with_original: bool) -> None:
    """Delete what transforms made of the staged data of `image`, and with `with_original` the staged data itself.

    Raises OSError.
    """
    names = [f"{image}.*", image] if with_original else [f"{image}.*"]
    for name in names:
        for path in staging.glob(name):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
