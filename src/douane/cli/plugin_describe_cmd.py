"""`douane plugin describe`: what a plugin is, loaded in its cage."""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec

from douane.engine import Plan, PlanError, PluginSpec, load_plan
from douane.engine.describe import Described, describe
from douane.plan.source_scan import Shown, only_class

from .json_schema import schema
from .options import TIERS, json_option, tier_for
from .output import log_printer, plain, print_json, print_table
from .plugin_choice import plugin_of_plan
from .setting_words import setting_words


@click.command("describe")
@click.argument("spec", required=False)
@click.option("--config", "-c", metavar="FILE", help="Take the plugin from this plan, with all that it says of it.")
@click.option("--name", metavar="NAME", help="Which plugin of the plan.")
@click.option("--python", metavar="PATH", help="The plugin's interpreter.")
@click.option("--sandbox", type=click.Choice(TIERS), help="As for check.")
@click.option("--schema", "only_schema", is_flag=True, help="Print its configuration as JSON Schema, and no more.")
@json_option
def describe_(
    spec: str | None,
    config: str | None,
    name: str | None,
    python: str | None,
    sandbox: str | None,
    only_schema: bool,
    as_json: bool,
) -> None:
    """Show what the plugin SPEC does, reads, takes as configuration, and asks for.

    SPEC is module:Class, path/to/file.py:Class, a file with one plugin in it, the name of an installed plugin, or
    'exec:PROGRAM ARGS'; or is left out with --config and --name. It is loaded in the sandbox, and not configured.
    """
    plugin = _plugin(spec, config, name, python)
    tier = tier_for(Plan(plugins=(plugin,), minimum_sandbox="off"), sandbox)
    found = describe(plugin, tier=tier, emit=log_printer(False))
    if only_schema:
        if found.kind == "program":
            raise PlanError(
                f"{plugin.use} is a program: it takes arguments, and no configuration that a schema could tell"
            )
        print_json(_schema(found))
    elif as_json:
        print_json(_told(found))
    else:
        _print(found)


def _plugin(spec: str | None, config: str | None, name: str | None, python: str | None) -> PluginSpec:
    """What is to be described. Raises PlanError."""
    if config is not None:
        if spec is not None:
            raise PlanError(
                f"{spec}, or a plugin of {config}: one of them; --name says which plugin of a plan is meant"
            )
        plugin = plugin_of_plan(config, name)
    elif spec is None or name is not None:
        raise PlanError("name a plugin: path/to/file.py:Class, module:Class; or a plan with --config, and --name")
    else:
        if spec.endswith(".py") and ":" not in spec:
            spec = f"{spec}:{only_class(spec, os.getcwd())}"
        plugin = load_plan(None, extra=(spec,)).plugins[-1]
    if python is None:
        return plugin
    use = plugin.use
    path, colon, cls = use.rpartition(":")
    if path.endswith(".py"):  # relative to the plan; --python is relative to here
        use = os.path.join(plugin.base, path) + colon + cls
    return msgspec.structs.replace(plugin, python=python, use=use, base=os.getcwd())


def _schema(found: Described) -> dict[str, Any]:
    return schema(found.cls or found.use, found.doc, _parameters(found), takes_any=found.takes_any)


def _parameters(found: Described) -> list[dict[str, Any]]:
    """With what the documentation says of each, as ``doc``."""
    constructor = found.shown.constructor_doc if found.shown else ""
    names = [str(one["name"]) for one in found.parameters]
    words = setting_words(constructor, names) | setting_words(found.doc, names)
    return [{**one, "doc": words.get(str(one["name"]), "")} for one in found.parameters]


def _told(found: Described) -> dict[str, Any]:
    """The keys of --json; docs/plugin-command.md lists them."""
    shown = found.shown
    return {
        "use": found.use,
        "class": found.cls,
        "kind": found.kind,
        "api": found.api,
        "reads": found.reads,
        "doc": found.doc,
        "parameters": _parameters(found),
        "takes_any": found.takes_any,
        "schema": None if found.kind == "program" else _schema(found),
        "grants": list(shown.grants) if shown else None,
        "programs": list(shown.programs) if shown else None,
        "proposes": list(shown.proposes) if shown else None,
        "scratch": shown.uses_scratch if shown else None,
        "unnamed": list(shown.unnamed) if shown else None,
        "version": found.version,
        "code_sha256": found.code_sha256,
        "sandbox": found.sandbox,
    }


def _print(found: Described) -> None:
    if found.kind == "program":
        click.echo(f"{plain(found.use)}: a program, which reads the image on its standard input")
        click.echo("Exit status 0 accepts; 1 refuses, with the first line of standard error; any other is a failure.")
        click.echo(f"  code         sha256 {found.code_sha256}")
        return
    click.echo(f"{plain(found.cls or found.use)}: {'a transform' if found.kind == 'transform' else 'an inspector'}")
    if found.doc:
        click.echo()
        for line in found.doc.splitlines():
            click.echo(f"  {plain(line)}".rstrip())
        click.echo()
    click.echo(f"  reads        {_reads(found.reads or '')}")
    click.echo(f"  contract     level {found.api}")
    click.echo(f"  version      {plain(found.version or 'not known')}")
    click.echo(f"  code         sha256 {found.code_sha256}")
    click.echo(f"  sandbox      {found.sandbox}")
    _print_shown(found.shown)
    click.echo()
    if not found.parameters:
        click.echo("It takes no configuration." if not found.takes_any else "It takes any configuration.")
        return
    rows = [
        (
            plain(str(one["name"])),
            plain(str(one.get("type") or "anything")),
            "required" if one.get("required") else plain(str(one.get("default_text", ""))),
            plain(str(one["doc"])),
        )
        for one in _parameters(found)
    ]
    print_table(("setting", "type", "default", "what it is"), rows)
    if found.takes_any:
        click.echo("It takes any other setting, too.")


def _print_shown(shown: Shown | None) -> None:
    """What it asks for. That its source shows no more does not prove that there is no more: that is said."""
    if shown is None:
        click.echo("  asks for     not known: there is no source here that has its class")
        return
    asked = []
    for what, names in (("grants", shown.grants), ("programs", shown.programs), ("proposes", shown.proposes)):
        more = ("others, by names that are not written out",) if what in shown.unnamed else ()
        if names or more:
            asked.append(f"    {what:<10} {plain(', '.join((*names, *more)))}")
    if shown.uses_scratch:
        asked.append("    scratch    room for files")
    if not asked:
        click.echo("  asks for     nothing, as far as its file shows")
        return
    click.echo("  asks for, as its file shows:")
    for line in asked:
        click.echo(line)


def _reads(reads: str) -> str:
    if reads.startswith("head:"):
        return f"the first {reads[5:]} bytes"
    told = {
        "stream": "the whole image, once, in order",
        "random": "the image as a file, when all of it is there",
        "nothing": "nothing of the image, only what is declared of it",
        "findings": "nothing of the image; what was declared, and what the plugins before it found",
    }
    return told.get(reads, reads)
