"""Whatever stands in an envelope, a statement, a signature file or a list of digests, its reader answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins import _sums
from douane.plugins.attestations.envelope import IN_TOTO, Envelope, pre_authentication
from douane.plugins.attestations.statement import TYPE, Statement
from douane.plugins.attestations.strict_json import parse
from douane.plugins.signature.minisign import MinisignCheck
from douane_plugin import Reject

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([IN_TOTO, TYPE, "e30="])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def tables(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with these keys, most of them."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, VALUES))


@given(tables("payload", "payloadType", "signatures") | VALUES)
def test_any_json_is_an_envelope_or_an_error(table: Any) -> None:
    try:
        envelope = Envelope.parse(json.dumps(table).encode())
        pre_authentication(envelope.kind, envelope.payload)
    except ValueError:
        return
    assert {"payload", "payloadType", "signatures"} <= table.keys()


@given(tables("_type", "subject", "predicateType", "predicate").map(lambda table: {"_type": TYPE, **table}) | VALUES)
def test_any_json_is_a_statement_or_an_error(table: Any) -> None:
    try:
        statement = Statement.parse(IN_TOTO, json.dumps(table).encode())
    except ValueError:
        return
    assert statement.subjects and not statement.is_about({})


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_what_is_signed_is_one_pair_of_type_and_payload(first: bytes, second: bytes) -> None:
    kind = first.decode("latin-1")
    moved = kind + " " + str(len(second))
    assert pre_authentication(kind, second) != pre_authentication(moved, second)
    assert pre_authentication(kind, second).endswith(second)


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_signature_of_minisign_or_refused(data: bytes) -> None:
    for text in (
        data,
        b"untrusted comment: x\n" + data,
        b"untrusted comment: x\nRUS\ntrusted comment: " + data + b"\nAA==",
    ):
        try:
            MinisignCheck(text, {bytes(8): bytes(32)})
        except Reject as refusal:
            assert refusal.code in ("signature-invalid", "signature-untrusted")


@given(
    st.lists(st.tuples(st.sampled_from(["sha256", "sha512"]), st.text(min_size=1, max_size=12)), max_size=4), st.data()
)
def test_a_list_is_read_as_it_was_written(files: list[tuple[str, str]], data: st.DataObject) -> None:
    lines = []
    for algorithm, name in files:
        digest = data.draw(
            st.binary(min_size=_sums.DIGITS[algorithm] // 2, max_size=_sums.DIGITS[algorithm] // 2)
        ).hex()
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append((("\\" if escaped != name else "") + f"{digest}  {escaped}\n", algorithm, name, digest))
    parsed = _sums.parse("".join(line[0] for line in lines).encode("utf-8", "surrogatepass"))
    assert [(line.algorithm, line.digest) for line in parsed] == [(line[1], line[3]) for line in lines]
    for line, (_, _, name, _) in zip(parsed, lines, strict=True):
        assert line.name == name.removeprefix("./") or "\ud800" <= max(name) <= "\udfff"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_of_digests(data: bytes) -> None:
    assert all(len(line.digest) == _sums.DIGITS[line.algorithm] for line in _sums.parse(data))


def test_bytes_that_are_no_text_are_said_to_be_none() -> None:
    with pytest.raises(ValueError, match=r"^the envelope is no JSON: it is no text in UTF-8$"):
        parse(bytes(1028) + b"\x12\x34\x56\x78", "the envelope")
