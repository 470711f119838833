"""`douane plugin new`: a plugin to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from douane.engine import PlanError

from .author_kit import require_kit

if TYPE_CHECKING:
    from douane_kit.scaffold import Kind


@click.command()
@click.argument("name")
@click.option("--transform", is_flag=True, help="A transform, which makes a new image. Default: an inspector.")
@click.option("--reads", metavar="WHAT", default="stream", show_default=True, help="As in the contract: head:512, ...")
@click.option("--exec", "language", type=click.Choice(("sh", "c")), help="A program instead, in this language.")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where it goes. Default: here."
)
def new(name: str, transform: bool, reads: str, language: str | None, into: Path) -> None:
    """Write a plugin NAME, its tests and a README into a new folder. It works, and its tests pass, as they are."""
    require_kit("douane plugin new")
    from douane_kit.scaffold import BadName, write_folder

    kind = _kind(transform, reads, language)
    try:
        written = write_folder(name, kind, into)
    except BadName as error:
        raise PlanError(str(error)) from error
    except FileExistsError as error:
        raise PlanError(f"{error.filename} is there already; choose another name, or --into another folder") from error
    except OSError as error:
        raise PlanError(f"{error.filename or into / name} cannot be written: {error.strerror}") from error
    for path in written:
        click.echo(path)


def _kind(transform: bool, reads: str, language: str | None) -> Kind:
    """Raises PlanError."""
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
        for known in ("stream", "random", "nothing", "findings"):
            if what == known:
                return Kind(known)
    raise PlanError(f"--reads {reads}: write stream, random, nothing, findings, or head:512 (bytes)")
