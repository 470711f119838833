"""Run Tempest's tests of the image service, in Tempest's own environment: python tempest_run.py RESULTS [EXPRESSION].

Writes a line of JSON into RESULTS as each test ends: its name, its outcome, and the reason. EXPRESSION, a regular
expression, selects tests by name. The configuration is in the folder TEMPEST_CONFIG_DIR. The exit status is 0 when all
tests have run, whatever their outcomes.
"""

from __future__ import annotations

import json
import re
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


class Results(unittest.TestResult):
    """Writes each outcome at once, so that the outcomes of a killed run are not lost."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._write(test, "passed", "")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._write(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._write(test, "failed", self._text(err, test))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._write(test, "error", self._text(err, test))

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._write(test, "failed as expected", self._text(err, test))

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._write(test, "passed unexpectedly", "")

    def _write(self, test: unittest.TestCase, outcome: str, why: str) -> None:
        self._out.write(json.dumps({"test": test.id(), "outcome": outcome, "why": why}) + "\n")
        self._out.flush()

    def _text(self, err: Any, test: unittest.TestCase) -> str:
        return self._exc_info_to_string(err, test)  # type: ignore[attr-defined,no-any-return]  # as its subclasses do


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Yield the tests of a suite of suites, in their order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main(results: str, expression: str = "") -> None:
    """See the module."""
    import tempest

    packages = Path(tempest.__file__).parent.parent
    suite = unittest.TestLoader().discover(str(packages / "tempest/api/image"), top_level_dir=str(packages))
    selected = unittest.TestSuite(test for test in flatten(suite) if re.search(expression, test.id()))
    with Path(results).open("w") as out:
        selected.run(Results(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
