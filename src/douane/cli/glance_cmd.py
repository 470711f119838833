"""`douane glance doctor`: is this Glance configured so that every image is checked?"""

from __future__ import annotations

import click

from douane.errors import PlanError

from .options import json_option
from .output import print_json, print_table


@click.group("glance")
def glance() -> None:
    """Run Douane inside OpenStack Glance."""


@glance.command("doctor")
@click.option(
    "--config-file",
    "files",
    metavar="FILE",
    multiple=True,
    help="As in Glance. Default: as Glance finds it, by OS_GLANCE_CONFIG_DIR or in /etc/glance.",
)
@click.option("--config-dir", "dirs", metavar="DIR", multiple=True, help="As in Glance.")
@click.option("--paste", metavar="FILE", help="The paste file. Default: as Glance finds it.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, files: tuple[str, ...], dirs: tuple[str, ...], paste: str | None, as_json: bool) -> None:
    """Check the configuration of Glance; print what to change.

    Run it as the user that runs Glance.
    """
    import logging
    import warnings
    from collections import Counter

    warnings.simplefilter("ignore")  # Glance's libraries warn; the report below is what counts
    logging.disable()
    from douane.glance.doctor import State, examine

    points = list(examine(files, dirs, paste))
    counts = Counter(point.state for point in points)
    if as_json:
        print_json(
            {
                "wrong": counts[State.WRONG],
                "advice": counts[State.ADVICE],
                "points": [
                    {
                        "area": point.area,
                        "name": point.name,
                        "state": point.state.value,
                        "found": point.fact,
                        "remedy": point.remedy or None,
                    }
                    for point in points
                ],
            }
        )
    else:
        print_table(
            ("area", "point", "state", "detail", "what to do"),
            (
                (point.area, point.name, point.state.value, point.fact, point.remedy.replace("\n", "; "))
                for point in points
            ),
            colours={State.OK.value: "green", State.ADVICE.value: "yellow", State.WRONG.value: "bold red"},
        )
        click.echo(f"{counts[State.WRONG]} wrong, {counts[State.ADVICE]} to consider, {counts[State.OK]} ok")
    ctx.exit(PlanError.exit_code if counts[State.WRONG] else 0)
