"""Options that several commands share, and what they amount to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from douane.engine import Plan, PlanError, choose_tier, load_plan
from douane.sandbox import Tier

from .output import say

F = TypeVar("F", bound=Callable[..., Any])

TIERS = ("full", "strict", "off")


def _all(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, for programs.")

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Directory of the catalog and the store. Default: $DOUANE_HOME, else the XDG data directory.",
)

plan_options = _all(
    click.option("--config", "-c", metavar="FILE", help="The plan, a TOML file. Default: the format inspector alone."),
    click.option(
        "--plugin",
        "-p",
        "plugins",
        metavar="SPEC",
        multiple=True,
        help="One more plugin: module:Class, path/to/file.py:Class, 'exec:PROGRAM ARGS' or 'wire:PROGRAM ARGS'; "
        "NAME=SPEC names it.",
    ),
    click.option(
        "--set", "settings", metavar="NAME.KEY=VALUE", multiple=True, help="A setting of a plugin's configuration."
    ),
    click.option(
        "--sandbox",
        type=click.Choice(TIERS),
        help="Run in this tier, whatever the plan's floor. Default: the best this machine gives.",
    ),
)

image_options = _all(
    click.option("--disk-format", metavar="F", help="Declare the disk format: raw, qcow2, vmdk, ..."),
    click.option("--container-format", metavar="F", help="Declare the container format: bare, ova, ..."),
    click.option("--size", type=click.IntRange(min=0), metavar="BYTES", help="Declare the size, for a pipe."),
    click.option(
        "--property", "properties", metavar="K=V", multiple=True, help="Declare a property; plugins can see it."
    ),
    click.option("--owner", metavar="PROJECT", help="Declare whose image it is; plugins can see it."),
    click.option("--role", "roles", metavar="ROLE", multiple=True, help="Declare a role of the sender's."),
    click.option("--verbose", "-v", is_flag=True, help="Show all that the plugins log and print."),
)


def make_plan(config: str | None, plugins: tuple[str, ...], settings: tuple[str, ...]) -> Plan:
    """The plan that the options amount to. Raises PlanError."""
    return load_plan(config, extra=plugins, settings=settings)


def tier_for(plan: Plan, asked: str | None) -> Tier:
    """The sandbox of this run. Without one, that is said before anything runs. Raises SandboxError."""
    tier = choose_tier(plan, asked)
    if tier is Tier.OFF:
        say("WARNING: --sandbox off, or minimum = 'off': plugins run without a cage; do this only to develop one")
    return tier


def name_of(file: str) -> str | None:
    """The image's name if none is given: the file's, as UTF-8. None for standard input."""
    return None if file == "-" else os.fsencode(file.rpartition("/")[2]).decode("utf-8", "replace")


def parse_properties(given: tuple[str, ...]) -> dict[str, str]:
    """``K=V`` pairs as a mapping. Raises PlanError."""
    found: dict[str, str] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise PlanError(f"--property {item}: write it as NAME=VALUE")
        if key in found:
            raise PlanError(f"--property {key} is given twice")
        found[key] = value
    return found
