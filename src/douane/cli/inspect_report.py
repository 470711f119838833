"""What `douane inspect` found out, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from douane.units import show_size

from .output import plain

HEADLINES = {"accepted": ("accepted", "green"), "refused": ("refused", "red"), "undecided": ("undecided", "yellow")}
WORTH = {"refuse": "red", "warn": "yellow", "pass": ""}
MOST_ROWS = 24
"""Of the fields of a format, and of its findings; more with --verbose."""

WIDEST_NAME = 28
WIDEST_VALUE = 120


def print_explanation(told: Mapping[str, Any], *, everything: bool) -> None:
    """The outcome in a line, then what the image is, then each format with its findings and fields."""
    headline, colour = HEADLINES[told["outcome"]]
    click.secho(f"{headline}: {plain(told['file'])}", fg=colour, bold=True)
    if told["message"] is not None:
        click.echo(f"  {told['code']}: {plain(told['message'])}")
    virtual_size = told.get("virtual_size")
    name = " ".join(filter(None, (told.get("detected", told["disk_format"]), told.get("variant"))))
    rows = {
        "is": plain(name),
        "disk format": plain(told["disk_format"])
        + (", container ova" if told.get("container_format") == "ova" else ""),
        "disk": "size not known" if virtual_size is None else _size(virtual_size),
        "file": _size(told["size"]),
        "sandbox": told["sandbox"],
    }
    for key, value in rows.items():
        click.echo(f"  {key:<11}  {value}")
    _print_formats(told["formats"], "", everything)


def _print_formats(formats: Sequence[Mapping[str, Any]], indent: str, everything: bool) -> None:
    for one in formats:
        click.echo()
        name = plain(f"{one['format']} {one['variant']}")
        click.echo(indent + click.style(name, bold=True) + (" (found by its end)" if one["at"] == "end" else ""))
        inside = f"{indent}  "
        left_out = _print_findings(one["findings"], inside, everything)
        left_out += _print_fields(one["fields"], inside, everything)
        if left_out:
            click.echo(f"{inside}... and {left_out} more: --verbose")
        if one["left_out"]:
            click.echo(f"{inside}... and {one['left_out']} more, which are not told")
        for inner in one["inside"]:
            click.echo(f"\n{inside}in it, {plain(inner['name'])}:")
            _print_formats(inner["formats"], inside + "  ", everything)


def _print_findings(findings: Sequence[Mapping[str, Any]], indent: str, everything: bool) -> int:
    """Returns how many are left out."""
    shown = findings if everything else findings[:MOST_ROWS]
    wide = max((len(one["code"]) for one in shown), default=0)
    for one in shown:
        where = "" if one["offset"] is None else f" (at {one['offset']})"
        line = f"{one['worth']:<6}  {one['code']:<{wide}}  {plain(one['detail'])}{where}"
        click.secho(f"{indent}{line}", fg=WORTH[one["worth"]] or None)
    return len(findings) - len(shown)


def _print_fields(fields: Sequence[Mapping[str, Any]], indent: str, everything: bool) -> int:
    """Returns how many are left out."""
    shown = fields if everything else fields[:MOST_ROWS]
    if not shown:
        return 0
    offsets = ["" if one["offset"] is None else str(one["offset"]) for one in shown]
    names = [plain(one["name"]) for one in shown]
    far = max(len("offset"), *map(len, offsets))
    wide = min(WIDEST_NAME, max(len("field"), *map(len, names)))
    click.secho(f"{indent}{'offset':>{far}}  {'field':<{wide}}  value", dim=True)
    for one, offset, name in zip(shown, offsets, names, strict=True):
        value = plain(str(one["value"]))
        value = value if everything or len(value) <= WIDEST_VALUE else value[:WIDEST_VALUE] + "…"
        click.echo(f"{indent}{offset:>{far}}  {name:<{wide}}  {value}".rstrip())
    return len(fields) - len(shown)


def _size(size: int) -> str:
    return show_size(size) if size < 1024 else f"{show_size(size)} ({size} bytes)"
