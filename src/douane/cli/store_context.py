"""The home that a command works on: opened, what a crash left set right, errors as the command line's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from douane.errors import CatalogError, PlanError

from .output import say

if TYPE_CHECKING:
    from douane.catalog import Image
    from douane.imports import Home


@contextmanager
def open_home(ctx: click.Context, given: Path | None) -> Iterator[Home]:
    """The home for this command, open for the length of a `with`."""
    from douane.imports import Home, default_home

    home = Home(given or ctx.obj or default_home())
    try:
        for task in home.recover():
            say(f"douane: an import that was interrupted has been finished or undone (task {task.id})")
        yield home
    finally:
        home.close()


def find_image(home: Home, id_or_prefix: str) -> Image:
    """The one image that `id_or_prefix` names. Raises PlanError if there is none, or more than one."""
    try:
        return home.catalog.find(id_or_prefix)
    except CatalogError as error:
        raise PlanError(str(error)) from error
