"""`douane agent`: inspect images for the workers of an image service on this host."""

from __future__ import annotations

import click

from douane.errors import PlanError
from douane.units import parse_duration, parse_size

from .options import sandbox_option


@click.command("agent")
@click.option("--socket", "path", required=True, metavar="PATH", help="The local socket to listen on.")
@click.option("--config", "-c", metavar="FILE", required=True, help="The plan, a TOML file.")
@sandbox_option
@click.option(
    "--at-once",
    type=click.IntRange(1, 256),
    default=2,
    show_default=True,
    help="The number of images inspected at once.",
)
@click.option(
    "--slow",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    help="The number of images slower than --min-rate that are inspected beside them.",
)
@click.option(
    "--min-rate",
    default="256KiB",
    show_default=True,
    metavar="SIZE",
    help="The rate, in bytes a second, below which an image counts as slow.",
)
@click.option(
    "--wait", default="5m", show_default=True, metavar="DURATION", help="How long an image may wait for its turn."
)
@click.option("--socket-mode", default="0660", show_default=True, metavar="MODE", help="Who may connect, in octal.")
@click.option("--warm/--cold", default=True, help="Keep started plugins ready, or start them for each image.")
def agent(
    path: str,
    config: str,
    sandbox: str | None,
    at_once: int,
    slow: int,
    min_rate: str,
    wait: str,
    socket_mode: str,
    warm: bool,
) -> None:
    """Inspect images for Glance workers over a local socket.

    Runs until SIGTERM. SIGHUP reads the plan again.
    """
    import logging

    from douane.agent import Options, serve

    try:
        seconds = parse_duration(wait)
        mode = int(socket_mode, 8)
        rate = parse_size(min_rate)
    except ValueError as error:
        raise PlanError(f"--wait, --min-rate or --socket-mode: {error}") from error
    if rate < 1:
        raise PlanError("--min-rate is at least one byte")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve(Options(path, config, sandbox, at_once, slow, rate, seconds, mode, warm))
