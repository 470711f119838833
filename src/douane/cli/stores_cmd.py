"""`douane stores`: the stores of a service, and the identities that the catalog has of them."""

from __future__ import annotations

import click

from .options import home_option, json_option
from .output import print_json, print_table, say
from .service_catalog import config_option, keep_options, service_catalog


@click.group("stores", invoke_without_command=True)
@home_option
@config_option
@json_option
@click.pass_context
def stores(ctx: click.Context, home: str | None, config: str | None, as_json: bool) -> None:
    """Show the stores of a service as this machine reaches them.

    A store is "reached" if it is the very one that the catalog means, "another" if it is another one at the same
    place, and "away" if it does not say which one it is.
    """
    keep_options(ctx, home, config)
    if ctx.invoked_subcommand is not None:
        return
    from douane.errors import StoreError
    from douane.imports.service_stores import open_stores

    rows = []
    with service_catalog(ctx, home, config) as (catalog, settings):
        recorded = catalog.store_identities()
        for place in open_stores(settings, catalog):
            expected = recorded.get(place.id)
            try:
                identity = None if expected is None or place.guard is None else place.guard.identity()
                state = "new" if expected is None else "reached" if identity == expected else "another"
            except StoreError:
                state = "away"
            rows.append((place.id, state, expected or "-", place.settings.url))
    if as_json:
        names = ("store", "state", "identity", "url")
        print_json({"stores": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_table(("store", "state", "identity", "url"), rows)


@stores.command("forget")
@click.argument("store")
@home_option
@config_option
@click.pass_context
def forget(ctx: click.Context, store: str, home: str | None, config: str | None) -> None:
    """Forget the identity of a store that was replaced for good.

    The next service or worker that starts records the new one.
    """
    from douane.errors import BadValue

    with service_catalog(ctx, home, config) as (catalog, _):
        if not catalog.forget_store(store):
            raise BadValue(f"the catalog has no identity of a store {store!r:.80}")
    say(f"douane: the identity of the store {store} is forgotten")
