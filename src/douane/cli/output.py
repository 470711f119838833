"""What a person sees: tables and bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from douane.host.log import LogLine
from douane.host.options import Progress
from douane.host.policy import clean
from douane.units import show_size

MAX_SHOWN = 10_000


def print_json(value: Any) -> None:
    """One JSON object, on standard output."""
    # In ASCII: a name may hold what a terminal takes for a command (C1), or half a surrogate pair.
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def plain(text: str) -> str:
    """A stranger's text as it may be shown: no control characters that drive a terminal or forge a line."""
    return clean(text, MAX_SHOWN)


def say(text: str) -> None:
    """Lines for the person, on standard error."""
    for line in text.splitlines() or [""]:
        click.echo(
            plain(line) if line.strip() == line else line[: len(line) - len(line.lstrip())] + plain(line), err=True
        )


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, colours: dict[str, str] | None = None
) -> None:
    """Rows under `columns`: drawn by rich on a terminal, tab-separated lines with a head otherwise.

    `colours` gives cells of a certain text a style.
    """
    listed = [[plain(cell or "") for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *listed):
            click.echo("\t".join(row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)  # an id is there to be copied
    for row in listed:
        table.add_row(*(Text(cell, style=(colours or {}).get(cell, "")) for cell in row))
    Console().print(table)


def log_level(verbose: bool) -> int:
    """The level from which on plugins' log lines are wanted: all of them, or warnings and worse."""
    return logging.DEBUG if verbose else logging.WARNING


def log_printer(verbose: bool) -> LogLine:
    """Prints what plugins log and print to standard error; without `verbose` only warnings and worse."""
    floor = log_level(verbose)

    def emit(plugin: str, level: int, text: str) -> None:
        if level >= floor:
            say(f"{plugin}: {clean(text, 4096)}")

    return emit


@contextmanager
def progress_bar(label: str, *, wanted: bool) -> Iterator[Progress | None]:
    """A progress bar on standard error, if that is a terminal and it is `wanted`."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    with Bar(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(clean(label, 60), total=None)

        def update(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield update


def size_or_dash(size: int | None) -> str:
    """A size for a person, or a dash where it is not known."""
    return "-" if size is None else show_size(size)
