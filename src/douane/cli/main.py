"""The `douane` command: what it offers, and which exit code each end has (docs/exit-codes.md)."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from douane.errors import DouaneError

from .output import print_json, say
from .signals import end_on_signals

UNDECIDED = 3
INTERRUPTED = 130


def _tell(code: str, message: str, notes: Iterable[str] = ()) -> None:
    """An error, for the person and, with --json, for the program that reads standard output."""
    with contextlib.suppress(OSError):  # nobody can be told; the exit code still says it
        say(f"douane: {message}")
        for note in notes:
            say(note.rstrip())
    if "--json" in sys.argv:
        with contextlib.suppress(OSError):  # standard output may be what failed
            print_json({"outcome": "undecided", "code": code, "message": message, "verdicts": []})


def _unforeseen(error: Exception) -> None:
    """An error that nobody foresaw. It must not end as 1, which says that a plugin refused the image."""
    message = f"Douane failed, and nothing was let in: {type(error).__name__}: {error}"
    if os.environ.get("DOUANE_TRACEBACK"):
        _tell("engine-failed", message, traceback.format_exception(error))
    else:
        _tell("engine-failed", f"{message}; DOUANE_TRACEBACK=1 shows where")


class Commands(click.Group):
    """Sees to a reader that went away itself: click would end with 1 then, which says refused."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered goes nowhere
            ctx.exit(UNDECIDED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="douane", message="%(prog)s %(version)s")
@click.option("--home", type=click.Path(path_type=Path), help="As the commands' own --home.")
@click.pass_context
def douane(ctx: click.Context, home: Path | None) -> None:
    """Customs for cloud images: every image goes once through your own checks, each in a cage.

    Exit codes: 0 accepted, 1 refused by a plugin, 2 wrong usage or configuration, 3 could not be decided.
    """
    ctx.obj = home


def _add_commands() -> None:
    from . import (
        agent_cmd as agent,
    )
    from . import (
        check_cmd as check,
    )
    from . import (
        doctor_cmd as doctor,
    )
    from . import (
        glance_cmd as glance,
    )
    from . import (
        images_cmd as images,
    )
    from . import (
        import_cmd as importing,
    )
    from . import (
        inspect_cmd as inspect,
    )
    from . import (
        plan_cmd as plan,
    )
    from . import (
        plugin_cmd as plugin,
    )

    for command in (
        check.check,
        inspect.inspect,
        importing.import_,
        images.images,
        images.show,
        images.save,
        images.delete,
        plan.plan,
        plugin.plugin,
        doctor.doctor,
        agent.agent,
        glance.glance,
    ):
        douane.add_command(command)


def _fill_standard_descriptors() -> None:
    """A standard stream that was closed must not be the next file that is opened: the image, or the catalog."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)  # takes the lowest number that is free; nothing can be read from it
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale without a letter must not change the exit code


def run() -> None:
    """The entry point."""
    _fill_standard_descriptors()
    end_on_signals()
    _add_commands()
    try:
        code = douane.main(standalone_mode=False)
    except DouaneError as error:
        _tell(error.code, str(error), getattr(error, "__notes__", ()))
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        say("douane: interrupted; nothing was stored")
        sys.exit(INTERRUPTED)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        if "--json" in sys.argv:
            print_json(
                {"outcome": "undecided", "code": "wrong-usage", "message": error.format_message(), "verdicts": []}
            )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("douane: interrupted; nothing was stored")
        sys.exit(INTERRUPTED)
    except Exception as error:
        _unforeseen(error)
        sys.exit(UNDECIDED)
    # Without its standalone mode click returns the code of ctx.exit instead of raising it.
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    run()
