"""`douane inspect`: what an image is, and what says so."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec

from douane.engine import Plan, PlanError, PluginSpec, Report, inspect_image, load_plan, open_source
from douane.engine.units import show_size

from .check import EXIT_CODES, end
from .options import json_option, name_of, tier_for
from .output import log_level, log_printer, plain, print_json, progress_bar

WORTH = {"refuse": "red", "warn": "yellow", "pass": "dim"}
OUTCOMES = {"accepted": "accepted", "refused": "refused", "incomplete": "undecided"}


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--config", "-c", metavar="FILE", help="A plan, for the settings of its `format` plugin.")
@click.option("--set", "settings", metavar="format.KEY=VALUE", multiple=True, help="A setting of `format`.")
@click.option("--disk-format", metavar="F", help="Declare the disk format: raw, qcow2, vmdk, ...")
@click.option("--container-format", metavar="F", help="Declare the container format: bare, ova, ...")
@click.option("--sandbox", type=click.Choice(("full", "strict", "off")), help="As for check.")
@click.option("--verbose", "-v", is_flag=True, help="Show what is logged.")
@json_option
@click.pass_context
def inspect(
    ctx: click.Context,
    file: str,
    config: str | None,
    settings: tuple[str, ...],
    disk_format: str | None,
    container_format: str | None,
    sandbox: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Say what FILE (- for standard input) is, how large its disk is, what speaks against it, and why.

    The exit code is that of `douane check` with the same settings of `format`.
    """
    plan = _plan(config, settings)
    source = open_source(file)
    declared = {"name": name_of(file), "disk_format": disk_format, "container_format": container_format}
    tier = tier_for(plan, sandbox)
    with progress_bar(file, wanted=not as_json) as progress:
        report = inspect_image(
            plan,
            source,
            declared,
            tier=tier,
            emit=log_printer(verbose),
            progress=progress,
            log_level=log_level(verbose),
        )
    if report.outcome != "accepted":  # it refuses nothing, so this is a failure
        end(ctx, report, source.name, as_json=as_json)
    told = _told(report, source.name)
    if as_json:
        print_json(told)
    else:
        _print(told)
    ctx.exit(EXIT_CODES[told["outcome"]])


def _plan(config: str | None, settings: tuple[str, ...]) -> Plan:
    plan = load_plan(config, settings=settings)
    formats = [plugin for plugin in plan.plugins if plugin.use == "format"]
    if not formats:
        raise PlanError(f"{config} has no plugin with use = 'format'; leave --config out for the usual settings")
    explain: PluginSpec = msgspec.structs.replace(formats[0], use="explain", name="format", mode="enforce")
    return msgspec.structs.replace(plan, plugins=(explain,), digests=())


def _told(report: Report, name: str) -> dict[str, Any]:
    given = {key.partition(".")[2]: value for key, value in report.verdicts[0].properties.items()}
    parts = sorted((key for key in given if key.startswith("part_")), key=lambda key: int(key[5:]))
    formats = json.loads("".join(str(given.pop(key)) for key in parts))
    outcome = OUTCOMES[str(given.pop("outcome"))]
    return {
        "file": name,
        "outcome": outcome,
        "code": given.pop("code") or None,
        "message": given.pop("message") or None,
        **given,
        "size": report.received.size,
        "formats": formats,
        "sandbox": report.sandbox,
    }


def _print(told: dict[str, Any]) -> None:
    size = told.get("virtual_size")
    disk = f", a disk of {show_size(size)}" if size is not None else ""
    kind = " ".join(filter(None, (told.get("detected", told["disk_format"]), told.get("variant"))))
    click.secho(f"{plain(told['file'])}: {plain(kind)}{disk}", bold=True)
    click.echo(f"  disk format {told['disk_format']}, {show_size(told['size'])} in the file")
    colour = {"accepted": "green", "refused": "red"}.get(told["outcome"], "yellow")
    said = f": {told['code']}: {plain(told['message'])}" if told["code"] else ""
    click.secho(f"  {told['outcome']}{said}", fg=colour)
    _print_formats(told["formats"], "  ")


def _print_formats(formats: list[dict[str, Any]], indent: str) -> None:
    for one in formats:
        found = " (by its end)" if one["at"] == "end" else ""
        click.echo(f"{indent}{plain(one['format'])} {plain(one['variant'])}".rstrip() + found)
        for code, worth, detail, offset in one["findings"]:
            where = f" at {offset}" if offset is not None else ""
            click.secho(f"{indent}  {worth} {code}{where}: {plain(detail)}", fg=WORTH[worth])
        for name, value, offset in one["fields"]:
            where = f"{offset:>12}" if offset is not None else " " * 12
            click.echo(f"{indent}  {where}  {plain(name)} = {plain(str(value))}")
        for name, inner in one["inside"]:
            click.echo(f"{indent}  inside, {plain(name)}:")
            _print_formats(inner, indent + "    ")
