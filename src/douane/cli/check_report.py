"""Print the report of `check` and `import` for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from douane.units import show_duration, show_size

from .output import plain, print_table, say, size_or_dash

if TYPE_CHECKING:
    from douane.engine import Report, Verdict

COLOURS = {
    "accepted": "green",
    "refused": "bold red",
    "failed": "red",
    "timeout": "red",
    "incomplete": "yellow",
    "deferred": "yellow",
    "stopped": "dim",
}
HEADLINES = {
    "accepted": "accepted",
    "refused": "refused",
    "undecided": "undecided: not let in",
}


def print_report(report: Report, name: str) -> None:
    """Print the outcome of the image `name`, the verdicts, the digests; details for the operator on standard error."""
    colour = {"accepted": "green", "refused": "red"}.get(report.outcome, "yellow")
    click.secho(f"{HEADLINES[report.outcome]}: {plain(name)}", fg=colour, bold=True)
    if report.message is not None:
        click.echo(f"  {report.code}: {plain(report.message)}")
    if report.verdicts:
        print_table(
            ("plugin", "verdict", "mode", "read", "of", "time", "says"),
            (_row(verdict) for verdict in report.verdicts),
            colours=COLOURS,
        )
    _print_bytes(report)
    for verdict in report.verdicts:
        if verdict.detail:
            say(f"{verdict.plugin}: {verdict.detail.rstrip()}")


def _row(verdict: Verdict) -> tuple[str, ...]:
    remarks = [f"{verdict.code}: {verdict.message}"] if verdict.message and verdict.outcome != "stopped" else []
    remarks += [f"warning {warning.code}: {warning.message}" for warning in verdict.warnings]
    remarks += [f"{key.partition('.')[2]}={value}" for key, value in verdict.properties.items()]
    remarks += [
        f"removes {name}" if value is None else f"sets {name}={value}" for name, value in verdict.proposed.items()
    ]
    if verdict.documents:
        remarks.append(f"attached {', '.join(verdict.documents)} (--json shows documents)")
    return (
        verdict.plugin,
        verdict.outcome,
        verdict.mode,
        show_size(verdict.bytes_seen),
        size_or_dash(verdict.bytes_total),
        show_duration(verdict.seconds),
        "; ".join(remarks),
    )


def _print_bytes(report: Report) -> None:
    received, stored = report.received, report.stored
    partial = "" if received.complete else ", not all of it"
    click.echo(f"received {received.size} bytes{partial}; {show_duration(report.seconds)}; sandbox {report.sandbox}")
    for name, value in received.digests().items():
        click.echo(f"  {name}  {value}")
    if stored.complete and stored != received:
        click.echo(f"stored form: {stored.size} bytes")
        for name, value in stored.digests().items():
            click.echo(f"  {name}  {value}")
    if report.outcome == "accepted" and report.disk_format:
        virtual = f", virtual size {show_size(report.virtual_size)}" if report.virtual_size is not None else ""
        click.echo(f"format {report.disk_format}{virtual}")
