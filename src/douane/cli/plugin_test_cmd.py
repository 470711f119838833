"""`douane plugin test`: a plugin through the conformance suite, in its cage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import msgspec

from douane.engine import Plan, PlanError, PluginSpec, load_plan

from .author_kit import require_kit
from .options import TIERS, json_option, tier_for
from .output import plain, print_json, say
from .plugin_choice import plugin_of_plan

if TYPE_CHECKING:
    from douane_kit.conformance import Finding, Report

FOUND, UNDECIDED = 1, 3
LARGEST_IMAGE = 64 << 20
STEPS = {
    "search": "looking for images that reach all of its code",
    "repeat": "the same images again, in other processes and at other times",
    "cuts": "the same images, cut otherwise",
    "growth": "time and memory as the image grows",
    "transform": "what it makes of images",
    "engine": "a few images through the engine",
    "program": "images through the engine",
}


@click.command("test")
@click.argument("spec", required=False)
@click.option(
    "--image", "images", metavar="FILE", multiple=True, help="An image of yours: used whole, cut short, changed."
)
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="A setting of the plugin's configuration.")
@click.option(
    "--grant", "grants", metavar="NAME=TARGET", multiple=True, help="A grant: file:PATH, unix:PATH, tcp:HOST:PORT."
)
@click.option("--config", "-c", metavar="FILE", help="Take the plugin from this plan, with all that it says of it.")
@click.option("--name", metavar="NAME", help="Which plugin of the plan.")
@click.option("--sandbox", type=click.Choice(TIERS), help="As for check.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Begin the search elsewhere.")
@json_option
@click.pass_context
def test(
    ctx: click.Context,
    spec: str | None,
    images: tuple[str, ...],
    settings: tuple[str, ...],
    grants: tuple[str, ...],
    config: str | None,
    name: str | None,
    sandbox: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Put the plugin SPEC through the conformance suite: what is wrong with it, shown by the smallest image.

    SPEC is module:Class, path/to/file.py:Class or 'exec:PROGRAM ARGS', or is left out with --config and --name.

    Exit codes: 0 nothing found, 1 something found, 2 wrong usage or configuration, 3 could not be run.
    """
    require_kit("douane plugin test")
    from douane_kit.conformance import examine

    plugin = _spec(spec, config, name, settings, grants)
    data = [_read(image) for image in images]
    tier = tier_for(Plan(plugins=(plugin,), minimum_sandbox="off"), sandbox)

    def step(name: str) -> None:
        if not as_json:
            say(f"{plugin.name}: {STEPS.get(name, name)} ...")

    report = examine(plugin, tier, images=data, seed=seed, step=step)
    if as_json:
        print_json(report.to_json())
    else:
        print_conformance(report)
    ctx.exit(FOUND if report.findings else UNDECIDED if report.cut_short else 0)


def _spec(
    spec: str | None, config: str | None, name: str | None, settings: tuple[str, ...], grants: tuple[str, ...]
) -> PluginSpec:
    """What is to be tested. Raises PlanError."""
    if config is not None:
        plugin = plugin_of_plan(config, name)
        if spec is not None:
            plugin = msgspec.structs.replace(plugin, use=spec, base=os.getcwd())
    elif spec is None:
        raise PlanError("name a plugin: path/to/file.py:Class, module:Class or 'exec:PROGRAM ARGS'")
    else:
        plan = load_plan(None, extra=(spec if name is None else f"{name}={spec}",))
        plugin = plan.plugins[-1]
    texts, granted = dict(plugin.texts), dict(plugin.grants)
    for option, given, where in (("--set", settings, texts), ("--grant", grants, granted)):
        for item in given:
            key, equals, value = item.partition("=")
            if not equals or not key:
                raise PlanError(f"{option} {item}: write it as NAME=VALUE")
            where[key] = value
    return msgspec.structs.replace(plugin, texts=texts, grants=granted)


def _read(path: str) -> bytes:
    """An image of the author's. Raises PlanError."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_IMAGE + 1)
    except OSError as error:
        raise PlanError(f"--image {path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_IMAGE:
        say(f"{path}: only its first {LARGEST_IMAGE >> 20} MiB are used")
    return data[:LARGEST_IMAGE]


def print_conformance(report: Report) -> None:
    """The report for a person."""
    click.echo(f"{report.plugin} ({plain(report.use)}), sandbox {report.tier}, seed {report.seed}")
    verdicts = ", ".join(f"{number} {kind}" for kind, number in sorted(report.verdicts.items()))
    if verdicts:
        click.echo(f"  what it did with the images that were tried: {verdicts}")
    for what, number in report.checks.items():
        click.echo(f"  {what}: {number}")
    for note in report.notes:
        click.echo(f"  note: {plain(note)}")
    for number, finding in enumerate(report.findings, 1):
        click.echo("")
        _print_finding(number, finding)
    click.echo("")
    count = len(report.findings)
    told = "nothing found" if not count else "1 finding" if count == 1 else f"{count} findings"
    click.echo(f"{told}, after {report.seconds:.0f} s")


def _print_finding(number: int, finding: Finding) -> None:
    click.echo(f"{number}. {finding.code}: {plain(finding.what)}")
    image = dict(finding.image)
    if image:
        held = image.get("hex") or plain(str(image.get("recipe", "")))
        click.echo(f"   image: {image.get('size', 0)} bytes{': ' if held else ''}{held}")
        for key in ("cuts", "declared"):
            if image.get(key):
                click.echo(f"   {key}: {plain(str(image[key]))}")
    for outcome in finding.outcomes:
        click.echo(f"   what came of it: {plain(outcome)}")
    for line in finding.trace.splitlines()[-12:]:
        click.echo(f"   | {plain(line)}" if line == line.lstrip() else f"   |   {plain(line)}")
    click.echo(f"   mend it: {finding.mend}")
