"""`douane plugin describe`: what a plugin is, loaded in its cage."""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec

from douane.engine import Plan, PlanError, PluginSpec, load_plan
from douane.engine.describing import Described, describe, only_class

from .json_schema import schema
from .options import TIERS, json_option, tier_for
from .output import log_printer, plain, print_json, print_table


@click.command("describe")
@click.argument("spec")
@click.option("--python", metavar="PATH", help="The plugin's interpreter.")
@click.option("--sandbox", type=click.Choice(TIERS), help="As for check.")
@click.option("--schema", "only_schema", is_flag=True, help="Print its configuration as JSON Schema, and no more.")
@json_option
def describe_(spec: str, python: str | None, sandbox: str | None, only_schema: bool, as_json: bool) -> None:
    """Show what the plugin SPEC does, reads, takes as configuration, and asks for.

    SPEC is module:Class, path/to/file.py:Class, a file with one plugin in it, the name of an installed plugin, or
    'exec:PROGRAM ARGS'. It is loaded in the sandbox, and not configured.
    """
    plugin = _plugin(spec, python)
    tier = tier_for(Plan(plugins=(plugin,), minimum_sandbox="off"), sandbox)
    found = describe(plugin, tier=tier, emit=log_printer(False))
    if only_schema:
        if found.kind == "program":
            raise PlanError(f"{spec} is a program: it takes arguments, and no configuration that a schema could tell")
        print_json(_schema(found))
    elif as_json:
        print_json(_told(found))
    else:
        _print(found)


def _plugin(spec: str, python: str | None) -> PluginSpec:
    if spec.endswith(".py") and ":" not in spec:
        spec = f"{spec}:{only_class(spec, os.getcwd())}"
    plugin = load_plan(None, extra=(spec,)).plugins[-1]
    return plugin if python is None else msgspec.structs.replace(plugin, python=python, base=os.getcwd())


def _schema(found: Described) -> dict[str, Any]:
    return schema(found.cls or found.use, found.doc, found.parameters, takes_any=found.takes_any)


def _told(found: Described) -> dict[str, Any]:
    """The keys of --json; docs/plugin-command.md lists them."""
    return {
        "use": found.use,
        "class": found.cls,
        "kind": found.kind,
        "api": found.api,
        "reads": found.reads,
        "doc": found.doc,
        "parameters": found.parameters,
        "takes_any": found.takes_any,
        "schema": None if found.kind == "program" else _schema(found),
        "grants": list(found.shown.grants),
        "proposes": list(found.shown.proposes),
        "scratch": found.shown.uses_scratch,
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
    click.echo(f"{plain(found.cls or '')}: {'a transform' if found.kind == 'transform' else 'an inspector'}")
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
    for what, names in (("grants", found.shown.grants), ("proposes", found.shown.proposes)):
        if names:
            click.echo(f"  {what:<12} {plain(', '.join(names))}")
    if found.shown.uses_scratch:
        click.echo("  scratch      writes files: give it room with 'scratch'")
    click.echo()
    if not found.parameters:
        click.echo("It takes no configuration." if not found.takes_any else "It takes any configuration.")
        return
    rows = [
        (
            plain(str(one["name"])),
            plain(str(one.get("type") or "anything")),
            "required" if one.get("required") else plain(str(one.get("default_text", ""))),
        )
        for one in found.parameters
    ]
    print_table(("setting", "type", "default"), rows)
    if found.takes_any:
        click.echo("It takes any other setting, too.")


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
