"""Printing: tables and progress bars on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from douane.units import show_size
from douane_plugin._rules import clean, clean_lines

if TYPE_CHECKING:
    from rich.console import Console

    from douane.host.log import LogLine
    from douane.host.options import Progress

MAX_TEXT = 10_000
"""Characters of a text that a stranger wrote; more are cut."""

DEBUG, WARNING = 10, 30
"""As in `logging`, whose import would slow down every start."""


def print_json(value: Any) -> None:
    """Print `value` as one JSON object on standard output."""
    import json

    # In ASCII: a name may hold what a terminal takes for a command (C1), or half a surrogate pair.
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def plain(text: str) -> str:
    """Remove control characters from a stranger's text, which could drive a terminal or forge a line."""
    return clean(text, MAX_TEXT)


def say(text: str) -> None:
    """Print lines for the person on standard error."""
    click.echo(clean_lines(text, MAX_TEXT), err=True)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, colours: dict[str, str] | None = None
) -> None:
    """Print `rows` under `columns`: as a table on a terminal, as tab-separated lines otherwise.

    `colours` maps the text of a cell to a style.
    """
    lines = [[plain(cell or "") for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *lines):
            click.echo("\t".join(row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)  # an id must stay on one line to be copied
    for row in lines:
        table.add_row(*(Text(cell, style=(colours or {}).get(cell, "")) for cell in row))
    _console().print(table)


def _console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: `[link=...]` and `[/x]` in a name are no markup, `:bomb:` no emoji."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def log_level(verbose: bool) -> int:
    """The lowest level of plugins' log lines to show: all lines, or warnings and worse."""
    return DEBUG if verbose else WARNING


def log_printer(verbose: bool) -> LogLine:
    """Return a function that prints plugins' output to standard error; without `verbose` only warnings and worse."""
    floor = log_level(verbose)

    def emit(plugin: str, level: int, text: str) -> None:
        if level >= floor:
            say(f"{plugin}: {clean(text, 4096)}")

    return emit


@contextmanager
def progress_bar(label: str, *, visible: bool) -> Iterator[Progress | None]:
    """Show a progress bar on standard error, if that is a terminal and the bar is to be `visible`."""
    if not visible or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
    with Bar(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=_console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(clean(label, 60), total=None)

        def update(position: int, total: int | None) -> None:
            bar.update(task, completed=position, total=total)

        yield update


def size_or_dash(size: int | None) -> str:
    """A size for a person, or a dash for an unknown size."""
    return "-" if size is None else show_size(size)
