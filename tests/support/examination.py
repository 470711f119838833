"""Examine bytes, cut in chosen ways: what is found must be the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from douane.plugins.formats.base import Format
from douane.plugins.formats.codes import CODES
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.match import Match
from douane.plugins.formats.registry import FORMATS


def examine(
    image: bytes, *, size_known: bool = True, cut: int = 1 << 20, formats: Sequence[Format] = FORMATS
) -> Examination:
    """The ended examination of `image`, fed in chunks of `cut` bytes."""
    return examine_chunks(
        (image[at : at + cut] for at in range(0, len(image), cut)), len(image) if size_known else None, formats
    )


def examine_chunks(
    chunks: Iterable[bytes], size: int | None = None, formats: Sequence[Format] = FORMATS
) -> Examination:
    """The ended examination of what `chunks` are together."""
    examination = Examination(formats, size)
    for chunk in chunks:
        examination.feed(memoryview(chunk))
    examination.finish()
    return examination


def examine_file(path: Path, cut: int = 1 << 20) -> Examination:
    """The ended examination of a file."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(cut):
                yield chunk

    return examine_chunks(chunks(), path.stat().st_size)


def examine_sparse(path: Path) -> Examination:
    """The same, without the bytes that no reader asks for."""
    examination = Examination(FORMATS, path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            examination.feed(memoryview(chunk))
            length = examination.skippable()
            examination.skip(length)
            file.seek(length, 1)
    examination.finish()
    return examination


def names(examination: Examination) -> list[str]:
    """The formats found."""
    return [match.name for match in examination.matches]


def codes(examination: Examination) -> set[str]:
    """The codes of all findings."""
    return {finding.code for finding in examination.findings}


def summary(examination: Examination) -> object:
    """All that is found, to compare two ways of cutting the same bytes; in no order, as readers run side by side."""
    return [
        (
            match.name,
            match.disk_format,
            match.variant,
            match.virtual_size,
            sorted((finding.code, finding.detail, str(finding.offset)) for finding in match.findings),
            sorted((field.name, str(field.value), str(field.offset)) for field in match.fields),
            [(name, summary(inner)) for name, inner in match.inner],
        )
        for match in examination.matches
    ], sorted((finding.code, finding.detail) for finding in examination.findings)


def match_of(image: bytes, name: str, *, size_known: bool = True) -> Match:
    """The first match of `image`, which must be the format `name`."""
    match: Match = examine(image, size_known=size_known).matches[0]
    assert match.name == name
    return match


def fields(match: Match) -> dict[str, int | str]:
    """The fields of a match, by name."""
    return {field.name: field.value for field in match.fields}


def policies(examination: Examination) -> dict[str, str]:
    """The codes of all findings, with what the default policy does about each."""
    return {code: CODES[code][0] for code in codes(examination)}


def refused(image: bytes | Examination) -> set[str]:
    """The codes of findings that the default policy refuses."""
    examination = image if isinstance(image, Examination) else examine(image)
    return {code for code, policy in policies(examination).items() if policy == "refuse"}


def details(examination: Examination) -> str:
    """The sentences of all findings."""
    return "\n".join(finding.detail for finding in examination.findings)


def assert_cuts_agree(image: bytes, cut: int, *, size_known: bool = True) -> None:
    """Examine `image` whole and in chunks of `cut` bytes: no reader fails, and both find the same."""
    reference = examine(image, size_known=size_known, cut=len(image) + 1)
    assert "reader-failed" not in codes(reference), details(reference)
    assert summary(examine(image, size_known=size_known, cut=cut)) == summary(reference)
