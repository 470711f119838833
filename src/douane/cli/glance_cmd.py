"""`douane glance`: is this Glance configured so that every image is checked, and which properties are Douane's?"""

from __future__ import annotations

from collections.abc import Callable

import click

from douane.errors import PlanError
from douane.units import number_of

from .options import json_option
from .output import print_json, print_table


@click.group("glance")
def glance() -> None:
    """Run Douane inside OpenStack Glance."""


def site_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that find the configuration of Glance."""
    for option in reversed(
        (
            click.option(
                "--config-file",
                "files",
                metavar="FILE",
                multiple=True,
                help="As in Glance. Default: as Glance finds it, by OS_GLANCE_CONFIG_DIR or in /etc/glance.",
            ),
            click.option("--config-dir", "dirs", metavar="DIR", multiple=True, help="As in Glance."),
            click.option("--paste", metavar="FILE", help="The paste file. Default: as Glance finds it."),
        )
    ):
        command = option(command)
    return command


@glance.command("doctor")
@site_options
@json_option
@click.pass_context
def doctor(ctx: click.Context, files: tuple[str, ...], dirs: tuple[str, ...], paste: str | None, as_json: bool) -> None:
    """Check the configuration of Glance; print what to change.

    Run it as the user that runs Glance.
    """
    from collections import Counter

    _silence_libraries()
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


@glance.command("verify")
@click.argument("images", nargs=-1)
@click.option("--key", "keys", metavar="FILE", multiple=True, help="Also accept proofs with this key.")
@site_options
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    images: tuple[str, ...],
    keys: tuple[str, ...],
    files: tuple[str, ...],
    dirs: tuple[str, ...],
    paste: str | None,
    as_json: bool,
) -> None:
    """Check the proofs of IMAGES (ids), or of all active images.

    Did Douane accept them, and write their properties?

    Run it as the user that runs Glance. The exit code is 1 if an image is not proven.
    """
    _silence_libraries()
    from douane.glance.backends import plugin_names
    from douane.glance.doctor import read_site
    from douane.glance.proof.key import read_key
    from douane.glance.proof.proof import Result
    from douane.glance.proof.verification import verify_images

    _site, settings = read_site(files, dirs, paste)
    secrets = [read_key(path) for path in (*([settings.key] if settings.key is not None else []), *keys)]
    if not secrets:
        raise PlanError("there is no key: set `key` for the filter, or name a file with --key")
    plugins = plugin_names(settings) if settings.properties else frozenset[str]()
    results = list(verify_images(list(dict.fromkeys(images)), secrets, plugins))
    unproven = sum(verification.result is not Result.PROVEN for _image, verification in results)
    if as_json:
        rows = [{"image": image, "result": v.result.value, "detail": v.detail} for image, v in results]
        print_json({"unproven": unproven, "images": rows})
    else:
        print_table(
            ("image", "result", "detail"),
            ((image, v.result.value, v.detail) for image, v in results),
            colours={Result.PROVEN.value: "green", Result.UNPROVEN.value: "yellow", Result.FALSE.value: "bold red"},
        )
        click.echo(f"proven: {len(results) - unproven} of {number_of(len(results), 'image')}")
    ctx.exit(1 if unproven else 0)


@glance.command("protection")
@click.argument("file", required=False)
@site_options
def protection(file: str | None, files: tuple[str, ...], dirs: tuple[str, ...], paste: str | None) -> None:
    """Write the property protection file FILE, or print it.

    By it, only Douane may set its properties.

    The file also contains the rules that Glance is configured with, and may replace the file that holds them. Name it
    in glance-api.conf, as property_protection_file, and restart Glance.
    """
    _silence_libraries()
    from douane.glance.backends import plugin_names
    from douane.glance.doctor import read_site
    from douane.glance.proof.protection import existing_rules, protection_rules, write_rules

    site, settings = read_site(files, dirs, paste)
    plugins = plugin_names(settings) if settings.properties else frozenset[str]()
    by_policies = site.conf.property_protection_rule_format == "policies"
    rules = protection_rules(plugins, existing_rules(site.conf), by_policies=by_policies)
    if file is None:
        click.echo(rules, nl=False)
    else:
        write_rules(file, rules)


def _silence_libraries() -> None:
    import logging
    import warnings

    warnings.simplefilter("ignore")  # Glance's libraries warn; what these commands print is what counts
    logging.disable()
