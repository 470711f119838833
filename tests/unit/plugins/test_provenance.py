"""The inspector `provenance`: attestations beside the image."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from douane.plugins.provenance import Provenance
from support.images.signatures import certificate, key, pem
from support.plugin_runs import answer
from support.signing import code_of, granted

IMAGE = bytes(range(256)) * 5000
SHA256, SHA512 = (hashlib.new(name, IMAGE).hexdigest() for name in ("sha256", "sha512"))
SLSA = "https://slsa.dev/provenance/v1"
BUILDER = "https://builder.example.org/images"
PRIVATE = Ed25519PrivateKey.generate()
IN_TOTO = "application/vnd.in-toto+json"
SIGSTORE = Path(__file__).parents[2] / "support" / "sigstore"


def public(private: Any) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = private.public_key().public_bytes(serialization.Encoding.PEM, spki)
    return encoded


def statement(**changes: Any) -> dict[str, Any]:
    predicate = {
        "buildDefinition": {"buildType": "https://example.org/image"},
        "runDetails": {"builder": {"id": BUILDER}},
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "disk.img", "digest": {"sha256": SHA256}}],
        "predicateType": SLSA,
        "predicate": predicate,
    } | changes


def signed(payload: bytes, private: Any = PRIVATE, kind: str = IN_TOTO, *way: Any) -> bytes:
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    return envelope(payload, [private.sign(message, *way)], kind)


def envelope(payload: bytes, signatures: list[bytes], kind: str = IN_TOTO) -> bytes:
    return json.dumps(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind,
            "signatures": [{"keyid": "any", "sig": base64.b64encode(each).decode()} for each in signatures],
        }
    ).encode()


def attested(**changes: Any) -> bytes:
    return signed(json.dumps(statement(**changes)).encode())


def code(data: bytes, keys: bytes = public(PRIVATE), **config: Any) -> str | None:
    return code_of(granted(Provenance, {"keys": keys, "attestations": data}, **config), IMAGE)


def test_a_trusted_builder_is_named() -> None:
    plugin = granted(Provenance, {"keys": public(PRIVATE), "attestations": attested()}, builders=[BUILDER])
    documents: dict[str, Any] = {}
    plugin.attach = documents.__setitem__
    word, properties = answer(plugin, IMAGE)
    assert (word, properties["builder"], properties["verified"]) == ("accept", BUILDER, "key")
    assert properties["build_type"] == "https://example.org/image"
    assert documents["predicate"]["runDetails"]["builder"]["id"] == BUILDER
    assert code_of(plugin, IMAGE + b"x") == "provenance-subject"


@pytest.mark.parametrize(
    ("private", "way"),
    [
        (ec.generate_private_key(ec.SECP256R1()), (ec.ECDSA(hashes.SHA256()),)),
        (ec.generate_private_key(ec.SECP384R1()), (ec.ECDSA(hashes.SHA384()),)),
        (ec.generate_private_key(ec.SECP521R1()), (ec.ECDSA(hashes.SHA512()),)),
        (key("builder"), (padding.PKCS1v15(), hashes.SHA256())),
        (key("builder"), (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())),
    ],
    ids=["p256", "p384", "p521", "pkcs1", "pss"],
)
def test_keys_of_each_kind(private: Any, way: tuple[Any, ...]) -> None:
    data = signed(json.dumps(statement()).encode(), private, IN_TOTO, *way)
    assert code(data, public(PRIVATE) + public(private)) is None
    assert code(data) == "provenance-untrusted"


def test_a_second_opinion_agrees() -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    plain = json.loads(attested())
    Envelope.from_dict(plain).verify([SSlibKey.from_crypto(PRIVATE.public_key(), "any")], 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, None),
        ({"_type": "https://in-toto.io/Statement/v9"}, "provenance-invalid"),
        ({"subject": []}, "provenance-invalid"),
        ({"subject": [{"name": "disk.img"}]}, "provenance-invalid"),
        ({"subject": [{"digest": {"sha256": SHA256.upper(), "sha512": SHA512}}]}, None),
        ({"subject": [{"digest": {"sha256": SHA256, "sha512": "0" * 128}}]}, "provenance-subject"),
        ({"subject": [{"digest": {"sha256": SHA256[:-2]}}]}, "provenance-invalid"),
        ({"subject": [{"digest": {"sha256": "0" * 64}}, {"digest": {"sha256": SHA256}}]}, None),
        ({"subject": [{"digest": {"sha256": "0" * 64}}]}, "provenance-subject"),
        ({"subject": [{"digest": {"sha1": hashlib.sha1(IMAGE).hexdigest()}}]}, "provenance-weak"),
        ({"subject": [{"digest": {}}]}, "provenance-weak"),
        ({"predicateType": "https://spdx.dev/Document"}, "provenance-type"),
        ({"predicateType": "https://slsa.dev/provenance/v0.2", "predicate": {"builder": {"id": BUILDER}}}, None),
        ({"predicate": {"builder": {"id": BUILDER}}}, "provenance-builder"),
        ({"predicate": {"runDetails": {"builder": {"id": BUILDER + "/2"}}}}, "provenance-builder"),
        ({"predicate": {"runDetails": [BUILDER]}}, "provenance-builder"),
        ({"predicate": None}, "provenance-invalid"),
    ],
)  # fmt: skip
def test_statements(changes: dict[str, Any], expected: str | None) -> None:
    assert code(attested(**changes), builders=[BUILDER]) == expected


def test_other_kinds_of_attestations_count_if_the_site_says_so() -> None:
    other = {"predicateType": "https://example.org/tested", "predicate": {}}
    assert code(attested(**other), predicate_types=["https://example.org/tested"]) is None
    assert code(attested(), predicate_types=["https://example.org/tested"]) == "provenance-type"


PAYLOAD = json.dumps(statement()).encode()
TWICE = PAYLOAD[:-1] + b', "subject": [{"digest": {"sha256": "' + SHA256.encode() + b'"}}]}'
VALID = json.loads(signed(PAYLOAD))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "provenance-invalid"),
        (b"{}", "provenance-untrusted"),
        (b"[" * 100_000, "provenance-invalid"),
        (signed(PAYLOAD)[:-9], "provenance-invalid"),
        (envelope(PAYLOAD, []), "provenance-invalid"),
        (envelope(PAYLOAD, [b""]), "provenance-invalid"),
        (envelope(PAYLOAD, [b"x"] * 65), "provenance-invalid"),
        (envelope(PAYLOAD, [b"x" * 64]), "provenance-untrusted"),
        (envelope(PAYLOAD, [PRIVATE.sign(PAYLOAD)]), "provenance-untrusted"),
        (signed(PAYLOAD, kind="application/json"), "provenance-invalid"),
        (json.dumps(VALID | {"payloadType": "application/json"}).encode(), "provenance-untrusted"),
        (json.dumps(VALID | {"payloadType": 7}).encode(), "provenance-invalid"),
        (json.dumps(VALID | {"signatures": {}}).encode(), "provenance-invalid"),
        (json.dumps(VALID | {"signatures": ["x"]}).encode(), "provenance-invalid"),
        (signed(TWICE), "provenance-invalid"),
        (b'{"payloadType": "x", ' + signed(PAYLOAD)[1:], "provenance-invalid"),
        (signed(b"not json"), "provenance-invalid"),
        (signed(PAYLOAD.replace(b"Statement/v1", b"Statement/v1\\u0000")), "provenance-invalid"),
        (json.dumps(VALID | {"more": 1}).encode(), None),
        (envelope(PAYLOAD, [b"x" * 64, base64.b64decode(VALID["signatures"][0]["sig"])]), None),
    ],
)  # fmt: skip
def test_envelopes(data: bytes, expected: str | None) -> None:
    assert code(data) == expected


def test_one_of_several_attestations_must_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = attested(subject=[{"digest": {"sha256": "0" * 64}}])
    assert code(other + b"\n" + attested() + b"\n") is None
    assert code(other + b"\n" + signed(b"{}") + b"\n") == "provenance-subject"
    plugin = granted(Provenance, {"keys": public(PRIVATE), "attestations": tmp_path})
    with caplog.at_level("INFO"):
        assert code_of(plugin, IMAGE, name="disk") == code_of(plugin, IMAGE) == "provenance-missing"
    assert "named as the image (disk)" in caplog.text, "the operator sees which name was looked for"
    assert answer(granted(Provenance, {"keys": public(PRIVATE), "attestations": tmp_path}, required=False), IMAGE) == (
        "accept",
        {"verified": "none"},
    )
    (tmp_path / "disk.sigstore.json").write_bytes((SIGSTORE / "staging-rekor-v2.txt.sigstore.json").read_bytes())
    assert code_of(plugin, IMAGE, name="disk") == "provenance-missing"  # it is for `signature`
    (tmp_path / "disk.intoto.jsonl").write_bytes(other)
    assert code_of(plugin, IMAGE, name="disk") == "provenance-subject"
    (tmp_path / f"{SHA256}.intoto.jsonl").write_bytes(json.dumps(json.loads(attested()), indent=1).encode())
    assert code_of(plugin, IMAGE, name="disk") is None


def test_an_attestation_may_be_in_a_property() -> None:
    plugin = granted(Provenance, {"keys": public(PRIVATE)}, property="built")
    for value in (attested().decode(), base64.encodebytes(attested()).decode()):
        assert code_of(plugin, IMAGE, properties={"built": value}) is None
    assert code_of(plugin, IMAGE, properties={"built": "###"}) == "provenance-invalid"
    assert code_of(plugin, IMAGE) == "provenance-missing"


def test_a_bundle_of_sigstore() -> None:
    workflow = "extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml"
    signer = {
        "identity": f"https://github.com/sigstore-conformance/{workflow}@refs/heads/main",
        "issuer": "https://token.actions.githubusercontent.com",
    }
    data = (SIGSTORE / "provenance.txt.sigstore.json").read_bytes()
    grants: dict[str, Any] = {"sigstore": SIGSTORE / "staging_root.json", "attestations": data}
    # The bundle is verified; its subject is a file that its makers do not publish.
    assert code_of(granted(Provenance, grants, **signer), IMAGE) == "provenance-subject"
    assert code_of(granted(Provenance, grants, **signer | {"identity": "me"}), IMAGE) == "provenance-untrusted"
    changed = json.loads(data)
    changed["dsseEnvelope"]["payload"] = base64.b64encode(PAYLOAD).decode()
    grants["attestations"] = json.dumps(changed).encode()
    assert code_of(granted(Provenance, grants, **signer), IMAGE) == "provenance-invalid"
    message = (SIGSTORE / "staging-rekor-v2.txt.sigstore.json").read_bytes()
    grants["attestations"] = message
    other = {"identity": "jku@goto.fi", "issuer": "https://github.com/login/oauth"}
    assert code_of(granted(Provenance, grants, **other), IMAGE) == "provenance-invalid"


@pytest.mark.parametrize(
    ("grants", "config", "words"),
    [
        ({}, {}, "nobody is trusted to attest"),
        ({"keys": b"nothing"}, {}, "0 keys"),
        ({"keys": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, {}, "no public key"),
        ({"keys": pem(certificate("short", bits=1024))}, {}, "only 1024 bits"),
        ({"keys": public(PRIVATE)}, {"builders": []}, "'builders' is empty"),
    ],
)
def test_wrong_configurations(grants: dict[str, Any], config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        granted(Provenance, {**grants, "attestations": b"x"}, **config)
    with pytest.raises(ValueError, match="no attestations"):
        granted(Provenance, {"keys": public(PRIVATE)})
