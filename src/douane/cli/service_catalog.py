"""The catalog of a service, for commands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from douane.errors import PlanError

if TYPE_CHECKING:
    from douane.catalog import Catalog
    from douane.imports.settings import ServeSettings

_HOME, _CONFIG = "douane.home", "douane.config"

config_option = click.option(
    "--config", "-c", metavar="FILE", help="The configuration of the service, if it names stores or a database."
)


def keep_options(ctx: click.Context, home: str | None, config: str | None) -> None:
    """Options of a group count for its commands, too, which may name others."""
    ctx.meta[_HOME], ctx.meta[_CONFIG] = home, config


def service_place(ctx: click.Context, home: str | None, config: str | None) -> tuple[ServeSettings, Path | str]:
    """The settings of a service, and its catalog's file or URL. Raises PlanError."""
    from douane.imports import default_home
    from douane.imports.settings import load_settings

    config = config or ctx.meta.get(_CONFIG)
    path = home or ctx.meta.get(_HOME) or ctx.obj
    folder = Path(path).absolute() if path else default_home()
    settings = load_settings(config, folder)
    file = folder / "catalog.sqlite3"
    if settings.database is None and not file.exists():
        raise PlanError(f"{folder} has no catalog: name the home of the service with --home, or --config")
    return settings, settings.database or file


@contextmanager
def service_catalog(
    ctx: click.Context, home: str | None, config: str | None
) -> Iterator[tuple[Catalog, ServeSettings]]:
    """The catalog of a service, which exists, and its settings. Raises PlanError, CatalogError."""
    from douane.catalog import Catalog

    settings, place = service_place(ctx, home, config)
    with Catalog(place) as catalog:
        yield catalog, settings
