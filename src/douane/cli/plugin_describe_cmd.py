"""`douane plugin describe`: what a plugin reads, takes and asks for, as found by loading it in its sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from douane.errors import PlanError

from .options import json_option, plugin_of_plan, sandbox_option, tier_for
from .output import log_printer, plain, print_json, print_table

if TYPE_CHECKING:
    from douane.engine import PluginSpec
    from douane.engine.describe import Described
    from douane.plan.request_scan import Requests

READS = {
    "stream": "the whole image, once, in order",
    "random": "the image as a file, once it is complete",
    "guest+findings": "what the virtual machine will see, and the findings of earlier plugins, when they have answered",
    "guest": "what the virtual machine will see, once the image is complete",
    "files": "every file of the image once, in the order of the disk, once the image is complete",
    "nothing": "no bytes of the image, only what is declared",
    "findings": "no bytes of the image, only what is declared and the findings of earlier plugins",
}


@click.command("describe")
@click.argument("spec", required=False)
@click.option("--config", "-c", metavar="FILE", help="Describe a plugin of this plan, with its interpreter.")
@click.option("--name", metavar="NAME", help="The plugin's name in the plan.")
@click.option("--python", metavar="PATH", help="The plugin's interpreter.")
@sandbox_option
@click.option("--schema", "only_schema", is_flag=True, help="Print only the JSON Schema of its configuration.")
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
    """Show what a plugin reads, takes and asks for.

    SPEC is module:Class, path/to/file.py:Class, a file with one plugin, the name of an installed plugin, or
    'exec:PROGRAM ARGS'. Omit SPEC with --config and --name. The plugin is loaded in its sandbox, but not configured.
    """
    from douane.engine import Plan
    from douane.engine.describe import describe

    plugin = _plugin(spec, config, name, python)
    tier = tier_for(Plan(plugins=(plugin,), minimum_sandbox="off"), sandbox)
    description = describe(plugin, tier=tier, emit=log_printer(False))
    if only_schema:
        if description.kind == "program":
            raise PlanError(f"{plugin.use} is a program: it takes arguments, and has no configuration")
        print_json(_schema(description))
    elif as_json:
        print_json(_json(description))
    else:
        _print(description)


def _plugin(spec: str | None, config: str | None, name: str | None, python: str | None) -> PluginSpec:
    """The plugin to describe. Raises PlanError."""
    import msgspec

    from douane.engine import load_plan
    from douane.plan.source_scan import only_class

    if config is not None:
        if spec is not None:
            raise PlanError(f"give {spec} or --config {config}, not both; --name selects a plugin of a plan")
        plugin = plugin_of_plan(config, name)
    elif spec is None or name is not None:
        raise PlanError("name a plugin: path/to/file.py:Class, module:Class; or a plan with --config, and --name")
    else:
        if spec.endswith(".py") and ":" not in spec:
            spec = f"{spec}:{only_class(spec)}"
        plugin = load_plan(None, extra=(spec,)).plugins[-1]
    if python is None:
        return plugin
    use = plugin.use
    path, colon, cls = use.rpartition(":")
    if path.endswith(".py"):  # the plan's paths are relative to its folder, --python to this one
        use = os.path.join(plugin.base, path) + colon + cls
    return msgspec.structs.replace(plugin, python=python, use=use, base=os.getcwd())


def _schema(description: Described) -> dict[str, Any]:
    from .json_schema import schema

    name = description.cls or description.use
    return schema(name, description.doc, description.parameters, takes_any=description.takes_any)


def _json(description: Described) -> dict[str, Any]:
    """The keys of --json; docs/plugin-command.md lists them."""
    source = description.requests
    return {
        "use": description.use,
        "class": description.cls,
        "kind": description.kind,
        "api": description.api,
        "reads": description.reads,
        "doc": description.doc,
        "constructor_doc": source.constructor_doc if source else None,
        "parameters": description.parameters,
        "takes_any": description.takes_any,
        "schema": None if description.kind == "program" else _schema(description),
        "grants": list(source.grants) if source else None,
        "programs": list(source.programs) if source else None,
        "proposes": list(source.proposes) if source else None,
        "scratch": source.uses_scratch if source else None,
        "unnamed": list(source.unnamed) if source else None,
        "version": description.version,
        "code_sha256": description.code_sha256,
        "sandbox": description.sandbox,
    }


def _print(description: Described) -> None:
    if description.kind == "program":
        click.echo(f"{plain(description.use)}: a program, which reads the image on its standard input")
        click.echo("Exit status 0 accepts; 1 refuses, with the first line of standard error; any other is a failure.")
        click.echo(f"  code         sha256 {description.code_sha256}")
        if description.requests is not None and description.requests.grants:
            click.echo(f"  asks for     grants {plain(', '.join(description.requests.grants))}")
        return
    kind = "a transform" if description.kind == "transform" else "an inspector"
    click.echo(f"{plain(description.cls or description.use)}: {kind}")
    _print_paragraphs(description.doc)
    if description.requests is not None:
        _print_paragraphs(description.requests.constructor_doc)
    click.echo()
    click.echo(f"  reads        {_reads(description.reads or '')}")
    click.echo(f"  contract     level {description.api}")
    click.echo(f"  version      {plain(description.version or 'unknown')}")
    click.echo(f"  code         sha256 {description.code_sha256}")
    click.echo(f"  sandbox      {description.sandbox}")
    _print_requests(description.requests)
    click.echo()
    if not description.parameters:
        click.echo("It takes no configuration." if not description.takes_any else "It takes any configuration.")
        return
    rows = [
        (
            str(parameter["name"]),
            str(parameter.get("type") or "anything"),
            "required" if parameter.get("required") else str(parameter.get("default_text", "")),
        )
        for parameter in description.parameters
    ]
    print_table(("setting", "type", "default"), rows)
    if description.takes_any:
        click.echo("It also takes any other setting.")


def _print_paragraphs(text: str) -> None:
    if text:
        click.echo()
        for line in text.splitlines():
            indent = line[: len(line) - len(line.lstrip(" "))]
            click.echo(f"  {indent}{plain(line)}".rstrip())


def _print_requests(source: Requests | None) -> None:
    """Print what the plugin's source asks for, and say that it may ask for more."""
    if source is None:
        click.echo("  asks for     unknown: there is no source here with its class")
        return
    lines = []
    for heading, names in (("grants", source.grants), ("programs", source.programs), ("proposes", source.proposes)):
        more = ("more, with names computed at run time",) if heading in source.unnamed else ()
        if names or more:
            lines.append(f"    {heading:<10} {plain(', '.join((*names, *more)))}")
    if source.uses_scratch:
        lines.append("    scratch    room for files")
    if not lines:
        click.echo("  asks for     nothing, according to its source")
        return
    click.echo("  asks for, according to its source:")
    for line in lines:
        click.echo(line)


def _reads(reads: str) -> str:
    return f"the first {reads[5:]} bytes" if reads.startswith("head:") else READS.get(reads, reads)
