"""How a test cuts an image, and how a kept chunk is detected, as in production."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_plugin import Inspector, Reject, Transform
from douane_plugin.testing import Cuts, assert_same_for_all_cuts, run, run_all_cuts


def lengths_of(image, **keywords):
    observed = []

    class Looks(Inspector):
        def inspect(self, image):
            observed.extend(len(chunk) for chunk in image)

    run(Looks, image, **keywords)
    return observed


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (None, [10]),
        (3, [3, 3, 3, 1]),
        ([1, 2], [1, 2, 7]),
        ([1, 2, 70], [1, 2, 7]),
        (Cuts(7, 3), [3, 4, 3]),
        (Cuts(), [10]),
        (Cuts(0, 3, 3, 99), [3, 7]),
        (lambda offset, rest: 1 if offset < 2 else rest - 1 if rest > 1 else 1, [1, 1, 7, 1]),
    ],
)
def test_an_image_is_cut_by_the_argument_chunks(chunks, expected):
    assert lengths_of(b"0123456789", chunks=chunks) == expected
    assert lengths_of(iter([b"01234", b"", b"56789"]), chunks=chunks, declared={"size": 10}) == (
        [5, 5] if chunks is None else expected
    )


def test_the_items_of_a_list_are_chunks():
    assert lengths_of([b"a", b"", b"bcd", b"e"]) == [1, 3, 1]


def test_no_chunk_is_longer_than_in_production():
    assert lengths_of(bytes(5 << 19)) == [1 << 20, 1 << 20, 1 << 19]
    assert lengths_of(bytes(5 << 19), chunks=2 << 20) == [1 << 20, 1 << 20, 1 << 19]


def test_random_cuts_follow_from_the_seed():
    image = bytes(range(256)) * 16
    ways = [tuple(lengths_of(image, chunks="random", seed=seed)) for seed in (1, 2, 3)]
    assert len(set(ways)) == 3
    assert ways[1] == tuple(lengths_of(image, chunks="random", seed=2))
    assert {sum(way) for way in ways} == {4096}


@pytest.mark.parametrize("chunks", [0, -1, True, 1.5, "often", [1, 0], ["1"], lambda offset, rest: 0])
def test_an_invalid_length_of_a_chunk_is_refused(chunks):
    with pytest.raises(ValueError, match="chunk"):
        lengths_of(b"0123", chunks=chunks)


@given(st.binary(max_size=200), st.lists(st.integers(1, 50)), st.integers(0, 9))
def test_every_byte_arrives_once_in_order(data, lengths, seed):
    class Copies(Transform):
        def transform(self, image):
            for chunk in image:
                yield chunk

    assert run(Copies, data, chunks=lengths).output == data
    assert run(Copies, data, chunks="random", seed=seed).output == data
    assert run(Copies, iter([data]), chunks="random", seed=seed).output == data


def test_a_hole_of_a_file_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.write(b"head")
        file.seek(-4, os.SEEK_END)
        file.write(b"tail")

    class Looks(Inspector):
        reads = "head:3000000"

        def inspect(self, image):
            data = b"".join(map(bytes, image))
            return {"zeros": data[4:] == bytes(len(data) - 4), "length": len(data), "size": image.size}

    for chunks in (None, 1 << 20, 99_999):
        properties = run(Looks, path, chunks=chunks).properties
        assert properties == {"zeros": True, "length": 3_000_000, "size": 1 << 40}


# revoked chunks


class Keeps(Inspector):
    """Keeps `what(chunk)` of each chunk."""

    what = staticmethod(bytes)

    def inspect(self, image):
        views = []
        for chunk in image:
            views.append(type(self).what(chunk))
        return {"first": bytes(views[0]).decode()}


def keeping(what):
    return type("Keeps", (Keeps,), {"what": staticmethod(what)})


def test_a_copy_may_be_kept():
    assert run(Keeps, b"abcdef", chunks=2).properties == {"first": "ab"}


def test_a_kept_chunk_is_revoked():
    with pytest.raises(ValueError, match="released"):
        run(keeping(lambda chunk: chunk), b"abcdef", chunks=2)


@pytest.mark.parametrize("what", [lambda chunk: chunk[0:1], lambda chunk: memoryview(chunk).cast("H")])
def test_a_kept_view_of_a_chunk_raises_before_it_shows_other_bytes(what):
    with pytest.raises(BufferError, match=r"offset 0.*bytes\(view\)"):
        run(keeping(what), b"abcdef", chunks=2)


def test_a_slice_may_live_for_one_more_chunk():
    class Bound(Inspector):
        def inspect(self, image):
            parts = []
            for chunk in image:
                part = chunk[1:]
                parts.append(bytes(part).decode())
            return {"ends": "".join(parts)}

    assert run(Bound, b"abcdef", chunks=2).properties == {"ends": "bdf"}


def test_released_memory_holds_other_bytes():
    class Peeks(Inspector):
        """Looks at the slot of the first chunk by its mapping, as a library in C could."""

        def inspect(self, image):
            next(image)
            slots = image._source._mappings  # not the mapping itself: holding that counts as a view
            assert slots[0][:2] == b"ab"
            next(image)
            return {"still": slots[0][:2] == b"ab"}

    assert run(Peeks, b"abcdef", chunks=2).properties == {"still": False}


# all cuts


class Carries(Inspector):
    """Finds "needle" wherever the image is cut."""

    def inspect(self, image):
        for window in image.windows(16, overlap=5):
            if b"needle" in bytes(window):
                raise Reject("needle-found", "it holds a needle")


class Misses(Inspector):
    """Misses a match that straddles two chunks."""

    def inspect(self, image):
        if any(b"needle" in bytes(chunk) for chunk in image):
            raise Reject("needle-found", "it holds a needle")


def test_an_answer_that_is_the_same_for_all_cuts_is_returned():
    assert assert_same_for_all_cuts(Carries, b"hay, needle, hay").code == "needle-found"
    assert assert_same_for_all_cuts(Carries, iter([b"hay, nee", b"dle, hay"])).code == "needle-found"


def test_a_match_that_straddles_chunks_is_shown_with_one_cut_and_the_remedy():
    with pytest.raises(AssertionError) as caught:
        assert_same_for_all_cuts(Misses, b"hay, needle, hay")
    text = str(caught.value)
    assert "cut at 6: " in text or "cut at 7: " in text or "cut at 8: " in text
    assert "whole: " in text and "needle-found" in text
    assert "b'hay, n' | b'eedle, hay'" in text
    assert "image.windows(size, overlap=N - 1)" in text


def test_the_argument_near_adds_cuts_to_a_large_image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(300_000) + b"needle" + bytes(300_000))
    with pytest.raises(AssertionError, match=r"cut at 30000[1-5]:"):
        assert_same_for_all_cuts(Misses, path, near=[300_003])
    assert assert_same_for_all_cuts(Carries, path, near=[300_003]).code == "needle-found"


def test_a_difference_between_pieces_is_reduced_to_one_cut():
    class NoSeventh(Inspector):
        """Sees a chunk that begins at 504, in an image too long for every single cut."""

        def inspect(self, image):
            at = 0
            for chunk in image:
                if at == 504:
                    raise Reject("seventh", "a chunk begins there")
                at += len(chunk)

    with pytest.raises(AssertionError, match=r"cut at 504:"):
        assert_same_for_all_cuts(NoSeventh, bytes(1000), seed=5)


def test_transforms_are_compared_by_their_output():
    class First(Transform):
        def transform(self, image):
            for chunk in image:
                yield bytes(chunk[:2])

    with pytest.raises(AssertionError, match="output of 2 bytes"):
        assert_same_for_all_cuts(First, b"abcdef")


def test_a_failure_with_some_cuts_is_a_difference():
    with pytest.raises(AssertionError, match="BufferError"):
        assert_same_for_all_cuts(keeping(lambda chunk: chunk[0:1]), b"abcdef")


def test_a_failure_with_the_whole_image_is_raised():
    class Fails(Inspector):
        def inspect(self, image):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        assert_same_for_all_cuts(Fails, b"abc")


def test_a_plugin_that_keeps_state_between_runs_is_reported():
    class Counts(Inspector):
        runs = 0

        def inspect(self, image):
            type(self).runs += 1
            return {"run": self.runs}

    with pytest.raises(AssertionError, match="keeps state between runs"):
        assert_same_for_all_cuts(Counts, b"abc")


def test_the_results_of_all_cuts_are_keyed_by_the_way_of_cutting():
    results = run_all_cuts(Misses, b"a needle")
    assert results["whole"].outcome == results["cut at 2"].outcome == "refused"
    assert results["cut at 5"].outcome == results["pieces of 1"].outcome == "accepted"
    assert any(how.startswith("random") for how in results)
    assert {f"cut at {place}" for place in range(1, 8)} <= set(results)


def test_grants_and_configuration_hold_for_all_cuts():
    class Rules(Inspector):
        def __init__(self, depth: int):
            self.depth = depth

        def inspect(self, image):
            return {"rules": self.grant("rules").read().decode(), "depth": self.depth}

    result = assert_same_for_all_cuts(Rules, b"abc", grants={"rules": "x"}, config={"depth": 3})
    assert result.properties == {"rules": "x", "depth": 3}
