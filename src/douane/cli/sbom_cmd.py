"""`douane sbom`: a bill of materials of the guest in an image, in CycloneDX."""

from __future__ import annotations

import click

from .options import ViewOptions, view_options


@click.command()
@click.argument("image", type=click.Path(allow_dash=True))
@click.option("--everywhere", is_flag=True, help="Look for packages of Python, node and Ruby in all folders.")
@click.option("--timestamp", is_flag=True, help="Say when it was made; then no two are equal.")
@view_options
@click.pass_context
def sbom(ctx: click.Context, image: str, everywhere: bool, timestamp: bool, view: ViewOptions) -> None:
    """Print the bill of materials of IMAGE (CycloneDX 1.6).

    IMAGE is as for `douane ls`. The bill has the systems in the image, their packages, and the digest of the image. The
    same image gives the same bytes. The exit code is 3 if any part of the image could not be read.
    """
    import contextlib
    import os
    import sys

    from douane.stream.sink import TempSink

    from .bill import Bill, write_bill
    from .guest_run import end, opened, say_unpacked, show, unread_parts

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
