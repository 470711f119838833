"""Checksums in Python alone give what their definitions give."""

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_guest.filesystems.btrfs.xxhash import xxhash64
from douane_guest.headers import crc32c as crc32c_module
from douane_guest.headers.crc32c import LONG, SHORT, crc32c, crc32c_raw, folded

GENERATOR = 0x11EDC6F41


def crc_by_bits(data: bytes, state: int) -> int:
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state


def test_crc32c_of_the_check_string():
    assert crc32c(b"123456789") == 0xE3069283


def test_crc32c_goes_on_where_it_ended():
    assert crc32c(b"56789", crc32c(b"1234")) == 0xE3069283


@given(st.integers(0, 400) | st.sampled_from([999, 4064, 5001]), st.integers(0, 2**32 - 1), st.randoms())
def test_folding_gives_what_a_step_for_each_bit_gives(length, state, chance):
    data = chance.randbytes(length)
    assert crc32c_raw(data, state) == folded(data, state) == crc_by_bits(data, state)


@pytest.mark.parametrize("exponents", [LONG, SHORT])
def test_the_multiples_are_multiples_of_the_generator(exponents):
    value = sum(1 << exponent for exponent in exponents) + 1
    while value.bit_length() >= GENERATOR.bit_length():
        value ^= GENERATOR << (value.bit_length() - GENERATOR.bit_length())
    assert value == 0


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"as", 0x1C330FB2D66BE179),
        (b"Call me Ishmael. Some years ago--never mind how long precisely-", 0x02A2E85470D6FD96),
    ],
)
def test_xxhash64_of_published_examples(data, value):
    assert xxhash64(data) == value


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_the_library_gives_what_folding_gives(data, state):
    library = crc32c_module._Library()
    extend = library.extend_after(crc32c_module.LIBRARY_BYTES)
    assert extend is not None
    assert extend(state ^ 0xFFFFFFFF, data) ^ 0xFFFFFFFF == crc32c_module.folded(data, state)


def test_the_library_waits_for_so_many_bytes_that_its_import_is_worth_it():
    library = crc32c_module._Library()
    assert library.extend_after(crc32c_module.LIBRARY_BYTES - 1) is None
    assert library.extend_after(1) is not None


@pytest.mark.parametrize("module", [None, SimpleNamespace(implementation="python")])
def test_without_the_library_or_its_c_part_checksums_are_folded(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "google_crc32c", module)
    library = crc32c_module._Library()
    assert library.extend_after(crc32c_module.LIBRARY_BYTES) is None
    assert library.extend_after(crc32c_module.LIBRARY_BYTES) is None
