"""Run Tempest's tests of the image service, in Tempest's own environment: python tempest_run.py RESULTS [EXPRESSION].

RESULTS gets a line of JSON for each test as it ends: its name, what came of it, and why. Of EXPRESSION (a regular
expression, searched for in the name) are the tests that are run. The configuration is Tempest's: TEMPEST_CONFIG_DIR.
The exit status is 0 when all tests have run, whatever came of them.
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
    """Writes each outcome down at once: a run that is killed has told what it could."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._tell(test, "passed", "")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._tell(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._tell(test, "failed", self._text(err, test))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._tell(test, "error", self._text(err, test))

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._tell(test, "failed as expected", self._text(err, test))

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._tell(test, "passed unexpectedly", "")

    def _tell(self, test: unittest.TestCase, outcome: str, why: str) -> None:
        self._out.write(json.dumps({"test": test.id(), "outcome": outcome, "why": why}) + "\n")
        self._out.flush()

    def _text(self, err: Any, test: unittest.TestCase) -> str:
        return self._exc_info_to_string(err, test)  # type: ignore[attr-defined,no-any-return]  # as its subclasses do


def each(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite of suites, in their order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


def main(results: str, expression: str = "") -> None:
    """See the module."""
    import tempest

    packages = Path(tempest.__file__).parent.parent
    found = unittest.TestLoader().discover(str(packages / "tempest/api/image"), top_level_dir=str(packages))
    wanted = unittest.TestSuite(test for test in each(found) if re.search(expression, test.id()))
    with Path(results).open("w") as out:
        wanted.run(Results(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
