"""The inspector `checksum`: digests and lengths."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.checksum import HEX_DIGITS, Checksum
from douane_plugin import Reject
from support.plugin_runs import answer, as_image, cut
from support.signing import code_of, granted

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


SHA256, SHA512 = (hashlib.new(name, DATA).hexdigest() for name in ("sha256", "sha512"))


@pytest.mark.parametrize(
    ("sums", "name", "code"),
    [
        (f"{SHA256}  disk.img\n", "disk.img", None),
        (f"{SHA256} *disk.img\r\n{'0' * 64} *other.img\r\n", "disk.img", None),
        (f"{SHA256.upper()}  ./images/disk.img\n", "disk.img", None),
        (f"# of Fedora\n# disk.img: 5 bytes\nSHA256 (disk.img) = {SHA256}\n", "disk.img", None),
        (f"SHA2-512(disk (1).img)= {SHA512}\n", "disk (1).img", None),
        (f"\\{SHA256}  a\\nb\\\\n\n", "a\nb\\n", None),
        (f"{SHA256}  disk.img\n{SHA512}  disk.img\n", "disk.img", None),
        (f"{SHA256}  disk.img\n{'0' * 128}  disk.img\n", "disk.img", "checksum-mismatch"),
        (f"{'0' * 64}  disk.img\n", "disk.img", "checksum-mismatch"),
        (f"{SHA256}  disk.img\n{SHA256}  b/disk.img\n", "disk.img", None),
        (f"{SHA256}  disk.img\n{'0' * 64}  b/disk.img\n", "disk.img", "sums-ambiguous"),
        (f"{SHA256}  disk.img.old\n{SHA256}  a-disk.img\n", "disk.img", "sums-not-listed"),
        (f"{SHA256}  disk.img\n", "DISK.img", "sums-not-listed"),
        (f"{SHA256}  disk.img\n", None, "incomplete:sums-no-name"),
        (f"{SHA256}  disk.img\n", "", "incomplete:sums-no-name"),
        (f"{hashlib.md5(DATA).hexdigest()}  disk.img\n", "disk.img", "sums-not-listed"),
    ],
)
def test_a_list_of_digests_is_looked_up_by_name(sums: str, name: str | None, code: str | None) -> None:
    assert code_of(granted(Checksum, {"sums": sums.encode()}), DATA, name=name) == code
    if name and code is None:
        assert code_of(granted(Checksum, {"sums": sums.encode()}, name=name), DATA, name="Debian 12") is None
        assert code_of(granted(Checksum, {"sums": sums.encode()}), DATA + b"x", name=name) == "checksum-mismatch"


def test_md5_of_a_list_counts_if_the_site_says_so() -> None:
    sums = f"MD5 (disk.img) = {hashlib.md5(DATA).hexdigest()}\n".encode()
    assert code_of(granted(Checksum, {"sums": sums}, algorithm="md5"), DATA, name="disk.img") is None


@pytest.mark.parametrize("sums", [b"", b"no digest\n", b"abc  disk.img\n"])
def test_a_list_without_a_digest_is_a_configuration_error(sums: bytes) -> None:
    with pytest.raises(ValueError, match="granted as 'sums'"):
        granted(Checksum, {"sums": sums})


def test_a_digest_comes_from_one_place() -> None:
    with pytest.raises(ValueError, match="'expected' is missing"):
        Checksum()
    with pytest.raises(ValueError, match="exclude each other"):
        granted(Checksum, {"sums": f"{SHA256}  x\n".encode()}, expected=SHA256)
