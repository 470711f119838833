"""`douane import`: run an image through the plan and store it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from douane.errors import NotPrinted

from .options import (
    ImageOptions,
    PlanOptions,
    home_option,
    image_options,
    json_option,
    plan_options,
    run_options,
    tier_for,
    verbose_option,
)
from .output import print_json, progress_bar, say
from .signals import ignore_signals
from .store_context import open_home

if TYPE_CHECKING:
    from douane.imports import Imported


@click.command("import")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--name", metavar="N", help="The image's name. Default: the name of the file.")
@plan_options
@image_options
@verbose_option
@home_option
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: str,
    name: str | None,
    choice: PlanOptions,
    image: ImageOptions,
    verbose: bool,
    home: str | None,
    as_json: bool,
) -> None:
    """Check FILE and store it if accepted; print its id.

    FILE may be - for standard input. The stored image is active.
    """
    from douane.evidence import check_evidence
    from douane.interrupts import INTERRUPTS

    plan = choice.plan_of_run()
    check_evidence(plan)
    declared = image.declared(file, name)
    tier = tier_for(plan, choice.sandbox)
    with open_home(ctx, home) as store_home:
        from douane.imports import import_image, open_import

        source = open_import("file", file, size=image.size)
        imported = None
        try:
            with INTERRUPTS.deferred(), progress_bar(file, visible=not as_json) as progress:
                options = run_options(tier, verbose, progress)
                imported = import_image(store_home, plan, declared, source, options)
            _print(imported, source.name, as_json=as_json)
            ignore_signals()
        except (OSError, KeyboardInterrupt, SystemExit) as error:
            if imported is None or imported.image is None:
                raise
            raise NotPrinted(f"the image {imported.image.id} is active, but its id could not be printed") from error
    ctx.exit(imported.report.exit_code)


def _print(imported: Imported, name: str, *, as_json: bool) -> None:
    if as_json:
        from msgspec import to_builtins

        image = to_builtins(imported.image) if imported.image is not None else None
        print_json({**imported.report.to_json(), "image": image})
    elif imported.image is not None:
        for verdict in imported.report.verdicts:
            for warning in verdict.warnings:
                say(f"{verdict.plugin}: warning {warning.code}: {warning.message}")
            if verdict.outcome != "accepted" and verdict.mode != "audit":
                say(f"{verdict.plugin}: {verdict.outcome}, not enforced: {verdict.code}: {verdict.message}")
        click.echo(imported.image.id)
    else:
        from .check_report import print_report

        print_report(imported.report, name)
