"""Change bytes of an image, and say what is found in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats.codes import CODES
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.match import Match
from support.examination import examine, examine_chunks, summary


def patched(image: bytes, *changes: tuple[int, bytes]) -> bytes:
    """`image` with other bytes at the offsets of `changes`."""
    new = bytearray(image)
    for offset, data in changes:
        new[offset : offset + len(data)] = data
    return bytes(new)


def be(value: int, length: int) -> bytes:
    """Big-endian."""
    return value.to_bytes(length, "big")


def le(value: int, length: int) -> bytes:
    """Little-endian."""
    return value.to_bytes(length, "little")


def match_of(image: bytes, name: str, **how: bool) -> Match:
    """What is found of the format `name`, which must be the first that `image` is taken for."""
    found = examine(image, **how).matches[0]
    assert found.name == name
    return found


def worth(examination: Examination) -> dict[str, str]:
    """Codes of findings, each with what it is worth by default."""
    return {finding.code: CODES[finding.code][0] for finding in examination.findings}


def shown(found: Match) -> dict[str, int | str]:
    """The fields, by name."""
    return {field.name: field.value for field in found.fields}


def hostile(seeds: Callable[[], Sequence[bytes]], places: int) -> Callable[[], None]:
    """A test: mutants of `seeds`, mostly in their first `places` bytes, upset nothing, however they are cut."""

    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test(data: st.DataObject) -> None:
        image = bytearray(data.draw(st.sampled_from(seeds())))
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, places) | st.integers(0, len(image)))
            width = data.draw(st.sampled_from((1, 2, 4, 8)))
            value = data.draw(st.sampled_from((0, 1, 1 << 8 * width - 1, (1 << 8 * width) - 1)) | st.integers(0, 70000))
            order = data.draw(st.sampled_from(("big", "little")))
            piece = (value % (1 << 8 * width)).to_bytes(width, "big")
            image[at : at + width] = piece if order == "big" else piece[::-1]
        del image[data.draw(st.just(len(image)) | st.integers(0, len(image))) :]
        cuts = sorted({0, len(image), *data.draw(st.lists(st.integers(0, len(image)), max_size=5))})
        size = data.draw(st.sampled_from((None, len(image))))
        whole = examine(bytes(image), size_known=size is not None)
        assert "reader-failed" not in {finding.code for finding in whole.findings}
        cut = examine_chunks((bytes(image[start:end]) for start, end in pairwise(cuts)), size)
        assert summary(cut) == summary(whole)

    return test
