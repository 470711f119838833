"""Options that several commands share, and the structs that collect their values."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from douane.errors import PlanError

from .output import log_level, log_printer, say

if TYPE_CHECKING:
    from douane.declared import DeclaredImage
    from douane.engine import Plan, PluginSpec, RunOptions
    from douane.host.options import Progress
    from douane.sandbox import Tier

F = TypeVar("F", bound=Callable[..., Any])

TIERS = ("full", "strict", "off")


class PlanOptions(NamedTuple):
    """The options that name a plan and a sandbox."""

    config: str | None
    plugins: tuple[str, ...]
    settings: tuple[str, ...]
    sandbox: str | None

    def plan(self) -> Plan:
        """The plan with these plugins and settings. Raises PlanError."""
        from douane.engine import load_plan

        return load_plan(self.config, extra=self.plugins, settings=self.settings)

    def plan_of_run(self) -> Plan:
        """The plan without the plugins that are bound to stores of a service, which a message names. Raises
        PlanError."""
        from douane.plan.binding import ANYBODY

        plan = self.plan()
        if bound := [plugin.name for plugin in plan.plugins if plugin.stores]:
            click.echo(f"left out, since 'stores' binds them to stores of the service: {', '.join(bound)}", err=True)
        return plan.for_sender(ANYBODY)


class ImageOptions(NamedTuple):
    """The options that declare facts about an image."""

    disk_format: str | None
    container_format: str | None
    size: int | None
    properties: tuple[str, ...]
    owner: str | None
    roles: tuple[str, ...]

    def declared(self, file: str, name: str | None = None) -> DeclaredImage:
        """The facts that these options declare of the image in `file`. Raises PlanError."""
        from douane.declared import DeclaredImage

        return DeclaredImage(
            name=name or name_of(file),
            disk_format=self.disk_format,
            container_format=self.container_format,
            properties=parse_properties(self.properties),
            owner=self.owner,
            roles=self.roles,
        )


class ViewOptions(NamedTuple):
    """The options of a command that shows what is in an image."""

    home: str | None
    sandbox: str | None
    verbose: bool


Collected = PlanOptions | ImageOptions | ViewOptions


def _collected(parameter: str, kind: type[Collected], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds `options` to a command, which gets their values as one `kind` named `parameter`."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def call(*args: Any, **values: Any) -> Any:
            fields = {name: values.pop(name) for name in kind._fields}
            return command(*args, **{parameter: kind(**fields)}, **values)

        for option in reversed(options):
            call = option(call)
        return call  # type: ignore[return-value]  # the signature that click calls is another

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")

verbose_option = click.option("--verbose", "-v", is_flag=True, help="Show everything that plugins log and print.")

sandbox_option = click.option("--sandbox", type=click.Choice(TIERS), help="Run in this tier, as in `check`.")

home_option = click.option(
    "--home",
    type=click.Path(),
    help="Directory of the catalog and the store. Default: $DOUANE_HOME, else the XDG data directory.",
)

view_options = _collected("view", ViewOptions, home_option, sandbox_option, verbose_option)

plan_options = _collected(
    "choice",
    PlanOptions,
    click.option("--config", "-c", metavar="FILE", help="The plan, a TOML file. Default: the format inspector alone."),
    click.option(
        "--plugin",
        "-p",
        "plugins",
        metavar="SPEC",
        multiple=True,
        help="Add a plugin: the name of a built-in or installed one, module:Class, path/to/file.py:Class, "
        "'exec:PROGRAM ARGS' or 'wire:PROGRAM ARGS'. NAME=SPEC names it. Repeatable.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="NAME.KEY=VALUE",
        multiple=True,
        help="Set a key of a plugin's configuration. Repeatable.",
    ),
    click.option(
        "--sandbox",
        type=click.Choice(TIERS),
        help="Run in this tier, even below the plan's minimum. Default: the best that this host supports.",
    ),
)

image_options = _collected(
    "image",
    ImageOptions,
    click.option("--disk-format", metavar="F", help="Declare the disk format: raw, qcow2, vmdk, ..."),
    click.option("--container-format", metavar="F", help="Declare the container format: bare, ova, ..."),
    click.option(
        "--size", type=click.IntRange(min=0), metavar="BYTES", help="Declare the size; another length is an error."
    ),
    click.option(
        "--property",
        "properties",
        metavar="K=V",
        multiple=True,
        help="Declare a property. Plugins can read it. Repeatable.",
    ),
    click.option("--owner", metavar="PROJECT", help="Declare the owner of the image. Plugins can read it."),
    click.option(
        "--role",
        "roles",
        metavar="ROLE",
        multiple=True,
        help="Declare a role of the sender. Plugins can read it. Repeatable.",
    ),
)


def tier_for(plan: Plan, sandbox: str | None) -> Tier:
    """The sandbox tier of this run; warn if it is off. Raises SandboxError."""
    from douane.engine import choose_tier

    tier = choose_tier(plan, sandbox)
    if tier == "off":
        say("WARNING: the sandbox is off: plugins have all rights of this user; use this only to develop a plugin")
    return tier


def run_tier(plan: Plan, sandbox: str | None) -> Tier | None:
    """The tier of a run that only checks; None for the best that this host supports, which is not tried beforehand.

    Warns if the sandbox is off. Raises SandboxError.
    """
    from douane import sandbox as tiers

    minimum = tiers.Tier(plan.minimum_sandbox)
    if sandbox is None and tiers.expect(minimum) is not tiers.Tier.OFF:
        return None
    return tier_for(plan, sandbox)


def run_options(tier: Tier | None, verbose: bool, progress: Progress | None) -> RunOptions:
    """How to inspect an image: in this tier, with plugins' output on standard error."""
    from douane.engine import RunOptions

    return RunOptions(tier=tier, emit=log_printer(verbose), progress=progress, log_level=log_level(verbose))


def name_of(file: str) -> str | None:
    """The default name of an image: that of its file, as UTF-8. None for standard input."""
    return None if file == "-" else os.fsencode(file.rpartition("/")[2]).decode("utf-8", "replace")


def parse_properties(pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse the ``K=V`` values of --property. Raises PlanError."""
    properties: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise PlanError(f"--property {pair}: write it as NAME=VALUE")
        if key in properties:
            raise PlanError(f"--property {key} is given twice")
        properties[key] = value
    return properties


def plugin_of_plan(config: str, name: str | None) -> PluginSpec:
    """The plugin `name` of the plan in the file `config`; without a name its only plugin. Raises PlanError."""
    from douane.engine import load_plan

    plugins = load_plan(config).plugins
    if name is None and len(plugins) == 1:
        return plugins[0]
    for plugin in plugins:
        if plugin.name == name:
            return plugin
    names = ", ".join(plugin.name for plugin in plugins)
    problem = "--name is missing" if name is None else f"it has no plugin {name!r}"
    raise PlanError(f"{config}: {problem}; --name takes one of: {names}")
