"""`douane doctor`: the sandbox layers that this host supports, and how to get the missing ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from douane.errors import SandboxError

from .options import json_option
from .output import print_json, print_table

if TYPE_CHECKING:
    from douane.sandbox import Layer


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check which sandbox tiers this host supports."""
    from douane import sandbox

    layers = sandbox.examine()
    try:
        best = sandbox.choose(None, sandbox.Tier.STRICT).value  # as `check` and `import` choose it
    except SandboxError:
        best = None
    if as_json:
        print_json(
            {
                "best": best,
                "layers": [
                    {
                        "tier": str(layer.tier),
                        "name": layer.name,
                        "ok": layer.ok,
                        "detail": layer.detail,
                        "remedy": layer.remedy,
                        "optional": layer.optional,
                    }
                    for layer in layers
                ],
            }
        )
    else:
        print_table(
            ("tier", "layer", "state", "detail", "what to do"),
            ((str(layer.tier), layer.name, _state(layer), layer.detail, layer.remedy or "") for layer in layers),
            colours={"ok": "green", "optional": "yellow", "missing": "bold red"},
        )
        click.echo(f"best tier: {best}" if best else "this host supports no sandbox tier: Douane runs no plugins")
    ctx.exit(0 if best else SandboxError.exit_code)


def _state(layer: Layer) -> str:
    if layer.ok:
        return "ok"
    return "optional" if layer.optional else "missing"
