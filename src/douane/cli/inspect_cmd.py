"""`douane inspect`: what an image is, and what says so."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec

from douane.declared import DeclaredImage
from douane.engine import Plan, PlanError, PluginSpec, Report, RunOptions, inspect_image, load_plan, open_source
from douane.report import EXIT_CODES

from .check_cmd import end
from .inspect_report import print_explanation
from .options import TIERS, json_option, name_of, tier_for
from .output import log_level, log_printer, print_json, progress_bar

OUTCOMES = {"accepted": "accepted", "refused": "refused", "incomplete": "undecided"}
FORMAT = ("format", "douane.plugins.format:Format")
EXPLAIN = "douane.plugins.explain:Explain"


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--config", "-c", metavar="FILE", help="A plan, for the settings of its `format` plugin.")
@click.option("--set", "settings", metavar="format.KEY=VALUE", multiple=True, help="A setting of `format`.")
@click.option("--disk-format", metavar="F", help="Declare the disk format: raw, qcow2, vmdk, ...")
@click.option("--container-format", metavar="F", help="Declare the container format: bare, ova, ...")
@click.option("--sandbox", type=click.Choice(TIERS), help="As for check.")
@click.option("--verbose", "-v", is_flag=True, help="Show every field and finding, and what is logged.")
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

    Nothing is stored. The exit code is that of `format`: 0 accepted, 1 refused, 3 undecided.
    """
    plan = _plan(config, settings)
    source = open_source(file)
    declared = DeclaredImage(name=name_of(file), disk_format=disk_format, container_format=container_format)
    tier = tier_for(plan, sandbox)
    with progress_bar(file, wanted=not as_json) as progress:
        report = inspect_image(
            plan,
            declared,
            source,
            options=RunOptions(tier=tier, emit=log_printer(verbose), progress=progress, log_level=log_level(verbose)),
        )
    if report.outcome != "accepted":  # it refuses nothing, so this is a failure
        end(ctx, report, source.name, as_json=as_json)
    told = _told(report, source.name)
    if as_json:
        print_json(told)
    else:
        print_explanation(told, everything=verbose)
    ctx.exit(EXIT_CODES[told["outcome"]])


def _plan(config: str | None, settings: tuple[str, ...]) -> Plan:
    """The plan of `explain` alone, set as the plan's `format`. Raises PlanError."""
    plan = load_plan(config, settings=settings)
    formats = [plugin for plugin in plan.plugins if plugin.use in FORMAT]
    if not formats:
        raise PlanError(f"{config} has no plugin with use = 'format'; leave --config out for the usual settings")
    # Whatever a failure means to the plan: here it has to be told, as nothing else is.
    explain: PluginSpec = msgspec.structs.replace(
        formats[0],
        use=EXPLAIN,
        name="format",
        mode="enforce",
        on_error="reject",
        on_timeout="reject",
        on_incomplete="reject",
    )
    return msgspec.structs.replace(plan, plugins=(explain,), digests=())


def _told(report: Report, name: str) -> dict[str, Any]:
    parts = {key.rpartition("_")[2]: str(value) for key, value in report.verdicts[0].properties.items()}
    told: dict[str, Any] = json.loads("".join(parts[number] for number in sorted(parts, key=int)))
    formats = told.pop("formats")
    told["outcome"] = OUTCOMES[told["outcome"]]
    return {"file": name, **told, "size": report.received.size, "formats": formats, "sandbox": report.sandbox}
