"""`douane check`: the whole plan, nothing stored."""

from __future__ import annotations

import click

from douane.declared import DeclaredImage
from douane.engine import Report, RunOptions, inspect_image, open_source

from .check_report import print_report
from .options import image_options, json_option, make_plan, name_of, parse_properties, plan_options, tier_for
from .output import log_level, log_printer, print_json, progress_bar


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@plan_options
@image_options
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    file: str,
    config: str | None,
    plugins: tuple[str, ...],
    settings: tuple[str, ...],
    sandbox: str | None,
    disk_format: str | None,
    container_format: str | None,
    size: int | None,
    properties: tuple[str, ...],
    owner: str | None,
    roles: tuple[str, ...],
    verbose: bool,
    as_json: bool,
) -> None:
    """Let FILE (- for standard input) through the plan; store nothing."""
    plan = make_plan(config, plugins, settings)
    declared = DeclaredImage(
        name=name_of(file),
        disk_format=disk_format,
        container_format=container_format,
        properties=parse_properties(properties),
        owner=owner,
        roles=roles,
    )
    source = open_source(file, size=size)
    tier = tier_for(plan, sandbox)
    with progress_bar(file, wanted=not as_json) as progress:
        report = inspect_image(
            plan,
            declared,
            source,
            options=RunOptions(tier=tier, emit=log_printer(verbose), progress=progress, log_level=log_level(verbose)),
        )
    end(ctx, report, source.name, as_json=as_json)


def end(ctx: click.Context, report: Report, what: str, *, as_json: bool) -> None:
    """Show `report` and end with its exit code."""
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report, what)
    ctx.exit(report.exit_code)
