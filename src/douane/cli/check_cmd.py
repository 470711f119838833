"""`douane check`: run an image through the plan; store nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import (
    ImageOptions,
    PlanOptions,
    image_options,
    json_option,
    plan_options,
    run_options,
    run_tier,
    verbose_option,
)
from .output import print_json, progress_bar

if TYPE_CHECKING:
    from douane.engine import Report


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@plan_options
@image_options
@verbose_option
@json_option
@click.pass_context
def check(
    ctx: click.Context, file: str, choice: PlanOptions, image: ImageOptions, verbose: bool, as_json: bool
) -> None:
    """Check FILE against the plan.

    FILE may be - for standard input. Nothing is stored.
    """
    from douane.engine import inspect_image, open_source

    plan = choice.plan_of_run()
    declared = image.declared(file)
    source = open_source(file, size=image.size)
    tier = run_tier(plan, choice.sandbox)
    with progress_bar(file, visible=not as_json) as progress:
        report = inspect_image(plan, declared, source, options=run_options(tier, verbose, progress))
    end(ctx, report, source.name, as_json=as_json)


def end(ctx: click.Context, report: Report, name: str, *, as_json: bool) -> None:
    """Print `report` on the image `name` and exit with its exit code."""
    if as_json:
        print_json(report.to_json())
    else:
        from .check_report import print_report

        print_report(report, name)
    ctx.exit(report.exit_code)
