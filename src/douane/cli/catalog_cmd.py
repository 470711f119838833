"""`douane catalog`: the revision of a service's catalog, and the way back to an older release."""

from __future__ import annotations

import click

from .options import home_option, json_option
from .output import print_json, say
from .service_catalog import config_option, keep_options, service_place


@click.group("catalog", invoke_without_command=True)
@home_option
@config_option
@json_option
@click.pass_context
def catalog(ctx: click.Context, home: str | None, config: str | None, as_json: bool) -> None:
    """Show the revision of the catalog, and who may use it."""
    keep_options(ctx, home, config)
    if ctx.invoked_subcommand is not None:
        return
    from douane.catalog.database import HEAD
    from douane.catalog.revisions import read_revisions

    _, place = service_place(ctx, home, config)
    current, oldest = read_revisions(place)
    if as_json:
        print_json({"revision": current, "oldest": oldest, "release": HEAD})
    else:
        click.echo(f"revision {current}; this release has {HEAD}; releases from {oldest} on may use the catalog")


@catalog.command("downgrade")
@click.argument("revision")
@home_option
@config_option
@click.pass_context
def downgrade(ctx: click.Context, revision: str, home: str | None, config: str | None) -> None:
    """Bring the catalog back to an older REVISION.

    It is for a release that cannot use this one. End all services and workers first, and make a backup: what the older
    release does not know is lost.
    """
    from douane.catalog.revisions import downgrade as bring_down

    _, place = service_place(ctx, home, config)
    bring_down(place, revision)
    say(f"douane: the catalog is at revision {revision}; a newer release that opens it brings it forward again")
