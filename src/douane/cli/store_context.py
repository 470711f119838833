"""Open the home directory of a command, recover interrupted imports, and find images in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from douane.errors import CatalogError, PlanError

from .output import say

if TYPE_CHECKING:
    from douane.catalog import Image
    from douane.imports import Home


@contextmanager
def open_home(ctx: click.Context, path: str | None) -> Iterator[Home]:
    """Open the home directory: `path`, else `douane --home`, else the default."""
    from pathlib import Path

    from douane.imports import Home, default_home

    path = path or ctx.obj
    home = Home(Path(path) if path else default_home())
    try:
        for task in home.recover():
            say(f"douane: an interrupted import was finished or undone (task {task.id})")
        yield home
    finally:
        home.close()


def find_image(home: Home, id_or_prefix: str) -> Image:
    """The image with this id, which may be abbreviated. Raises PlanError if no image or several match."""
    try:
        return home.catalog.find(id_or_prefix)
    except CatalogError as error:
        raise PlanError(str(error)) from error


def find_images(home: Home, ids_or_prefixes: Iterable[str]) -> list[Image]:
    """The images with these ids, each once. Raises as :func:`find_image`."""
    matches = [find_image(home, id_or_prefix) for id_or_prefix in ids_or_prefixes]
    return list({image.id: image for image in matches}.values())
