"""Mutants of headers, as tests of hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import codes, examine, examine_chunks, summary


def header_mutants(seeds: Callable[[], Sequence[bytes]], places: int) -> Callable[[], None]:
    """A test: mutants of `seeds`, mostly in their first `places` bytes, do not fail and do not depend on chunks."""

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
        uncut = examine(bytes(image), size_known=size is not None)
        assert "reader-failed" not in codes(uncut)
        cut = examine_chunks((bytes(image[start:end]) for start, end in pairwise(cuts)), size)
        assert summary(cut) == summary(uncut)

    return test
