"""`douane policy test`: the tests in the file of a policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from douane.errors import PlanError
from douane.units import number_of

from .output import say


@click.group()
def policy() -> None:
    """The rules of the inspectors `policy` and `guest-policy`."""


@policy.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="FILE...")
def run_tests(files: tuple[str, ...]) -> None:
    """Run the tests in policy files, the tables [[test]].

    Exit codes: 0 all passed, 1 a test failed, 2 a file is no policy.
    """
    failures = sum(_run(path) for path in files)
    if failures:
        sys.exit(1)


def _run(path: str) -> int:
    """Run the tests of a file, and print them; how many failed."""
    from douane.plugins.policy.rules import parse_policy
    from douane.plugins.policy.trial import needs_guest, run_tests

    try:
        parsed = parse_policy(Path(path).read_bytes())
        inspector = "guest-policy" if needs_guest(parsed) else "policy"
        results = list(run_tests(parsed))
    except ValueError as error:
        raise PlanError(f"{path}: {error}") from None
    for case, mistake in results:
        say(f"{'FAILED' if mistake else 'passed'}  {case.name}{': ' + mistake if mistake else ''}")
    failures = sum(1 for _, mistake in results if mistake)
    rules, tests = number_of(len(parsed.rules), "rule"), number_of(len(results), "test")
    say(f"{path}: {rules} for `{inspector}`, {tests}, {failures} failed")
    return failures
