"""How the benchmarks drive Douane: plans of their own inspectors, in this process or as the whole command."""

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
"""`douane`, by the interpreter that runs the benchmarks."""


class WrongOutcome(Exception):
    """Douane did something else than what was to be measured, so there is nothing to measure."""


def write_plan(path: Path, classes: Sequence[str], digests: Sequence[str], *, mark: str = "") -> Path:
    """A configuration with `classes` of plugins/inspectors.py; the first is named "class-0" and `mark`, and so on."""
    listed = ", ".join(f'"{digest}"' for digest in digests)
    tables = [f"[import]\ndigests = [{listed}]\n"]
    for number, name in enumerate(classes):
        tables.append(f'[[plugin]]\nname = "{name.lower()}-{number}{mark}"\nuse = "{INSPECTORS}:{name}"\n')
    path.write_text("\n".join(tables))
    return path


def make_plan(directory: Path, classes: Sequence[str], digests: Sequence[str]) -> Plan:
    """The same as the engine's table. Also one without any inspector, which no configuration may say."""
    path = write_plan(directory / "plan.toml", [*classes, "Touch"], digests)
    plan = load_plan(str(path))
    return Plan(plugins=plan.plugins[: len(classes)], digests=plan.digests)


def inspect(plan: Plan, image: Path, tier: str | None) -> Report:
    """Let the image through the plan, nothing stored."""
    return inspect_image(
        plan, DeclaredImage(name=image.name), open_source(str(image)), options=RunOptions(tier=choose_tier(plan, tier))
    )


def store(plan: Plan, image: Path, home: Path, tier: str | None) -> Report:
    """Import the image into a home, as the command does, in this process. Raises WrongOutcome."""
    opened = Home(home)
    try:
        options = RunOptions(tier=choose_tier(plan, tier))
        done = import_image(opened, plan, DeclaredImage(name=image.name), open_source(str(image)), options)
    finally:
        opened.close()
    expect(done.report, "accepted")
    return done.report


def expect(report: Report, outcome: str) -> Report:
    """The report, if it came out as it was to. Raises WrongOutcome."""
    if report.outcome != outcome:
        details = [verdict.detail for verdict in report.verdicts if verdict.detail]
        raise WrongOutcome(f"{report.outcome} instead of {outcome}: {report.code}, {report.message} {details}")
    return report


def command(verb: str, image: Path, plan: Path, *options: str, tier: str | None) -> list[str]:
    """`douane VERB IMAGE ...` as words."""
    sandbox = ["--sandbox", tier] if tier is not None else []
    return [*COMMAND, verb, str(image), "--config", str(plan), "--json", *sandbox, *options]


def remove_home(home: Path) -> None:
    """Delete a home with all that it holds."""
    shutil.rmtree(home, ignore_errors=True)


def environment() -> dict[str, str]:
    """The environment for commands: this one, without a home of the person who runs the benchmarks."""
    return {key: value for key, value in os.environ.items() if key != "DOUANE_HOME"}
