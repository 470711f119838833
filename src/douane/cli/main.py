"""The `douane` command: what it offers, and which exit code each end has (docs/exit-codes.md)."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click

from douane.engine.errors import DouaneError

from .output import print_json, say

INTERRUPTED = 130
TERMINATED = 143


class Group(click.Group):
    """Turns errors into a sentence and an exit code; with --json, into an object as well."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DouaneError as error:
            _tell(ctx, error)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read our output went away: nothing more can be said there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(3)


def _tell(ctx: click.Context, error: DouaneError) -> None:
    say(f"douane: {error}")
    for note in getattr(error, "__notes__", ()):
        say(note.rstrip())
    if ctx.meta.get("as_json"):
        print_json({"outcome": "undecided", "code": error.code, "message": str(error), "verdicts": []})


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="douane", message="%(prog)s %(version)s")
@click.option("--home", type=click.Path(path_type=Path), help="As the commands' own --home.")
@click.pass_context
def douane(ctx: click.Context, home: Path | None) -> None:
    """Customs for cloud images: every image goes once through your own checks, each in a cage.

    Exit codes: 0 accepted, 1 refused by a plugin, 2 wrong usage or configuration, 3 could not be decided.
    """
    ctx.obj = home


def _add_commands() -> None:
    from . import check, doctor, images, importing, plan

    for command in (
        check.check,
        importing.import_,
        images.images,
        images.show,
        images.save,
        images.delete,
        plan.plan,
        doctor.doctor,
    ):
        douane.add_command(command)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)  # so that what is under way is undone on the way out


def run() -> None:
    """The entry point."""
    signal.signal(signal.SIGTERM, _terminate)
    _add_commands()
    try:
        code = douane.main(standalone_mode=False)
    except click.exceptions.Abort:
        say("douane: interrupted; nothing was stored")
        sys.exit(INTERRUPTED)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("douane: interrupted; nothing was stored")
        sys.exit(INTERRUPTED)
    # Without its standalone mode click returns the code of ctx.exit instead of raising it.
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    run()
