"""`douane plan`: the effective plan, with every plugin loaded in its sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from douane.units import show_duration, show_size

from .options import PlanOptions, json_option, plan_options, tier_for
from .output import log_level, log_printer, print_json, print_table

if TYPE_CHECKING:
    from douane.host.base import PluginProcess
    from douane.plan.model import PluginSpec

COLUMNS = ("", "plugin", "use", "is", "mode", "on", "clocks", "resources", "config", "grants")


@click.command()
@plan_options
@json_option
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the configuration file, for editors, and end.")
def plan(choice: PlanOptions, as_json: bool, schema: bool) -> None:
    """Show the effective plan, with all defaults.

    Loads and configures every plugin in its sandbox, and checks the settings of `douane serve`.
    """
    if schema:
        from .plan_schema import plan_schema

        print_json(plan_schema())
        return
    from douane.engine import can_refuse, plan_digest, probe
    from douane.evidence import check_evidence

    if choice.config is not None:
        from pathlib import Path

        from douane.imports.settings import load_settings
        from douane.plan.bound_plugins import check_stores

        check_stores(choice.plan(), load_settings(choice.config, Path()).store_order)
    effective = choice.plan()
    check_evidence(effective)
    tier = tier_for(effective, choice.sandbox)
    probed = probe(effective, tier=tier, emit=log_printer(True), log_level=log_level(True))
    processes = probed.plugins
    if as_json:
        print_json(
            {
                "sandbox": {"tier": tier.value, "minimum": effective.minimum_sandbox},
                "deadline": effective.deadline,
                "sha256": plan_digest(probed.processes),
                "evidence": None if effective.evidence is None else effective.evidence.verifier,
                "digests": list(effective.digests),
                "received_digests": list(effective.received_digests),
                "plugins": [_entry(process) for process in processes],
                "readers": [_entry(process) for process in probed.readers],
            }
        )
        return
    print_table(COLUMNS, (_row(number, process) for number, process in enumerate(processes, 1)))
    click.echo(
        f"sandbox {tier} (at least {effective.minimum_sandbox}); digests {', '.join(effective.digests) or 'none'}; "
        f"deadline {show_duration(effective.deadline)}"
    )
    for process in processes:
        if process.spec.own_defaults:
            keys = ", ".join(process.spec.own_defaults)
            click.echo(f"{process.spec.name}: the plugin's own values, which its table does not set: {keys}")
        if process.spec.reuse > 1:
            click.echo(
                f"{process.spec.name}: in the agent and in a service, one process of the plugin serves up to "
                f"{process.spec.reuse} images, so that an image may influence the verdicts on later ones"
            )
        if process.plugin.code.is_exec and process.spec.refuse is None:
            click.echo(
                f"{process.spec.name}: exit status 1 refuses the image, and programs that fail exit with 1 as well: "
                "let it refuse by another status, and set refuse = [10]"
            )
        if private := process.private_grants():
            click.echo(
                f"{process.spec.name}: not every user can read all of {', '.join(private)}; if Douane is root, the "
                "plugin keeps the capability CAP_DAC_READ_SEARCH (`chmod -R a+rX` avoids that)"
            )
    for name, transform in _late_verifiers(processes):
        click.echo(f"{name}: stands after the transform {transform}, and verifies what that makes of an image")
    for reader in probed.readers:
        click.echo(_reader(reader, processes))
    if not can_refuse(processes):
        click.echo('every image is let in, whatever the plugins say: none has mode = "enforce"')


def _late_verifiers(processes: list[PluginProcess]) -> Iterator[tuple[str, str]]:
    """The plugins that verify signatures after a transform, each with that transform."""
    from douane.plan.builtin import AS_RECEIVED, is_one_of

    transform = None
    for process in processes:
        if transform is not None and is_one_of(process.spec.use, AS_RECEIVED):
            yield process.spec.name, transform
        if process.is_transform:
            transform = process.spec.name


def _entry(process: PluginProcess) -> dict[str, Any]:
    """A plugin for --json; docs/configuration.md lists the keys."""
    from msgspec import to_builtins

    entry: dict[str, Any] = to_builtins(process.spec)
    entry.pop("base")
    entry.pop("texts")
    entry["config"] = {**process.spec.config, **process.spec.texts}
    entry["ran"] = to_builtins(process.provenance())
    described = process.described
    entry["parameters"] = to_builtins(described.parameters) if described is not None else []
    entry["doc"] = described.doc if described is not None else ""
    return entry


def _reader(reader: PluginProcess, processes: list[PluginProcess]) -> str:
    names = [p.spec.name for p in processes if p.needs == "files" and p.plugin.stage == reader.plugin.stage]
    spec, config = reader.spec, reader.spec.config
    return (
        f"{spec.name}: a process of Douane's reads the files in the image for {', '.join(names)}: once, in a sandbox "
        f"of its own, when all bytes are there (about 2 s of a processor for 1 GB of files); memory "
        f"{show_size(spec.memory)}, {config['entries']} entries, depth {config['depth']}, "
        f"{show_size(config['delivered'])} of files, stall {show_duration(spec.stall)}, total "
        f"{show_duration(spec.timeout)} ([guest])"
    )


def _binding(spec: PluginSpec) -> str:
    doors = f", only {' and '.join(spec.only)}" if len(spec.only) == 1 else ""
    roles = f", not for the role {' or '.join(spec.exempt_roles)}" if spec.exempt_roles else ""
    stores = f", only for the store {' or '.join(spec.stores)}" if spec.stores else ""
    return doors + roles + stores


def _resources(spec: PluginSpec) -> str:
    scratch = f", scratch {show_size(spec.scratch)}" if spec.scratch is not None else ""
    programs = f", programs {' '.join(spec.programs)}" if spec.programs else ""
    processes = f", processes {spec.processes}" if spec.forks else ""
    modules = f", modules {' '.join(spec.modules)}" if spec.modules else ""
    python = f", python {spec.python}" if spec.python is not None else ""
    reuse = f", a process for {spec.reuse} images" if spec.reuse > 1 else ""
    return f"memory {show_size(spec.memory)}{scratch}{programs}{processes}{modules}{python}{reuse}"


def _statuses(spec: PluginSpec) -> str:
    return f", refuses by {', '.join(map(str, spec.refuse))}" if spec.refuse is not None else ""


def _row(number: int, process: PluginProcess) -> tuple[str, ...]:
    spec = process.spec
    kind = "program" if process.plugin.code.is_exec else ("transform" if process.is_transform else "inspector")
    settings = {**spec.config, **spec.texts}
    parameters = process.described.parameters if process.described is not None else []
    defaults = {parameter.name: parameter.default_text for parameter in parameters}
    config = ", ".join(
        f"{name} = {settings[name]!r}" if name in settings else f"{name} = {text} (default)"
        for name, text in {**defaults, **dict.fromkeys(settings, "")}.items()
    )
    folders = spec.socket_folders()
    return (
        str(number),
        spec.name,
        spec.use,
        f"{kind}, reads {process.reads}{_statuses(spec)}{_binding(spec)}",
        spec.mode,
        f"error {spec.on_error}, timeout {spec.on_timeout}, incomplete {spec.on_incomplete}",
        f"start {show_duration(spec.start)}, stall {show_duration(spec.stall)}, total {show_duration(spec.timeout)}",
        _resources(spec),
        config,
        ", ".join(
            f"{name} = {target}" + (f" (path {folders[name]}/*)" if name in folders else "")
            for name, target in spec.grants.items()
        )
        + (f" (as {spec.connect_as})" if spec.connect_as is not None else ""),
    )
