"""The checks for any bytes: no exception, no failed reader, the same answer for all chunks, bounded work."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from douane.plugins.formats import examination
from douane.plugins.formats.base import REFUSE, Format
from douane.plugins.formats.codes import CODES
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.registry import FORMATS
from support.examination import summary

MOST_STEPS = 20_000
MOST_STEPS_PER_BYTE = 1 / 8
"""The limits of answers to readers: some thousands, and one for each 8 bytes of the image."""

MOST_ANSWERED = 16 << 20
MOST_ANSWERED_PER_BYTE = 12
"""The limits of bytes in these answers. Several readers may request the same megabyte, but not all of them."""

SIZE_UNKNOWN, SIZE_KNOWN, SKIPPING, EITHER = range(4)
"""How an image is examined twice: with unknown size; with known size; with known size and skipping the second time;
with known size the first time only, where just the verdict must be the same."""


class Broken(Exception):
    """A check that fails."""


class Work:
    """Counts the work of readers since :meth:`begin`. A context: while it is open, it counts every Examination."""

    def __init__(self) -> None:
        self.steps = self.answered = 0
        self._plain: Any = None

    def begin(self) -> None:
        """Reset the counts."""
        self.steps = self.answered = 0

    def __enter__(self) -> Work:
        plain = self._plain = examination.Examination._resume

        def counting(walker: Any, task: Any, answer: Any) -> bool:
            self.steps += 1
            if isinstance(answer, bytes):
                self.answered += len(answer)
            return bool(plain(walker, task, answer))

        setattr(examination.Examination, "_resume", counting)  # noqa: B010  # mypy allows no assignment to a method
        return self

    def __exit__(self, *_: object) -> None:
        setattr(examination.Examination, "_resume", self._plain)  # noqa: B010  # as above

    def check(self, length: int) -> None:
        """Raise Broken if there was more work than `length` bytes justify."""
        if self.steps > MOST_STEPS + length * MOST_STEPS_PER_BYTE:
            raise Broken(f"{self.steps} steps for {length} bytes")
        if self.answered > MOST_ANSWERED + length * MOST_ANSWERED_PER_BYTE:
            raise Broken(f"readers got {self.answered} bytes of {length}")


def examine_cut(
    data: bytes, cuts: Sequence[int], *, size_known: bool, skipping: bool = False, formats: Sequence[Format] = FORMATS
) -> Examination:
    """The ended examination of `data` in chunks between the offsets `cuts`; `skipping` skips unrequested bytes."""
    examination = Examination(formats, len(data) if size_known else None)
    view = memoryview(data)
    for start, end in pairwise(cuts):
        at = start
        if skipping:
            at += min(examination.skippable(), end - at)
            examination.skip(at - start)
        if at < end:
            examination.feed(view[at:end])
    examination.finish()
    return examination


def check(data: bytes, cuts: Sequence[int], work: Work, how: int, formats: Sequence[Format] = FORMATS) -> Examination:
    """Examine `data` twice. Raises Broken, or an exception of the examination."""
    work.begin()
    uncut = examine_cut(
        data, (*range(0, len(data), 1 << 20), len(data)), size_known=how != SIZE_UNKNOWN, formats=formats
    )
    work.check(len(data))
    failed = [finding for finding in uncut.findings if finding.code == "reader-failed"]
    if failed:
        raise Broken(f"{failed[0].format}: {failed[0].detail}")
    cut = examine_cut(data, cuts, size_known=how in (SIZE_KNOWN, SKIPPING), skipping=how == SKIPPING, formats=formats)
    expected, actual = (_verdict(uncut), _verdict(cut)) if how == EITHER else (summary(uncut), summary(cut))
    if expected != actual:
        why = {SKIPPING: "with skipping", EITHER: "with its length unknown"}.get(how, "for other chunks")
        raise Broken(f"another answer {why}: {_difference(expected, actual)}")
    return uncut


def _verdict(examination: Examination) -> object:
    """The default verdict: refused, or the matches and the codes.

    With a known length a reader notices at once that a table is outside, and stops; otherwise it continues and may find
    something else first. Both refuse.
    """
    codes = {finding.code for finding in examination.findings}
    if any(CODES[code][0] == REFUSE for code in codes):
        return "refused"
    return sorted((match.name, match.variant, match.virtual_size or 0) for match in examination.matches), sorted(codes)


def _difference(expected: Any, actual: Any, path: str = "") -> str:
    if type(expected) is type(actual) and isinstance(expected, list | tuple):
        for number, (expected_part, actual_part) in enumerate(zip(expected, actual, strict=False)):
            if expected_part != actual_part:
                return _difference(expected_part, actual_part, f"{path}/{number}")
        rest = expected[len(actual) :] or actual[len(expected) :]
        return f"{path}: {len(expected)} and {len(actual)}: {str(rest)[:300]}"
    return f"{path}: {str(expected)[:300]} and {str(actual)[:300]}"
