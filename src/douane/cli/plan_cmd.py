"""`douane plan`: the whole effective table, every plugin loaded in its cage."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from douane.engine import Plan, probe
from douane.host.plugin_process import Member
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
    members = probe(made, tier=tier, emit=log_printer(True))
    if as_json:
        print_json(
            {
                "sandbox": {"tier": tier.value, "minimum": made.minimum_sandbox},
                "deadline": made.deadline,
                "digests": list(made.digests),
                "received_digests": list(made.received_digests),
                "plugins": [_entry(member) for member in members],
            }
        )
        return
    _print(made, members, tier.value)


def _entry(member: Member) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(member.spec)
    told.pop("base")
    told.pop("texts")
    told["config"] = {**member.spec.config, **member.spec.texts}
    told["ran"] = msgspec.to_builtins(member.ran())
    told["parameters"] = member.described.get("parameters", [])
    told["doc"] = member.described.get("doc", "")
    return told


def _print(made: Plan, members: list[Member], tier: str) -> None:
    rows = []
    for number, member in enumerate(members, 1):
        spec = member.spec
        kind = "program" if member.resolved.is_program else ("transform" if member.is_transform else "inspector")
        given = {**spec.config, **spec.texts}
        defaults = {p["name"]: p.get("default_text", "") for p in member.described.get("parameters", [])}
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
                f"{kind}, reads {member.reads}",
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
