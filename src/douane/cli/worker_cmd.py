"""`douane worker`: the workers of a machine that answers no requests."""

from __future__ import annotations

from importlib.util import find_spec

import click

from douane.errors import PlanError

from .options import sandbox_option

_NEEDED = ("sqlalchemy", "structlog")


@click.command("worker")
@click.option("--config", "-c", metavar="FILE", required=True, help="The plan and the table [serve], a TOML file.")
@click.option(
    "--home",
    type=click.Path(),
    help="Directory for the files of the running process. Default: $DOUANE_HOME, else the XDG data directory.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Imports that run at once. Default: [serve] workers, or one for each processor.",
)
@click.option("--name", metavar="HOST", help="The name of this machine in `douane workers`. Default: its host name.")
@sandbox_option
@click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="One line an event."
)
@click.pass_context
def worker(
    ctx: click.Context,
    config: str,
    home: str | None,
    workers: int | None,
    name: str | None,
    sandbox: str | None,
    log_format: str,
) -> None:
    """Run imports of a `douane serve` on another machine.

    Both name the same database server in [serve] database. Runs until SIGTERM or Ctrl-C, and has [serve] grace to
    finish its imports then. SIGHUP reads the plan again.
    """
    import os
    from pathlib import Path

    if missing := [package for package in _NEEDED if find_spec(package) is None]:
        raise PlanError(
            f"douane worker needs {', '.join(missing)}, which this installation does not have: "
            "run `pip install '.[serve]'` in a checkout of Douane"
        )
    from douane.api.process.worker_machine import WorkerMachine, WorkerOptions
    from douane.imports import default_home
    from douane.imports.service_log import VARIABLE, configure_log

    path = home or ctx.obj
    host = {} if name is None else {"host": name}
    options = WorkerOptions(
        home=Path(path).absolute() if path else default_home(),
        config=config,
        workers=workers,
        sandbox=sandbox,
        **host,
    )
    os.environ[VARIABLE] = log_format  # the workers inherit it
    configure_log("supervisor")
    WorkerMachine(options, click.echo).run()
