"""`douane serve`: the Image API."""

from __future__ import annotations

from importlib.util import find_spec

import click

from douane.errors import PlanError

from .options import home_option, sandbox_option

_NEEDED = ("falcon", "granian", "httpx", "jinja2", "prometheus_client", "structlog")


@click.command("serve")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where to listen; port 0 is any free port. Default: 127.0.0.1:9292."
)
@home_option
@click.option(
    "--config", "-c", metavar="FILE", help="The plan and the table [serve], a TOML file. Default: the format inspector."
)
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Imports that run at once; 0: machines with douane worker run them. Default: one for each processor.",
)
@sandbox_option
@click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="One line an event."
)
@click.pass_context
def serve(
    ctx: click.Context,
    listen: str | None,
    home: str | None,
    config: str | None,
    workers: int | None,
    sandbox: str | None,
    log_format: str,
) -> None:
    """Serve the Image API; every image passes the plan.

    Runs until SIGTERM or Ctrl-C, and finishes uploads within a grace. SIGHUP reads the configuration again.
    """
    import os
    from pathlib import Path

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise PlanError(
            f"douane serve needs {', '.join(missing)}, which this installation does not have: "
            "run `pip install '.[serve]'` in a checkout of Douane"
        )
    from douane.api.process.supervisor import ServeOptions, Supervisor
    from douane.imports import default_home
    from douane.imports.service_log import VARIABLE, configure_log

    path = home or ctx.obj
    options = ServeOptions(
        home=Path(path).absolute() if path else default_home(),
        config=config,
        listen=listen,
        workers=workers,
        sandbox=sandbox,
    )
    os.environ[VARIABLE] = log_format  # the door and the workers inherit it
    configure_log("supervisor")
    Supervisor(options, click.echo).run()
