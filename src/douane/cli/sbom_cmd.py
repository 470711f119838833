"""`douane sbom`: a bill of materials of the guest in an image, in CycloneDX."""

from __future__ import annotations

import click

from douane.errors import PlanError

from .options import ViewOptions, view_options


@click.command()
@click.argument("image", type=click.Path(allow_dash=True))
@click.option("--everywhere", is_flag=True, help="Look for packages of Python, node and Ruby in all folders.")
@click.option("--from-import", is_flag=True, help="Use the list that the import of a stored image has kept.")
@click.option("--timestamp", is_flag=True, help="Say when it was made; then no two are equal.")
@view_options
@click.pass_context
def sbom(
    ctx: click.Context, image: str, everywhere: bool, from_import: bool, timestamp: bool, view: ViewOptions
) -> None:
    """Print the bill of materials of IMAGE (CycloneDX 1.6).

    IMAGE is as for `douane ls`. The bill has the systems in the image, their packages, and the digest of the image. The
    same image gives the same bytes. With --from-import no byte of the image is read: `packages` must be in the plan.
    The exit code is 3 if any part of the image could not be read, or if no list was kept.
    """
    if not from_import:
        _read(ctx, image, everywhere, timestamp, view)
    elif everywhere:
        raise PlanError("--everywhere reads the image: an import keeps the packages in the folders of the system")
    else:
        _from_import(ctx, image, timestamp, view)


def _read(ctx: click.Context, image: str, everywhere: bool, timestamp: bool, view: ViewOptions) -> None:
    """Print the bill by reading the image, and exit."""
    import contextlib
    import os
    import sys

    from douane.bills.unread import unread_parts
    from douane.bills.writer import Bill, write_bill
    from douane.stream.sink import TempSink

    from .guest_run import end, opened, say_unpacked, show

    with opened(ctx, image, view.home) as opener, contextlib.closing(TempSink("as components of the bill")) as sink:
        config = {"everywhere": everywhere}
        shown = show(opener, view, "components:Components", config, sink, digest=opener.sha256 is None)
        say_unpacked(opener, shown)
        unread = unread_parts(shown.verdict)
        bill = Bill(
            name=os.path.basename(opener.name),
            sha256=opener.sha256 or str(shown.report.received.sha256),
            unread=unread.count,
            transforms=tuple(shown.unpacked),
            timestamp=timestamp,
        )
        with os.fdopen(sink.open_read(), "rb") as lines:
            write_bill(bill, lines, sys.stdout)
            sys.stdout.flush()
    end(ctx, unread)


def _from_import(ctx: click.Context, image: str, timestamp: bool, view: ViewOptions) -> None:
    """Print the bill by the inventory of the import, and exit."""
    import sys

    from douane.bills.kept import kept_inventory, write_kept_bill
    from douane.engine import Plan

    from .guest_run import end
    from .options import run_options, run_tier
    from .store_context import find_image, open_home

    with open_home(ctx, view.home) as store_home:
        stored = find_image(store_home, image)
        record = kept_inventory(stored, store_home.catalog.accepted_imports([stored.id]).get(stored.id, []))
    options = run_options(run_tier(Plan(plugins=()), view.sandbox), view.verbose, None)
    unread = write_kept_bill(record, sys.stdout, options, timestamp=timestamp)
    sys.stdout.flush()
    end(ctx, unread)
