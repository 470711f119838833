"""Sizes and durations as operators write them."""

from __future__ import annotations

import pytest

from douane.units import number_of, parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [(1, 1), ("1", 1), ("4096", 4096), ("512MiB", 1 << 29), ("1 GiB", 1 << 30), ("1GB", 10**9), ("1.5KiB", 1536)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", [0, -1, "", "x", "5 parsecs", "-1MiB", True, None, [1], "1e9", "٣MiB", "0.1B"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(30, 30), (0.5, 0.5), ("30s", 30), ("10m", 600), ("1.5h", 5400), ("250ms", 0.25), ("1d", 86400)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", [0, -1, "", "30", "10M", "5 years", True, None, float("inf"), float("nan")])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(text)


def test_they_are_shown_for_a_person():
    assert [show_size(size) for size in (0, 512, 1536, 5 << 30, 3 << 40)] == [
        "0 B",
        "512 B",
        "1.5 KiB",
        "5.0 GiB",
        "3.0 TiB",
    ]
    assert [show_duration(seconds) for seconds in (0.25, 12.5, 184, 600, 5400, 86400)] == [
        "250 ms",
        "12.5 s",
        "3 min 4 s",
        "10 min",
        "1 h 30 min",
        "24 h",
    ]


def test_a_number_has_its_noun():
    assert [number_of(count, "image") for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [number_of(count, "copy", "copies") for count in (1, 2)] == ["1 copy", "2 copies"]
