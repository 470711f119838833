"""Run Douane for the benchmarks: plans of their own inspectors, in this process or as the whole command."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from douane.declared import DeclaredImage
from douane.engine import Plan, Report, RunOptions, choose_tier, inspect_image, load_plan, open_source
from douane.imports import Home, import_image

INSPECTORS = Path(__file__).parent / "plugins" / "inspectors.py"

COMMAND = [sys.executable, "-m", "douane.cli.main"]
"""`douane`, run by the interpreter of the benchmarks."""


class WrongOutcome(Exception):
    """Douane did not do what the benchmark measures."""


def write_plan(path: Path, classes: Sequence[str], digests: Sequence[str]) -> Path:
    """Write a configuration with `classes` of plugins/inspectors.py; the plugins are named "class-0" and so on."""
    listed = ", ".join(f'"{digest}"' for digest in digests)
    tables = [f"[import]\ndigests = [{listed}]\n"]
    for number, name in enumerate(classes):
        tables.append(f'[[plugin]]\nname = "{name.lower()}-{number}"\nuse = "{INSPECTORS}:{name}"\n')
    path.write_text("\n".join(tables))
    return path


def make_plan(directory: Path, classes: Sequence[str], digests: Sequence[str]) -> Plan:
    """The same as a plan of the engine, also one without inspectors, which a configuration cannot express."""
    path = write_plan(directory / "plan.toml", [*classes, "Touch"], digests)
    plan = load_plan(str(path))
    return Plan(plugins=plan.plugins[: len(classes)], digests=plan.digests)


def inspect(plan: Plan, image: Path, tier: str | None) -> Report:
    """Run the image through the plan; store nothing."""
    return inspect_image(
        plan, DeclaredImage(name=image.name), open_source(str(image)), options=RunOptions(tier=choose_tier(plan, tier))
    )


def store(plan: Plan, image: Path, home: Path, tier: str | None) -> Report:
    """Import the image into a home, as the command does, in this process. Raises WrongOutcome."""
    opened = Home(home)
    try:
        options = RunOptions(tier=choose_tier(plan, tier))
        result = import_image(opened, plan, DeclaredImage(name=image.name), open_source(str(image)), options)
    finally:
        opened.close()
    expect(result.report, "accepted")
    return result.report


def expect(report: Report, outcome: str) -> Report:
    """The report, if it has the `outcome`. Raises WrongOutcome."""
    if report.outcome != outcome:
        details = [verdict.detail for verdict in report.verdicts if verdict.detail]
        raise WrongOutcome(f"{report.outcome} instead of {outcome}: {report.code}, {report.message} {details}")
    return report


def command(verb: str, image: Path, plan: Path, *options: str, tier: str | None) -> list[str]:
    """`douane VERB IMAGE ...` as words."""
    sandbox = ["--sandbox", tier] if tier is not None else []
    return [*COMMAND, verb, str(image), "--config", str(plan), "--json", *sandbox, *options]


def remove_home(home: Path) -> None:
    """Delete a home and its content."""
    shutil.rmtree(home, ignore_errors=True)


def environment() -> dict[str, str]:
    """The environment for commands: this environment without the user's own home of Douane."""
    return {key: value for key, value in os.environ.items() if key != "DOUANE_HOME"}
