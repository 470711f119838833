"""`douane ls`, `cat`: the files of the guest in an image."""

from __future__ import annotations

import contextlib
import os

import click

from .options import ViewOptions, view_options

volume_option = click.option(
    "--volume", metavar="NAME", help="Look into this volume (p1, vg/root), without what a system mounts in it."
)


@click.command()
@click.argument("image", type=click.Path(allow_dash=True))
@click.argument("path", required=False)
@click.option("--recursive", "-R", is_flag=True, help="List all that is below, too.")
@click.option("--digest", is_flag=True, help="Show the SHA-256 of files.")
@volume_option
@view_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_context
def ls(
    ctx: click.Context,
    image: str,
    path: str | None,
    recursive: bool,
    digest: bool,
    volume: str | None,
    as_json: bool,
    view: ViewOptions,
) -> None:
    """List files of the guest in IMAGE.

    With PATH those in that folder of its system; without, those of all volumes.

    IMAGE is a file, - for standard input, or the id of an image in the store, which may be abbreviated. An archive or a
    compressed image is unpacked first.

    What cannot be read is listed at the end, and the exit code is 3 then. It is 1 if there is no such path.
    """
    config: dict[str, str | bool] = {"recursive": recursive, "digest": digest, "json": as_json}
    _print(ctx, image, view, "listing:Listing", config | _places(path, volume), in_output=as_json)


@click.command()
@click.argument("image", type=click.Path(allow_dash=True))
@click.argument("path")
@volume_option
@view_options
@click.pass_context
def cat(ctx: click.Context, image: str, path: str, volume: str | None, view: ViewOptions) -> None:
    """Write the file PATH of the guest in IMAGE to the output.

    IMAGE is as for `douane ls`. Links are followed inside of the guest.

    The exit code is 1 if there is no such file, and 3 if any part of the image could not be read.
    """
    _print(ctx, image, view, "contents:Contents", _places(path, volume), in_output=False)


def _print(
    ctx: click.Context, image: str, view: ViewOptions, plugin: str, config: dict[str, str | bool], *, in_output: bool
) -> None:
    """Copy the output of `plugin` to standard output. `in_output`: it lists what could not be read."""
    from douane.bills.unread import unread_parts
    from douane.stream.output import Output

    from .guest_run import end, opened, say_unpacked, show

    with opened(ctx, image, view.home) as opener, contextlib.closing(Output(1)) as output:
        shown = show(opener, view, plugin, config, output)
        say_unpacked(opener, shown)
    end(ctx, unread_parts(shown.verdict), silent=in_output)


def _places(path: str | None, volume: str | None) -> dict[str, str | bool]:
    """In hexadecimal digits: a name need not be UTF-8."""
    places = {"path": path, "volume": volume}
    return {key: os.fsencode(value).hex() for key, value in places.items() if value is not None}
