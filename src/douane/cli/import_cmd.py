"""`douane import`: check, store, active."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from douane.declared import DeclaredImage
from douane.engine import open_source
from douane.errors import NotPrinted
from douane.interrupts import INTERRUPTS

from .check_report import print_report
from .options import (
    home_option,
    image_options,
    json_option,
    make_plan,
    name_of,
    parse_properties,
    plan_options,
    tier_for,
)
from .output import log_level, log_printer, print_json, progress_bar, say
from .signals import all_is_done
from .store_context import open_home

if TYPE_CHECKING:
    from douane.imports import Imported


@click.command("import")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--name", metavar="N", help="The image's name. Default: the file's.")
@plan_options
@image_options
@home_option
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: str,
    name: str | None,
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
    home: Path | None,
    as_json: bool,
) -> None:
    """Let FILE (- for standard input) through the plan and into the store; print the image's id."""
    plan = make_plan(config, plugins, settings)
    declared = DeclaredImage(
        name=name or name_of(file),
        disk_format=disk_format,
        container_format=container_format,
        properties=parse_properties(properties),
        owner=owner,
        roles=roles,
    )
    tier = tier_for(plan, sandbox)
    with open_home(ctx, home) as place:
        source = open_source(file, size=size)
        from douane.imports import import_image

        done = None
        try:
            with INTERRUPTS.held(), progress_bar(file, wanted=not as_json) as progress:
                done = import_image(
                    place,
                    plan,
                    source,
                    declared,
                    tier=tier,
                    emit=log_printer(verbose),
                    progress=progress,
                    log_level=log_level(verbose),
                )
            _print(done, source.name, as_json=as_json)
            all_is_done()
        except (OSError, KeyboardInterrupt, SystemExit) as error:
            if done is None or done.image is None:
                raise
            raise NotPrinted(f"the image {done.image.id} is active, but that could not be printed") from error
    ctx.exit(done.report.exit_code)


def _print(done: Imported, what: str, *, as_json: bool) -> None:
    if as_json:
        image = msgspec.to_builtins(done.image) if done.image is not None else None
        print_json({**done.report.to_json(), "image": image})
    elif done.image is not None:
        for verdict in done.report.verdicts:
            for warning in verdict.warnings:
                say(f"{verdict.plugin}: warning {warning.code}: {warning.message}")
        click.echo(done.image.id)
    else:
        print_report(done.report, what)
