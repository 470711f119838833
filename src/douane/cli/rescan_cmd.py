"""`douane rescan`: judge stored images by the rules of today."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from douane.units import number_of, show_size

from .options import PlanOptions, home_option, json_option, plan_options, run_options, tier_for, verbose_option
from .output import print_json, print_table, say
from .service_catalog import service_catalog

if TYPE_CHECKING:
    from douane.rescan import Place, Summary

NICE = 10


@click.command()
@click.argument("image_ids", metavar="[ID...]", nargs=-1)
@plan_options
@click.option("--glance", metavar="URL", help="The images of a Glance; 'env' for that of OS_ENDPOINT or Keystone.")
@click.option("--state", metavar="FILE", help="Where verdicts are kept. Default: rescan.sqlite3 in the home.")
@click.option("--deactivate", is_flag=True, help="Deactivate the images that are refused.")
@click.option("--trust-services", is_flag=True, help="Take it that services behind granted connections are unchanged.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Images at a time.")
@verbose_option
@home_option
@json_option
@click.pass_context
def rescan(
    ctx: click.Context,
    image_ids: tuple[str, ...],
    choice: PlanOptions,
    glance: str | None,
    state: str | None,
    deactivate: bool,
    trust_services: bool,
    jobs: int,
    verbose: bool,
    home: str | None,
    as_json: bool,
) -> None:
    """Judge stored images by the plan as it is today.

    It lists those that would not be let in. All active images, or those named, of the home or of the service that
    --config describes. An image is read only if an inspector of it, or what that judges by, has changed, and
    transforms never run. A killed rescan goes on where it was. Nothing is changed without --deactivate, and nothing
    is ever deleted.

    Exit codes: 0 all would be let in, 1 an image is refused, 3 an image is undecided.
    """
    from pathlib import Path

    from douane.imports import default_home
    from douane.rescan import Rescan, RescanOptions, State

    plan = choice.plan()
    tier = tier_for(plan, choice.sandbox)
    os.nice(NICE)
    folder = Path(home or ctx.obj or default_home())
    with ExitStack() as stack:
        place = _place(ctx, stack, home, choice.config, glance, image_ids, [spec.name for spec in plan.plugins])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        verdicts = stack.enter_context(State(Path(state) if state else folder / "rescan.sqlite3"))
        options = RescanOptions(
            tier=tier,
            run=run_options(tier, verbose, None),
            jobs=jobs,
            deactivates=deactivate,
            trusts_services=trust_services,
            progress=_nothing if as_json else _say_progress,
        )
        summary = Rescan(place, plan, verdicts, options).run()
    if as_json:
        from msgspec import to_builtins

        print_json({**to_builtins(summary), "exit_code": summary.exit_code})
    else:
        _print(summary)
    ctx.exit(summary.exit_code)


def _place(
    ctx: click.Context,
    stack: ExitStack,
    home: str | None,
    config: str | None,
    glance: str | None,
    image_ids: tuple[str, ...],
    plugins: list[str],
) -> Place:
    from douane.imports.service_stores import open_stores
    from douane.rescan.catalog_place import CatalogPlace

    if glance is not None:
        from douane.rescan.glance_place import open_glance

        url = None if glance == "env" else glance
        return stack.enter_context(open_glance(url, tuple(dict.fromkeys(image_ids)), plugins, os.environ, say))
    catalog, settings = stack.enter_context(service_catalog(ctx, home, config))
    named = list(dict.fromkeys(catalog.find(image_id).id for image_id in image_ids))
    return CatalogPlace(catalog, open_stores(settings, catalog), named)


def _nothing(_summary: Summary) -> None:
    pass


def _say_progress(summary: Summary) -> None:
    say(f"rescan: {number_of(summary.images, 'image')}, {summary.refused} refused, {summary.undecided} undecided")


def _print(summary: Summary) -> None:
    if summary.rows:
        rows = (
            (
                row.image,
                row.name or "-",
                "deactivated" if row.deactivated else row.outcome,
                row.plugin or "-",
                row.code or "-",
                row.message or "-",
            )
            for row in summary.rows
        )
        colours = {"refused": "bold red", "deactivated": "red", "undecided": "yellow"}
        print_table(("id", "name", "outcome", "plugin", "code", "says"), rows, colours=colours)
    for row in summary.rows:
        if row.not_deactivated is not None:
            say(f"rescan: the image {row.image} is not deactivated: {row.not_deactivated}")
    say(
        f"rescan: {number_of(summary.images, 'image')}: {summary.accepted} accepted, {summary.refused} refused, "
        f"{summary.undecided} undecided; {summary.unchanged} unchanged, "
        f"{summary.from_documents} judged again without reading, "
        f"{summary.read} read ({show_size(summary.bytes_read)}); {summary.deactivated} deactivated"
        + (f", {summary.not_deactivated} not deactivated" if summary.not_deactivated else "")
    )
