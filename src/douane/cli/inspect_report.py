"""Print the result of `douane inspect` for a person."""

from __future__ import annotations

from collections.abc import Sequence

import click

from douane.report import Outcome
from douane.units import show_size

from .explanation import Explanation, Field, Finding, Match
from .output import plain

HEADLINES = {"accepted": ("accepted", "green"), "refused": ("refused", "red"), "undecided": ("undecided", "yellow")}
COLOURS = {"refuse": "red", "warn": "yellow", "pass": ""}
MAX_ROWS = 24
"""Fields and findings that are shown of a format without --verbose."""

MAX_NAME = 28
MAX_VALUE = 120


def print_explanation(
    explanation: Explanation, outcome: Outcome, file: str, size: int, sandbox: str, *, everything: bool
) -> None:
    """Print the outcome, the image's format and sizes, then each format with its findings and fields."""
    headline, colour = HEADLINES[outcome]
    click.secho(f"{headline}: {plain(file)}", fg=colour, bold=True)
    if explanation.message is not None:
        click.echo(f"  {plain(str(explanation.code))}: {plain(explanation.message)}")
    virtual_size = explanation.virtual_size
    name = " ".join(filter(None, (explanation.detected or explanation.disk_format, explanation.variant)))
    rows = {
        "is": plain(name),
        "disk format": plain(explanation.disk_format)
        + (", container ova" if explanation.container_format == "ova" else ""),
        "disk": "size not known" if virtual_size is None else _size(virtual_size),
        "file": _size(size),
        "sandbox": sandbox,
    }
    for key, value in rows.items():
        click.echo(f"  {key:<11}  {value}")
    _print_formats(explanation.formats, "", everything)


def _print_formats(formats: Sequence[Match], indent: str, everything: bool) -> None:
    for match in formats:
        click.echo()
        name = plain(f"{match.format} {match.variant}")
        click.echo(indent + click.style(name, bold=True) + (" (found by its end)" if match.at == "end" else ""))
        inside = f"{indent}  "
        hidden = _print_findings(match.findings, inside, everything)
        hidden += _print_fields(match.fields, inside, everything)
        if hidden:
            click.echo(f"{inside}... and {hidden} more: --verbose")
        if match.left_out:
            click.echo(f"{inside}... and {match.left_out} more, not reported")
        for inner in match.inside:
            click.echo(f"\n{inside}in it, {plain(inner.name)}:")
            _print_formats(inner.formats, inside + "  ", everything)


def _print_findings(findings: Sequence[Finding], indent: str, everything: bool) -> int:
    """Print findings; return the number of those not printed."""
    printed = findings if everything else findings[:MAX_ROWS]
    codes = [plain(finding.code) for finding in printed]
    width = max(map(len, codes), default=0)
    for finding, code in zip(printed, codes, strict=True):
        where = "" if finding.offset is None else f" (at {finding.offset})"
        line = f"{finding.worth:<6}  {code:<{width}}  {plain(finding.detail)}{where}"
        click.secho(f"{indent}{line}", fg=COLOURS[finding.worth] or None)
    return len(findings) - len(printed)


def _print_fields(fields: Sequence[Field], indent: str, everything: bool) -> int:
    """Print fields; return the number of those not printed."""
    printed = fields if everything else fields[:MAX_ROWS]
    if not printed:
        return 0
    offsets = ["" if field.offset is None else str(field.offset) for field in printed]
    names = [plain(field.name) for field in printed]
    offset_width = max(len("offset"), *map(len, offsets))
    name_width = min(MAX_NAME, max(len("field"), *map(len, names)))
    click.secho(f"{indent}{'offset':>{offset_width}}  {'field':<{name_width}}  value", dim=True)
    for field, offset, name in zip(printed, offsets, names, strict=True):
        value = plain(str(field.value))
        value = value if everything or len(value) <= MAX_VALUE else value[:MAX_VALUE] + "…"
        click.echo(f"{indent}{offset:>{offset_width}}  {name:<{name_width}}  {value}".rstrip())
    return len(fields) - len(printed)


def _size(size: int) -> str:
    return show_size(size) if size < 1024 else f"{show_size(size)} ({size} bytes)"
