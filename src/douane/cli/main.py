"""The `douane` command: its subcommands, what it does with errors, and its exit codes (docs/exit-codes.md)."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from douane import __version__
from douane.errors import DouaneError

from .lazy_group import LazyGroup
from .signals import end_on_signals

UNDECIDED = 3
INTERRUPTED = 130


class Douane(LazyGroup):
    """Handle a closed standard output here: click would exit with 1, which means refused."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discard the buffered output
            ctx.exit(UNDECIDED)


@click.group(
    cls=Douane,
    places={
        "agent": "agent_cmd:agent",
        "cat": "guest_cmd:cat",
        "catalog": "catalog_cmd:catalog",
        "check": "check_cmd:check",
        "cve": "cve_cmd:cve",
        "delete": "images_cmd:delete",
        "doctor": "doctor_cmd:doctor",
        "drain": "drain_cmd:drain",
        "evidence": "images_cmd:evidence",
        "fsck": "fsck_cmd:fsck",
        "glance": "glance_cmd:glance",
        "images": "images_cmd:images",
        "import": "import_cmd:import_",
        "inspect": "inspect_cmd:inspect",
        "ls": "guest_cmd:ls",
        "plan": "plan_cmd:plan",
        "plugin": "plugin_cmd:plugin",
        "policy": "policy_cmd:policy",
        "reactivate": "images_cmd:reactivate",
        "rescan": "rescan_cmd:rescan",
        "save": "images_cmd:save",
        "sbom": "sbom_cmd:sbom",
        "serve": "serve_cmd:serve",
        "show": "images_cmd:show",
        "stores": "stores_cmd:stores",
        "upload": "upload_cmd:upload",
        "verify": "verify_cmd:verify",
        "worker": "worker_cmd:worker",
        "workers": "workers_cmd:workers",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--home", type=click.Path(), help="Default --home for all commands.")
@click.pass_context
def douane(ctx: click.Context, home: str | None) -> None:
    """Customs for cloud images: every image passes your own checks once, each in a sandbox.

    Exit codes: 0 accepted, 1 refused by a plugin, 2 wrong usage or configuration, 3 undecided.
    """
    ctx.obj = home


def run() -> None:
    """Run the `douane` command and exit."""
    _fill_standard_descriptors()
    end_on_signals()
    code = _run()
    gc.freeze()  # the interpreter looks for garbage three times at its end, which takes 10 ms
    sys.exit(code)


def _run() -> int:
    """Run the command and report its errors; return the exit code."""
    try:
        code = douane.main(standalone_mode=False)
    except DouaneError as error:
        _report(error.code, str(error), getattr(error, "__notes__", ()))
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)  # it repeats arguments, such as the names of files that others have chosen
        _report_text(text.getvalue().rstrip(), prefix="")
        _report_json(code="wrong-usage", message=error.format_message())
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        _report_text("interrupted; nothing was stored")
        return INTERRUPTED
    except Exception as error:
        _report_unforeseen(error)
        return UNDECIDED
    # Without its standalone mode click returns the code of ctx.exit instead of raising it.
    return code if isinstance(code, int) else 0


def _report_unforeseen(error: Exception) -> None:
    """Report an error that no code foresaw. It must not exit with 1, which means that a plugin refused the image."""
    message = f"Douane failed, and nothing was let in: {type(error).__name__}: {error}"
    if os.environ.get("DOUANE_TRACEBACK"):
        import traceback

        _report("engine-failed", message, traceback.format_exception(error))
    else:
        _report("engine-failed", f"{message}; DOUANE_TRACEBACK=1 shows where")


def _report(code: str, message: str, notes: Iterable[str] = ()) -> None:
    """Report an error: for a person on standard error and, with --json, for a program on standard output."""
    with contextlib.suppress(OSError):  # standard error is closed; the exit code remains
        _report_text(message, notes)
    _report_json(code, message)


def _report_text(message: str, notes: Iterable[str] = (), prefix: str = "douane: ") -> None:
    from .output import say

    say(f"{prefix}{message}")
    for note in notes:
        say(note.rstrip())


def _report_json(code: str, message: str) -> None:
    """Print the error as a JSON object if the command line has --json."""
    if "--json" in sys.argv:
        from .output import print_json

        with contextlib.suppress(OSError):  # standard output may be what failed
            print_json({"outcome": "undecided", "code": code, "message": message, "verdicts": []})


def _fill_standard_descriptors() -> None:
    """Open standard streams that are closed, so that the image or the catalog does not get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)  # takes the lowest free number; reading from it fails
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale without a letter must not change the exit code


if __name__ == "__main__":
    run()
