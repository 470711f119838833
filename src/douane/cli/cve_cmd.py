"""`douane cve build`: the database of known vulnerabilities for the inspector `packages`."""

from __future__ import annotations

from datetime import datetime

import click

from douane.units import number_of

from .output import say


@click.group()
def cve() -> None:
    """Known vulnerabilities, for the inspector `packages`."""


@cve.command("build")
@click.option("--output", default="cve.sqlite", show_default=True, type=click.Path(dir_okay=False), metavar="FILE")
@click.option(
    "--date",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The day on which the files were downloaded.  [default: the newest day on which an advisory was modified]",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="OSV.zip...")
def build_database(files: tuple[str, ...], output: str, date: datetime | None) -> None:
    """Make a database of the advisories in files that OSV exports.

    They are at https://osv-vulnerabilities.storage.googleapis.com/ECOSYSTEM/all.zip. The output is replaced when
    the new one is complete. The same input gives the same bytes.

    Exit codes: 0 written, 2 a file cannot be read, or the database cannot be written.
    """
    from douane.advisories.building import build

    counts = build(files, output, date.date().isoformat() if date else None)
    for system, advisories in counts.systems:
        say(f"{system}: {number_of(advisories, 'advisory', 'advisories')}")
    total = number_of(counts.advisories, "advisory", "advisories")
    say(f"{output}: {total} as of {counts.date}; left out: {counts.ignored}")
