"""How the inspector `secrets` matches in bytes that come in pieces, and how it verifies what it finds."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.secrets.keys import ENCRYPTED, state_of_text
from douane.plugins.secrets.matching import SHORT_HOLE, Anchors, FileMatcher
from douane.plugins.secrets.rules import built_in_rules
from support.planted_secrets import Maker

RULES = built_in_rules()
ANCHORS = Anchors(RULES)
Seen = list[tuple[str, int, bytes, str]]


def seen(pieces: list[tuple[int, bytes]], path: str = "/srv/file") -> Seen:
    """The secrets that are found in the pieces of a file."""
    at_path = [rule for rule in RULES.rules.values() if rule.paths and not rule.anchor and rule.paths.fullmatch(path)]
    matcher = FileMatcher(ANCHORS, at_path, path, RULES.allowed.texts)
    matcher.match((offset, memoryview(piece)) for offset, piece in pieces)
    return [(hit.rule.id, hit.offset, hit.secret, hit.state) for hit in matcher.hits]


def states(data: bytes) -> list[tuple[str, str]]:
    return [(rule, state) for rule, _, _, state in seen([(0, data)])]


def cut(data: bytes, places: list[int]) -> Iterator[tuple[int, bytes]]:
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    for start, end in itertools.pairwise(borders):
        yield start, data[start:end]


MATERIAL = [
    item.content
    for make in [Maker(Random(7))]
    for item in [*make.private_keys(), *make.tokens(), *make.clouds()]
    if item.rule != "keytab"
]
PASSWORDS = {item.path: item.content for item in Maker(Random(7)).passwords()}


@given(
    st.lists(st.sampled_from(MATERIAL), min_size=1, max_size=4),
    st.lists(st.binary(max_size=40), min_size=4, max_size=4),
    st.lists(st.integers(0, 100_000), max_size=12),
    st.integers(0, 20_000),
)
def test_any_cutting_of_the_bytes_finds_the_same(
    texts: list[bytes], between: list[bytes], places: list[int], filler: int
) -> None:
    data = b"." * filler + b"".join(b"\n" + text + b"\n" + noise for text, noise in zip(texts, between, strict=False))
    whole = seen([(0, data)])
    assert whole
    assert seen(list(cut(data, places))) == whole


@given(st.sampled_from(sorted(PASSWORDS)), st.integers(0, 70_000), st.lists(st.integers(0, 200_000), max_size=8))
def test_passwords_far_into_a_file_are_found_however_it_is_cut(path: str, lines: int, places: list[int]) -> None:
    data = b"#\n" * lines + PASSWORDS[path]
    whole = seen([(0, data)], path)
    assert [data[offset : offset + len(secret)] for _, offset, secret, _ in whole] == [
        secret for _, _, secret, _ in whole
    ]
    assert whole
    assert seen(list(cut(data, places)), path) == whole


@pytest.mark.parametrize("hole", [1, SHORT_HOLE, SHORT_HOLE + 1, 1 << 50])
def test_a_secret_behind_a_hole_has_its_offset(hole: int) -> None:
    token = f"ghp_{Maker(Random(1)).checked()}".encode()
    found_at = [
        offset for _, offset, _, _ in seen([(0, b"text "), (5 + hole, token + b"\n"), (2 * hole + 100, b"end")])
    ]
    assert found_at == [5 + hole]


def test_a_keytab_begins_a_file() -> None:
    [item] = [item for item in Maker(Random(1)).private_keys() if item.rule == "keytab"]
    assert states(item.content) == [("keytab", "")]
    assert states(b"x" + item.content) == []
    assert seen([(0, b"x"), (1 << 20, item.content)]) == []


def test_what_was_not_made_at_random_is_an_example() -> None:
    for text in (b"AKIAIOSFODNN7EXAMPLE", b"AKIA" + b"A" * 16, b"hf_" + b"a" * 34, b"sk_live_" + b"x" * 24):
        assert states(text + b"\n") == []


def test_a_wrong_checksum_is_unconfirmed_and_a_key_without_its_secret_too() -> None:
    make = Maker(Random(3))
    token = make.checked()
    assert states(f"ghp_{token}\n".encode()) == [("github-token", "")]
    assert states(f"npm_{token[::-1]}\n".encode()) == [("npm-token", "unconfirmed")]
    assert states(b"id: AKIA" + make.text(16, "ABCDEFGHIJKLMNOP234567").encode()) == [("aws-access-key", "unconfirmed")]
    age = make.age_key()
    assert states(age.encode()) == [("age-key", "")]
    assert states((age[:-1] + ("Q" if age[-1] != "Q" else "P")).encode()) == []


def test_a_locked_password_is_no_way_in() -> None:
    digest = b"$y$j9T$" + b"a" * 22 + b"$" + b"b" * 43
    lines = b"root:" + digest + b":1::::::\nme:!" + digest + b":1::::::\nx:*:1::::::\n"
    assert [(rule, state) for rule, _, _, state in seen([(0, lines)], "/etc/shadow")] == [
        ("password-hash", ""),
        ("password-hash", "locked"),
    ]


# Keys that programs have made


def openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), ""),
        (("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"), ""),
        (("genpkey", "-algorithm", "ED25519"), ""),
        (("genrsa", "-traditional", "1024"), ""),
        (("genrsa", "-traditional", "-primes", "3", "1024"), ""),
        (("genrsa", "-traditional", "-aes128", "-passout", "pass:word", "1024"), ENCRYPTED),
        (("genrsa", "-aes128", "-passout", "pass:word", "1024"), ENCRYPTED),
        (("ecparam", "-genkey", "-noout", "-name", "prime256v1"), ""),
        (("gendsa", "DSA"), ""),
    ],
    ids=lambda value: "-".join(value[:3]) if isinstance(value, tuple) else value,
)
def test_a_key_of_openssl(words: tuple[str, ...], state: str, tmp_path: Path) -> None:
    if "DSA" in words:
        (tmp_path / "parameters").write_bytes(openssl("dsaparam", "1024"))
        words = (*words[:-1], str(tmp_path / "parameters"))
    key = openssl(*words)
    assert states(key) == [("private-key", state)]
    assert states(b'"key": "' + key.replace(b"\n", b"\\n") + b'"') == [("private-key", state)]
    assert states(key.replace(b"\n", b"\r\n")) == [("private-key", state)]
    lines = key.splitlines()
    assert states(b"\n".join([lines[0], *lines[2:]])) == [] or state == ENCRYPTED


@pytest.mark.parametrize(("passphrase", "state"), [("", ""), ("a word", ENCRYPTED)])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_key_of_openssh(kind: str, passphrase: str, state: str, tmp_path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", kind, "-a", "1", "-N", passphrase, "-f", str(tmp_path / "key")]
    subprocess.run(words, check=True)
    assert states((tmp_path / "key").read_bytes()) == [("private-key", state)]
    assert states((tmp_path / "key.pub").read_bytes()) == []


def test_a_public_key_and_the_words_alone_are_no_secret() -> None:
    for text in (
        b"-----BEGIN PUBLIC KEY-----\n" + b"QUJD" * 30 + b"\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\n" + b"QUJD" * 30 + b"\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----\n",
        b"if line == '-----BEGIN OPENSSH PRIVATE KEY-----':",
    ):
        assert states(text) == []


@given(st.binary(max_size=300), st.sampled_from([b"", b"RSA ", b"EC ", b"DSA ", b"OPENSSH ", b"ENCRYPTED "]))
def test_no_bytes_break_the_verification(data: bytes, kind: bytes) -> None:
    import base64

    text = b"-----BEGIN %sPRIVATE KEY-----\n%s-----END" % (kind, base64.encodebytes(data.ljust(60, b"\0")))
    assert state_of_text(text) in (None, "", ENCRYPTED)
