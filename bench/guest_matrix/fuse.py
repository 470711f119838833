"""File systems that programs of FUSE show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .workshop import NotBuilt, run


@contextmanager
def fuse(image: Path, *command: str) -> Iterator[Path]:
    """The file system in an image, by a program of FUSE; some want a device."""
    folder = image.with_name(f"{image.name}.mount")
    folder.mkdir()
    device = ""
    try:
        try:
            run(*command, image, folder)
        except NotBuilt:
            device = run("losetup", "--find", "--show", image).strip()
            run(*command, device, folder)
        try:
            yield folder
        finally:
            run("umount", folder)
    finally:
        if device:
            run("losetup", "--detach", device)
        folder.rmdir()
