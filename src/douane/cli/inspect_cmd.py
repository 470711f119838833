"""`douane inspect`: identify an image without a plan, and show the bytes behind every finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from douane.errors import PlanError

from .check_cmd import end
from .options import ViewOptions, home_option, json_option, name_of, run_options, run_tier, sandbox_option
from .output import print_json, progress_bar

if TYPE_CHECKING:
    from douane.engine import Plan
    from douane.report import Outcome

OUTCOMES: dict[str, Outcome] = {"accepted": "accepted", "refused": "refused", "incomplete": "undecided"}
FORMAT = ("format", "douane.plugins.format:Format")
EXPLAIN = "douane.plugins.explain:Explain"


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--config", "-c", metavar="FILE", help="Take the settings of `format` from this plan.")
@click.option(
    "--set",
    "settings",
    metavar="format.KEY=VALUE",
    multiple=True,
    help="Set a key of the configuration of `format`. Repeatable.",
)
@click.option("--disk-format", metavar="F", help="Declare the disk format: raw, qcow2, vmdk, ...")
@click.option("--container-format", metavar="F", help="Declare the container format: bare, ova, ...")
@click.option("--guest", is_flag=True, help="Show what the virtual machine will see: its system, accounts, keys.")
@home_option
@sandbox_option
@click.option("--verbose", "-v", is_flag=True, help="Show every field, finding and log line.")
@json_option
@click.pass_context
def inspect(
    ctx: click.Context,
    file: str,
    config: str | None,
    settings: tuple[str, ...],
    disk_format: str | None,
    container_format: str | None,
    guest: bool,
    home: str | None,
    sandbox: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Identify FILE: format, virtual size, findings.

    FILE may be - for standard input. Nothing is stored. The exit code is that of `format`: 0 accepted, 1 refused,
    3 undecided.

    With --guest: volumes, systems, packages, accounts, keys, kernels and boot loaders. FILE may be the id of an image
    in the store then, and the exit code is 3 if any part of the image could not be read.
    """
    if guest:
        if config or settings or disk_format or container_format:
            raise PlanError("--guest takes no settings of `format`, and compares no declared format")
        from .inspect_guest import inspect_guest

        inspect_guest(ctx, file, ViewOptions(home, sandbox, verbose), as_json=as_json)
    from douane.declared import DeclaredImage
    from douane.engine import inspect_image, open_source

    plan = _plan(config, settings)
    source = open_source(file)
    declared = DeclaredImage(name=name_of(file), disk_format=disk_format, container_format=container_format)
    tier = run_tier(plan, sandbox)
    with progress_bar(file, visible=not as_json) as progress:
        report = inspect_image(plan, declared, source, options=run_options(tier, verbose, progress))
    if report.outcome != "accepted":  # `explain` refuses nothing, so this is a failure
        end(ctx, report, source.name, as_json=as_json)
    from douane.report import EXIT_CODES

    from .explanation import read_explanation

    document: dict[str, Any] = report.verdicts[0].documents.get("explanation", {})
    explanation = read_explanation(document)
    outcome = OUTCOMES[explanation.outcome]
    if as_json:
        # docs/formats.md lists the keys.
        print_json(
            {"file": source.name}
            | document
            | {"outcome": outcome, "size": report.received.size, "sandbox": report.sandbox}
        )
    else:
        from .inspect_report import print_explanation

        print_explanation(explanation, outcome, source.name, report.received.size, report.sandbox, everything=verbose)
    ctx.exit(EXIT_CODES[outcome])


def _plan(config: str | None, settings: tuple[str, ...]) -> Plan:
    """A plan of the plugin `explain` alone, with the settings of the plan's `format`. Raises PlanError."""
    import msgspec

    from douane.engine import load_plan

    plan = load_plan(config, settings=settings)
    formats = [plugin for plugin in plan.plugins if plugin.use in FORMAT]
    if not formats:
        raise PlanError(f"{config} has no plugin with use = 'format'; omit --config for the default settings")
    # A failure must be reported, whatever it means to the plan.
    explain = msgspec.structs.replace(
        formats[0],
        use=EXPLAIN,
        name="format",
        mode="enforce",
        on_error="reject",
        on_timeout="reject",
        on_incomplete="reject",
    )
    return msgspec.structs.replace(plan, plugins=(explain,), digests=())
