"""The data area knows its bytes near both ends of the file, and needs little memory whatever the tables say."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.formats.data_area import DataArea
from douane.plugins.formats.requests import HEAD_BYTES, TAIL_BYTES

MIB = 1 << 20


@given(
    st.sets(st.integers(0, 4000), min_size=1, max_size=400),
    st.sampled_from([512, 4096, 65536]),
    st.integers(1, 50),
    st.booleans(),
)
def test_blocks_near_the_ends_are_known(numbers: set[int], block: int, step: int, total_known: bool) -> None:
    starts = [number * block for number in numbers]
    total = max(starts) + block
    area = DataArea(total if total_known else None)
    for at in range(0, len(starts), step):
        area.add_blocks(starts[at : at + step], block)
    near = [*range(0, min(HEAD_BYTES, total), 512), *range(max(0, total - TAIL_BYTES), total, 512)]
    for offset in near:
        assert (area.region_at(offset) is not None) == (offset // block in numbers), offset
    assert area.region_at(total) is None


def test_region_says_what_it_holds_and_where_it_begins() -> None:
    area = DataArea(10 * MIB)
    area.add(1024, 5000, base=512)
    area.add(1024, 0)
    region = area.region_at(6000)
    assert region is not None
    assert (region.start, region.end, region.base, region.content) == (1024, 6024, 512, None)
    assert area.region_at(1023) is None
    assert area.region_at(6024) is None


@pytest.mark.parametrize("total", [None, 1 << 40])
def test_overlapping_blocks_take_little_memory_and_count_as_no_data(total: int | None) -> None:
    area = DataArea(total)
    tracemalloc.start()
    for at in range(5):
        area.add_blocks(range(at, 200_000), 1 << 30)
        area.add_blocks(range((1 << 39) + at, (1 << 39) + 200_000), 1 << 30)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < MIB
    assert peak < 64 * MIB
    assert area.region_at(0) is None
    assert area.region_at((1 << 39) + 200_000) is None
