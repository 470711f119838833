"""What `douane plugin test` prints for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from douane.units import number_of

from .output import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from douane_kit.conformance import Again, Finding, Report


def print_conformance(report: Report, again: Mapping[int, str]) -> None:
    """Print `report` for a person; `again` has the commands for the saved findings, by their number."""
    click.echo(f"{report.plugin} ({plain(report.use)}), sandbox {report.tier}, seed {report.seed}")
    verdicts = ", ".join(f"{number} {kind}" for kind, number in sorted(report.verdicts.items()))
    if verdicts:
        click.echo(f"  verdicts on the images that were tried: {verdicts}")
    for what, number in report.checks.items():
        click.echo(f"  {what}: {number}")
    for note in report.notes:
        click.echo(f"  note: {plain(note)}")
    for warning in report.warnings:
        click.echo(f"  warning: {warning.code}: {plain(warning.text)}")
    for number, finding in enumerate(report.findings, 1):
        click.echo("")
        _print_finding(number, finding)
        if number in again:
            click.echo(f"   again: {plain(again[number])}")
    click.echo("")
    count = len(report.findings)
    summary = number_of(count, "finding") if count else "no findings"
    if report.warnings:
        summary += f", {number_of(len(report.warnings), 'warning')}"
    click.echo(f"{summary}, after {report.seconds:.0f} s")


def _print_finding(number: int, finding: Finding) -> None:
    click.echo(f"{number}. {finding.code}: {plain(finding.what)}")
    image = dict(finding.image)
    if image:
        content = image.get("hex") or plain(str(image.get("recipe", "")))
        click.echo(f"   image: {image.get('size', 0)} bytes{': ' if content else ''}{content}")
        for key in ("cuts", "declared"):
            if image.get(key):
                click.echo(f"   {key}: {plain(str(image[key]))}")
    for outcome in finding.outcomes:
        click.echo(f"   outcome: {plain(outcome)}")
    for line in finding.trace.splitlines()[-12:]:
        click.echo(f"   | {plain(line)}" if line == line.lstrip() else f"   |   {plain(line)}")
    click.echo(f"   fix: {finding.mend}")


def print_again(code: str, result: Again) -> None:
    """Print what the input of a saved finding with `code` showed."""
    for outcome in result.outcomes:
        click.echo(f"outcome: {plain(outcome)}")
    click.echo(f"{plain(code)}: {'the fault is still there' if result.is_fault else 'the fault no longer shows'}")
