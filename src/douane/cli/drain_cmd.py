"""`douane drain`: stop new imports of a running service, and wait for the end of those that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from douane.errors import PlanError
from douane.units import number_of

from .options import home_option
from .output import say

if TYPE_CHECKING:
    from douane.catalog import Catalog


KEPT_STEPS = ("staged", "open")
"""Steps of tasks whose bytes are kept, and that nobody works on until their client comes back."""


@click.command("drain")
@home_option
@click.option("--config", "-c", metavar="FILE", help="The configuration of the service, if it names a database.")
@click.option("--undo", is_flag=True, help="Take new imports again.")
@click.option("--wait/--no-wait", default=True, help="Wait until no import runs or waits.")
@click.pass_context
def drain(ctx: click.Context, home: str | None, config: str | None, undo: bool, wait: bool) -> None:
    """Stop new uploads and imports of a service.

    Everything else goes on. To take a machine with workers out, use `douane workers drain`.

    Clients get 503 with Retry-After. Imports that have begun, and those that wait for a worker, come to their end;
    staged data stays, and so do uploads that their clients have not completed. The switch is a file in the home, and
    stays after a restart: --undo removes it.
    """
    from pathlib import Path

    from douane.catalog import Catalog
    from douane.imports import default_home
    from douane.imports.service_file import NO_IMPORTS, RUN
    from douane.imports.settings import load_settings

    path = home or ctx.obj
    folder = Path(path).absolute() if path else default_home()
    switch = folder / RUN / NO_IMPORTS
    try:
        if undo:
            switch.unlink(missing_ok=True)
            say("douane: new imports are taken again")
            return
        switch.touch(mode=0o600)
    except OSError as error:
        raise PlanError(f"{switch} cannot be written: {error.strerror}; is {folder} the home of a service?") from error
    say("douane: no new imports are taken; `douane drain --undo` takes them again")
    if wait:
        with Catalog(load_settings(config, folder).database or folder / "catalog.sqlite3") as catalog:
            _wait(catalog)


def _wait(catalog: Catalog) -> None:
    import time

    last = None
    while count := sum(number for step, number in catalog.unfinished_by_step().items() if step not in KEPT_STEPS):
        if count != last:
            say(f"douane: {number_of(count, 'import')} {'runs or waits' if count == 1 else 'run or wait'}")
        last = count
        time.sleep(0.5)
    say("douane: no import runs or waits")
