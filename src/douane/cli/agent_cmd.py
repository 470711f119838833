"""`douane agent`: inspect images for the workers of an image service on this host."""

from __future__ import annotations

import logging

import click

from douane.engine import PlanError
from douane.units import parse_duration

from .options import TIERS


@click.command("agent")
@click.option("--socket", "path", required=True, metavar="PATH", help="The local socket to listen on.")
@click.option("--config", "-c", metavar="FILE", required=True, help="The plan, a TOML file.")
@click.option("--sandbox", type=click.Choice(TIERS), help="Run in this tier. Default: the best this machine gives.")
@click.option(
    "--at-once", type=click.IntRange(1, 256), default=2, show_default=True, help="Images that are inspected at a time."
)
@click.option(
    "--wait", default="5m", show_default=True, metavar="DURATION", help="How long an image waits for its turn."
)
@click.option("--socket-mode", default="0660", show_default=True, metavar="MODE", help="Who may connect, in octal.")
@click.option(
    "--warm/--cold", default=True, help="Keep a set of plugins ready for each image at a time, or start them."
)
def agent(path: str, config: str, sandbox: str | None, at_once: int, wait: str, socket_mode: str, warm: bool) -> None:
    """Inspect images for others, over a local socket, until SIGTERM. SIGHUP reads the plan again."""
    from douane.agent import Options, serve

    try:
        seconds = parse_duration(wait)
        mode = int(socket_mode, 8)
    except ValueError as error:
        raise PlanError(f"--wait or --socket-mode: {error}") from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve(Options(path, config, sandbox, at_once, seconds, mode, warm))
