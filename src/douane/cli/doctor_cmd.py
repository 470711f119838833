"""`douane doctor`: what this machine gives, layer by layer, and how to get more."""

from __future__ import annotations

import click

from douane import sandbox
from douane.errors import SandboxError

from .options import json_option
from .output import print_json, print_table


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Tell which sandbox tiers this machine can give, and what to do about what is missing."""
    layers = sandbox.examine()
    best = _best()
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
            ("tier", "layer", "", "what was found", "what to do"),
            ((str(layer.tier), layer.name, _state(layer), layer.detail, layer.remedy or "") for layer in layers),
            colours={"ok": "green", "optional": "yellow", "missing": "bold red"},
        )
        click.echo(
            f"best tier: {best}" if best is not None else "no tier that keeps a plugin caged: Douane will not run"
        )
    ctx.exit(0 if best is not None else SandboxError.exit_code)


def _state(layer: sandbox.Layer) -> str:
    if layer.ok:
        return "ok"
    return "optional" if layer.optional else "missing"


def _best() -> str | None:
    """What `check` and `import` would take where nothing is asked for."""
    try:
        return sandbox.choose(None, sandbox.Tier.STRICT).value
    except SandboxError:
        return None
