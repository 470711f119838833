"""`douane plugin new`: write the first version of a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from douane.errors import PlanError

from .plugin_cmd import require_kit

if TYPE_CHECKING:
    from douane_kit.scaffold import Kind


@click.command()
@click.argument("name")
@click.option("--transform", is_flag=True, help="Write a transform, which makes a new image. Default: an inspector.")
@click.option(
    "--reads",
    metavar="WHAT",
    default="stream",
    show_default=True,
    help="stream, head:N, random, guest, files, nothing or findings.",
)
@click.option("--exec", "language", type=click.Choice(("sh", "c")), help="Write a program in this language.")
@click.option(
    "--into", type=click.Path(file_okay=False), default=".", help="The parent folder. Default: the current directory."
)
def new(name: str, transform: bool, reads: str, language: str | None, into: str) -> None:
    """Write a plugin NAME with tests and a README.

    The files go into a new folder. The plugin works and its tests pass without changes.
    """
    require_kit("douane plugin new")
    from pathlib import Path

    from douane_kit.scaffold import BadName, write_folder

    kind = _kind(transform, reads, language)
    try:
        paths = write_folder(name, kind, Path(into))
    except BadName as error:
        raise PlanError(str(error)) from error
    except FileExistsError as error:
        raise PlanError(f"{error.filename} exists; choose another name, or another folder with --into") from error
    except OSError as error:
        raise PlanError(f"{error.filename or Path(into) / name} cannot be written: {error.strerror}") from error
    for path in paths:
        click.echo(path)


def _kind(transform: bool, reads: str, language: str | None) -> Kind:
    """The kind of plugin to write. Raises PlanError."""
    from douane_kit.scaffold import Kind

    if language is not None:
        if transform or reads != "stream":
            raise PlanError("--exec: a program reads the image once and changes nothing; no --transform, no --reads")
        return Kind("sh" if language == "sh" else "c")
    if transform:
        if reads != "stream":
            raise PlanError("--transform is written for reads = 'stream'; change it in the file if you need 'random'")
        return Kind("transform")
    what, colon, count = reads.partition(":")
    if what == "head" and colon and count.isascii() and count.isdigit() and 0 < int(count) <= 1 << 30:
        return Kind("head", int(count))
    if not colon:
        for name in ("stream", "random", "guest", "guest+findings", "files", "nothing", "findings"):
            if what == name:
                return Kind(name)
    raise PlanError(
        f"--reads {reads}: write stream, random, guest, guest+findings, files, nothing, findings, or head:512 (bytes)"
    )
