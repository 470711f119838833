"""The inspector `checksum`: digests and lengths."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.checksum import HEX_DIGITS, Checksum
from douane_plugin import Reject
from support.plugin_runs import answer, as_image, cut

DATA = bytes(range(256)) * 1000


@pytest.mark.parametrize("algorithm", HEX_DIGITS)
def test_the_expected_digest_may_be_in_upper_case_and_padded(algorithm: str) -> None:
    expected = hashlib.new(algorithm, DATA).hexdigest()
    properties = {"algorithm": algorithm, "digest": expected}
    assert answer(Checksum(expected, algorithm), DATA) == ("accept", properties)  # type: ignore[arg-type]  # a str
    assert answer(Checksum(f" {expected.upper()}\n", algorithm), DATA) == ("accept", properties)  # type: ignore[arg-type]


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000)))
def test_the_digest_is_the_same_for_all_chunk_sizes(data: bytes, cuts: list[int]) -> None:
    assert answer(Checksum(hashlib.sha256(data).hexdigest()), cut(data, cuts))[0] == "accept"


def test_another_digest_is_refused_with_both_digests() -> None:
    expected = hashlib.sha256(b"something else").hexdigest()
    image, _ = as_image(DATA)
    with pytest.raises(Reject) as refused:
        Checksum(expected).inspect(image)
    assert refused.value.code == "checksum-mismatch"
    assert expected in refused.value.message
    assert hashlib.sha256(DATA).hexdigest() in refused.value.message


def test_a_changed_last_byte_is_refused() -> None:
    expected = hashlib.md5(DATA).hexdigest()
    assert answer(Checksum(expected, "md5"), DATA[:-1] + b"x") == ("reject", "checksum-mismatch")


def test_a_wrong_declared_length_is_refused_before_the_first_byte() -> None:
    image, source = as_image(DATA, size=len(DATA))
    with pytest.raises(Reject) as refused:
        Checksum(hashlib.sha256(DATA).hexdigest(), size=len(DATA) + 1).inspect(image)
    assert (refused.value.code, source.given_bytes) == ("size-mismatch", 0)


def test_an_image_longer_than_expected_is_not_read_to_its_end() -> None:
    image, source = as_image(cut(DATA, range(0, len(DATA), 1000)))
    with pytest.raises(Reject) as refused:
        Checksum(hashlib.sha256(DATA).hexdigest(), size="2KiB").inspect(image)
    assert (refused.value.code, source.given_bytes) == ("size-mismatch", 3000)


def test_an_image_shorter_than_expected_is_refused_for_its_size() -> None:
    plugin = Checksum(hashlib.sha256(DATA).hexdigest(), size=len(DATA) + 1)
    assert answer(plugin, DATA) == ("reject", "size-mismatch")


@pytest.mark.parametrize("expected", ["", "abc", "g" * 64, "a" * 63, "a" * 65, "\u0663" * 64])
def test_a_malformed_digest_is_a_configuration_error(expected: str) -> None:
    with pytest.raises(ValueError, match="'expected' is a sha256 digest, 64 hexadecimal digits"):
        Checksum(expected)


def test_an_unknown_algorithm_is_an_error_with_the_known_algorithms() -> None:
    with pytest.raises(ValueError, match=r"'algorithm' is one of md5, .*sha512, not 'crc32'"):
        Checksum("a" * 8, "crc32")  # type: ignore[arg-type]  # what an operator may write


@pytest.mark.parametrize("size", [0, -1, "much", "1.x", "10 XB", "\u0663", True])
def test_a_malformed_size_is_a_configuration_error(size: int | str) -> None:
    with pytest.raises(ValueError, match="'size'"):
        Checksum("a" * 64, size=size)
