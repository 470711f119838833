"""`douane plan`: the whole effective table, every plugin loaded in its cage."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from douane.engine import Plan, probe
from douane.host.base import PluginProcess
from douane.units import show_duration, show_size

from .options import json_option, make_plan, plan_options, tier_for
from .output import log_printer, print_json, print_table


@click.command()
@plan_options
@json_option
def plan(
    config: str | None,
    plugins: tuple[str, ...],
    settings: tuple[str, ...],
    sandbox: str | None,
    as_json: bool,
) -> None:
    """Show the plan as it takes effect, defaults included; load and configure every plugin in its cage."""
    made = make_plan(config, plugins, settings)
    tier = tier_for(made, sandbox)
    processes = probe(made, tier=tier, emit=log_printer(True))
    if as_json:
        print_json(
            {
                "sandbox": {"tier": tier.value, "minimum": made.minimum_sandbox},
                "deadline": made.deadline,
                "digests": list(made.digests),
                "received_digests": list(made.received_digests),
                "plugins": [_entry(process) for process in processes],
            }
        )
        return
    _print(made, processes, tier.value)


def _entry(process: PluginProcess) -> dict[str, Any]:
    entry: dict[str, Any] = msgspec.to_builtins(process.spec)
    entry.pop("base")
    entry.pop("texts")
    entry["config"] = {**process.spec.config, **process.spec.texts}
    entry["ran"] = msgspec.to_builtins(process.ran())
    described = process.described
    entry["parameters"] = msgspec.to_builtins(described.parameters) if described is not None else []
    entry["doc"] = described.doc if described is not None else ""
    return entry


def _print(made: Plan, processes: list[PluginProcess], tier: str) -> None:
    rows = []
    for number, process in enumerate(processes, 1):
        spec = process.spec
        kind = "program" if process.plugin.code.is_program else ("transform" if process.is_transform else "inspector")
        given = {**spec.config, **spec.texts}
        parameters = process.described.parameters if process.described is not None else []
        defaults = {parameter.name: parameter.default_text for parameter in parameters}
        config = ", ".join(
            f"{name} = {given[name]!r}" if name in given else f"{name} = {text} (default)"
            for name, text in {**defaults, **dict.fromkeys(given, "")}.items()
        )
        rules = f"error {spec.on_error}, timeout {spec.on_timeout}, incomplete {spec.on_incomplete}"
        clocks = (
            f"start {show_duration(spec.start)}, stall {show_duration(spec.stall)}, total {show_duration(spec.timeout)}"
        )
        rows.append(
            (
                str(number),
                spec.name,
                spec.use,
                f"{kind}, reads {process.reads}",
                spec.mode,
                rules,
                clocks,
                show_size(spec.memory),
                config,
                ", ".join(f"{name} = {target}" for name, target in spec.grants.items()),
            )
        )
    print_table(("", "plugin", "use", "is", "mode", "on", "clocks", "memory", "config", "grants"), rows)
    click.echo(
        f"sandbox {tier} (at least {made.minimum_sandbox}); digests {', '.join(made.digests) or 'none'}; "
        f"deadline {show_duration(made.deadline)}"
    )
