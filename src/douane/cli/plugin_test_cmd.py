"""`douane plugin test`: run the conformance suite on a plugin."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from douane.errors import PlanError

from .conformance_report import print_again, print_conformance
from .options import json_option, parse_properties, plugin_of_plan, sandbox_option, tier_for
from .output import print_json, say
from .plugin_cmd import require_kit

if TYPE_CHECKING:
    from douane.engine import PluginSpec
    from douane.sandbox import Tier
    from douane_kit.conformance import Report

FINDINGS, UNDECIDED = 1, 3
"""Exit codes."""

LARGEST_IMAGE = 64 << 20
STEPS = {
    "search": "search for images that reach all of its code",
    "repeat": "the same images again, in other processes and at other times",
    "cuts": "the same images, in chunks of other sizes",
    "growth": "time and memory for larger images",
    "transform": "the images that it makes",
    "engine": "a few images through the engine",
    "program": "images through the engine",
}


@click.command("test")
@click.argument("spec", required=False)
@click.option(
    "--image",
    "images",
    metavar="FILE",
    multiple=True,
    help="Try this image too: whole, cut short, and changed. Repeatable.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set a key of the plugin's configuration. Repeatable.",
)
@click.option(
    "--grant",
    "grants",
    metavar="NAME=TARGET",
    multiple=True,
    help="Grant file:PATH, dir:PATH, unix:PATH or tcp:HOST:PORT. Repeatable.",
)
@click.option(
    "--property",
    "properties",
    metavar="K=V",
    multiple=True,
    help="Declare a property of the images; it is varied too. Repeatable.",
)
@click.option(
    "--findings",
    metavar="FILE",
    help="The findings of earlier plugins, which are varied too: a JSON object, or a report of `douane check --json`.",
)
@click.option("--config", "-c", metavar="FILE", help="Test a plugin of this plan, as it is configured there.")
@click.option("--name", metavar="NAME", help="The plugin's name in the plan.")
@sandbox_option
@click.option("--save", "folder", metavar="DIR", help="Save the images of the findings in DIR, to run them again.")
@click.option("--again", metavar="FILE", help="Run only the input of a finding that --save has written.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Start the search elsewhere.")
@json_option
@click.pass_context
def test(
    ctx: click.Context,
    spec: str | None,
    images: tuple[str, ...],
    settings: tuple[str, ...],
    grants: tuple[str, ...],
    properties: tuple[str, ...],
    findings: str | None,
    config: str | None,
    name: str | None,
    sandbox: str | None,
    folder: str | None,
    again: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Run the conformance suite on a plugin.

    Reports each problem with the smallest image that shows it; --save keeps that image. SPEC is module:Class,
    path/to/file.py:Class or 'exec:PROGRAM ARGS'. Omit SPEC with --config and --name.

    Exit codes: 0 no findings, 1 findings, 2 wrong usage or configuration, 3 the suite could not run.
    """
    require_kit("douane plugin test")
    from douane.engine import Plan
    from douane_kit.conformance import declare, examine

    from .findings_file import read_findings

    plugin = _spec(spec, config, name, settings, grants)
    declared = declare(parse_properties(properties), read_findings(findings) if findings is not None else {})
    data = [_read(image) for image in images]
    tier = tier_for(Plan(plugins=(plugin,), minimum_sandbox="off"), sandbox)
    if again is not None:
        ctx.exit(FINDINGS if _still_fails(plugin, tier, again, as_json=as_json) else 0)

    def step(name: str) -> None:
        if not as_json:
            say(f"{plugin.name}: {STEPS.get(name, name)} ...")

    report = examine(plugin, tier, images=data, declared=declared, seed=seed, step=step)
    paths = _save_all(report, folder) if folder is not None else []
    command = ["douane", "plugin", "test", *_words(spec, settings, grants, config, name, sandbox)]
    commands = {number: shlex.join([*command, "--again", path]) for number, path in enumerate(paths, 1)}
    if as_json:
        listed = report.to_json()
        for number, text in commands.items():
            listed["findings"][number - 1]["again"] = text
        print_json(listed)
    else:
        print_conformance(report, commands)
    ctx.exit(FINDINGS if report.findings else UNDECIDED if report.cut_short else 0)


def _still_fails(plugin: PluginSpec, tier: Tier, path: str, *, as_json: bool) -> bool:
    """Run the input of the finding saved in `path`; print and return whether it is still there. Raises PlanError."""
    from douane_kit.conformance import load, run_again

    finding, cases = load(path)
    result = run_again(plugin, tier, finding, cases)
    if as_json:
        print_json({"code": finding.code, **result.to_json()})
    else:
        print_again(finding.code, result)
    return result.is_fault


def _spec(
    spec: str | None, config: str | None, name: str | None, settings: tuple[str, ...], grants: tuple[str, ...]
) -> PluginSpec:
    """The plugin to test. Raises PlanError."""
    import msgspec

    from douane.engine import load_plan

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
    for option, pairs, mapping in (("--set", settings, texts), ("--grant", grants, granted)):
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or not key:
                raise PlanError(f"{option} {pair}: write it as NAME=VALUE")
            mapping[key] = value
    return msgspec.structs.replace(plugin, texts=texts, grants=granted)


def _save_all(report: Report, folder: str) -> list[str]:
    """Save the findings; return the paths of their JSON files. Raises PlanError."""
    from douane_kit.conformance import save

    try:
        return [save(finding, folder, number) for number, finding in enumerate(report.findings, 1)]
    except OSError as error:
        raise PlanError(f"--save {folder}: {error.filename} cannot be written: {error.strerror}") from error


def _words(
    spec: str | None,
    settings: tuple[str, ...],
    grants: tuple[str, ...],
    config: str | None,
    name: str | None,
    sandbox: str | None,
) -> list[str]:
    """The words of the command line that choose the plugin and its configuration."""
    words = [] if spec is None else [spec]
    for option, values in (("--set", settings), ("--grant", grants)):
        words += [word for value in values for word in (option, value)]
    for option, value in (("--config", config), ("--name", name), ("--sandbox", sandbox)):
        words += [option, value] if value is not None else []
    return words


def _read(path: str) -> bytes:
    """The bytes of an image that the author named. Raises PlanError."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_IMAGE + 1)
    except OSError as error:
        raise PlanError(f"--image {path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_IMAGE:
        say(f"{path}: only its first {LARGEST_IMAGE >> 20} MiB are used")
    return data[:LARGEST_IMAGE]
