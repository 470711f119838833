"""`douane fsck`: check the stores against the catalog."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from douane.errors import PlanError
from douane.units import number_of, show_size

from .options import home_option, json_option
from .output import print_json, print_table, progress_bar, say
from .service_catalog import config_option, service_catalog

if TYPE_CHECKING:
    from douane.catalog import Catalog
    from douane.imports.fsck import Result


@click.command("fsck")
@home_option
@config_option
@click.option("--digests", is_flag=True, help="Read all bytes, and compare their digests with those of the catalog.")
@click.option("--store", metavar="ID", help="Check this store only.")
@click.option("--repair", "do_repair", is_flag=True, help="Repair what can be repaired without a loss.")
@json_option
@click.pass_context
def fsck(
    ctx: click.Context,
    home: str | None,
    config: str | None,
    digests: bool,
    store: str | None,
    do_repair: bool,
    as_json: bool,
) -> None:
    """Check the stores against the catalog.

    The table of faults says what to do about each.

    Nothing is changed without --repair, and a service may run meanwhile. --repair deletes staged bytes of no import
    and bytes of deleted images, and removes the record of a missing copy when another copy is complete.

    Exit codes: 0 no fault, 1 faults, 3 a store could not be checked.
    """
    from douane.imports.fsck import Check, CheckOptions, repair
    from douane.imports.fsck.decisions import exit_code
    from douane.imports.service_stores import open_stores

    with ExitStack() as stack:
        catalog, settings = stack.enter_context(service_catalog(ctx, home, config))
        if store is not None and store not in settings.stores:
            raise PlanError(f"there is no store {store!r:.80}; the stores are: {', '.join(settings.store_order)}")
        stores = open_stores(settings, catalog)
        progress = _progress(stack, catalog, visible=digests and not as_json)
        result = Check(catalog, stores, CheckOptions(digests=digests, store=store), progress).run()
        if do_repair:
            repair(catalog, stores, result)
    code = exit_code(result)
    if as_json:
        from msgspec import to_builtins

        print_json({**to_builtins(result), "exit_code": code})
    else:
        _print(result)
    ctx.exit(code)


def _progress(stack: ExitStack, catalog: Catalog, *, visible: bool) -> Callable[[int], None]:
    update = stack.enter_context(progress_bar("reading", visible=visible))
    if update is None:
        return lambda length: None
    _, total = catalog.copied_bytes()
    position = 0

    def advance(length: int) -> None:
        nonlocal position
        position += length
        update(position, total)

    return advance


def _print(result: Result) -> None:
    if result.faults:
        rows = (
            (
                fault.code,
                fault.store or "-",
                fault.image or fault.key or fault.task or "-",
                fault.message,
                "repaired" if fault.repaired else fault.remedy,
            )
            for fault in result.faults
        )
        print_table(("fault", "store", "image or key", "what", "what to do"), rows, colours={"repaired": "green"})
    if result.unlisted:
        more = number_of(result.unlisted, "more fault")
        say(f"douane: {more} {'is' if result.unlisted == 1 else 'are'} not listed; repair these and check again")
    for summary in result.stores:
        if not summary.is_checked and not summary.copies:
            say(f"douane: {summary.id}: not checked")
            continue
        partly = "" if summary.is_checked else "; not checked to the end"
        read = f", {summary.digests} of them read ({show_size(summary.bytes_read)})" if summary.digests else ""
        counts = (
            f"{number_of(summary.copies, 'copy', 'copies')}{read}, {summary.intact} intact; {summary.staged} staged"
        )
        say(f"douane: {summary.id}: {counts}{partly}")
    repaired = sum(fault.repaired for fault in result.faults)
    say(f"douane: {number_of(result.open_faults, 'fault')}{f', {repaired} repaired' if repaired else ''}")
    if not result.is_complete:
        say("douane: a store could not be checked, so there may be more faults")
