"""Signed summaries: what signs them, what stands in them, and which are believed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519

from douane.errors import EvidenceError, NotVerified, PlanError
from douane.evidence import check_evidence, sign_report, verify_summary
from douane.plan.model import EvidenceSettings, Plan
from douane.plan.parse import parse_plan
from douane.plugins.attestations.envelope import pre_authentication
from douane.plugins.attestations.keys import PublicKeys
from douane.report import Bytes, GrantedContent, Provenance, Report, Verdict
from support.images.signatures import key as rsa_key

IMAGE_ID = "b5f1d1c0-4a58-4b57-9f0b-0c9d1f3c5a11"
SITE = "https://images.example.org/douane"
STORED, RECEIVED = b"stored", b"received"
PRIVATE = ed25519.Ed25519PrivateKey.generate()
TYPE = "application/vnd.in-toto+json"


def digests(data: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, data).hexdigest() for name in ("sha256", "sha512")}


def report() -> Report:
    ran = Provenance(
        use="/srv/site/check.py:Check",
        version="1.0",
        code_sha256="c" * 64,
        config_sha256="f" * 64,
        sandbox="full",
        grants={"rules": GrantedContent(kind="file", bytes=1, modified="", sha256="a" * 64, path="/srv/site/rules")},
    )
    return Report(
        outcome="accepted",
        verdicts=[Verdict(plugin="check", outcome="accepted", ran=ran)],
        received=Bytes(size=len(RECEIVED), complete=True, **digests(RECEIVED)),
        stored=Bytes(size=len(STORED), complete=True, md5="0" * 32, **digests(STORED)),
        disk_format="raw",
        sandbox="full",
        seconds=0.0,
        plan_sha256="d" * 64,
    )


def pem(private: Any, password: bytes | None = None) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    encoded: bytes = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return encoded


def public(private: Any) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = private.public_key().public_bytes(serialization.Encoding.PEM, spki)
    return encoded.decode()


def plan_with(key: str | Path, **settings: Any) -> Plan:
    return Plan(plugins=(), evidence=EvidenceSettings(key=str(key), verifier=SITE, **settings))


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key.pem"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def summary_by(plan: Plan) -> bytes:
    check_evidence(plan)
    signed = report()
    sign_report(plan, signed, IMAGE_ID, "debian")
    return json.dumps(signed.summary).encode()


def code_of(summary: bytes, data: bytes = STORED, keys: str | None = None, **how: Any) -> str | None:
    try:
        verify_summary(summary, PublicKeys(keys or public(PRIVATE)), digests(data), **how)
    except NotVerified as error:
        assert error.exit_code == 1
        return error.code
    return None


@pytest.fixture
def summary(tmp_path: Path) -> bytes:
    return summary_by(plan_with(key_file(tmp_path, pem(PRIVATE))))


@pytest.mark.parametrize(
    "private",
    [PRIVATE, ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1()), rsa_key("site")],
    ids=["ed25519", "p256", "p384", "rsa"],
)
def test_a_summary_says_what_the_stored_image_has_passed(private: Any, tmp_path: Path) -> None:
    signed = summary_by(plan_with(key_file(tmp_path, pem(private))))
    verified = verify_summary(signed, PublicKeys(public(private)), digests(STORED), SITE)
    assert (verified.verifier, verified.image) == (SITE, f"urn:uuid:{IMAGE_ID}")
    assert (verified.plan_sha256, verified.predicate["verificationResult"]) == ("d" * 64, "PASSED")
    assert verified.overruled == []
    assert verified.predicate["douane_received"] == {"size": len(RECEIVED), "digest": digests(RECEIVED)}
    assert verified.predicate["douane_plugins"] == [
        {
            "name": "check",
            "outcome": "accepted",
            "mode": "enforce",
            "version": "1.0",
            "code_sha256": "c" * 64,
            "config_sha256": "f" * 64,
            "grants": {"rules": "a" * 64},
        }
    ]
    assert b"/srv/site" not in base64.b64decode(json.loads(signed)["payload"])
    assert code_of(signed) == ("summary-untrusted" if private is not PRIVATE else None)


def test_whoever_verifies_learns_which_plugins_did_not_accept_the_image(tmp_path: Path) -> None:
    accepted = report()
    accepted.verdicts.append(Verdict(plugin="signature", outcome="refused", mode="warn"))
    accepted.readers.append(Verdict(plugin="guest-files", outcome="stopped"))
    sign_report(plan_with(key_file(tmp_path, pem(PRIVATE))), accepted, IMAGE_ID, None)
    signed = json.dumps(accepted.summary).encode()
    assert verify_summary(signed, PublicKeys(public(PRIVATE)), digests(STORED)).overruled == [
        "signature (refused, warn)"
    ]


def test_another_implementation_verifies_it(summary: bytes) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    table = json.loads(summary)
    key = SSlibKey.from_crypto(PRIVATE.public_key(), table["signatures"][0]["keyid"])
    Envelope.from_dict(table).verify([key], 1)


def test_other_bytes_and_other_sites(summary: bytes) -> None:
    assert code_of(summary) is None
    assert code_of(summary, b"other") == "summary-subject"
    with pytest.raises(NotVerified, match="the bytes that were received"):
        verify_summary(summary, PublicKeys(public(PRIVATE)), digests(RECEIVED))
    assert code_of(summary, verifier=SITE) is None
    assert code_of(summary, verifier=SITE + "/") == "summary-verifier"


def resigned(summary: bytes, kind: str = TYPE, **changes: Any) -> bytes:
    """As if the site's own key had signed something else."""
    statement = json.loads(base64.b64decode(json.loads(summary)["payload"]))
    statement["predicate"] |= changes.pop("predicate", {})
    payload = json.dumps(statement | changes).encode()
    signature = base64.b64encode(PRIVATE.sign(pre_authentication(kind, payload))).decode()
    return json.dumps(
        {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [{"sig": signature}]}
    ).encode()


def test_what_is_no_summary_of_an_accepted_image(summary: bytes) -> None:
    assert code_of(resigned(summary)) is None
    assert code_of(resigned(summary, predicateType="https://slsa.dev/provenance/v1")) == "summary-invalid"
    assert code_of(resigned(summary, kind="text/plain")) == "summary-invalid"
    assert code_of(resigned(summary, predicate={"verificationResult": "FAILED"})) == "summary-result"
    assert code_of(resigned(summary, predicate={"verifiedLevels": []})) == "summary-result"
    assert code_of(resigned(summary, predicate={"verifier": "me"})) == "summary-invalid"
    assert code_of(resigned(summary, subject=[{"digest": {"md5": "0" * 32}}])) == "summary-subject"
    for broken in (b"", b"{}", summary[:-30], summary.replace(b'"payload":', b'"payload": "", "payload":')):
        assert code_of(broken) == "summary-invalid"
    table = json.loads(summary)
    for changes in ({"signatures": []}, {"payload": ""}):
        assert code_of(json.dumps(table | changes).encode()) == "summary-invalid"
    other = base64.b64encode(base64.b64decode(table["payload"]).replace(b"debian", b"ubuntu")).decode()
    assert code_of(json.dumps(table | {"payload": other}).encode()) == "summary-untrusted"


def test_no_summary_without_the_table() -> None:
    plain = report()
    sign_report(Plan(plugins=()), plain, IMAGE_ID, None)
    assert plain.summary is None


def test_a_key_may_have_a_password(tmp_path: Path) -> None:
    path, password = key_file(tmp_path, pem(PRIVATE, b"secret")), tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    assert code_of(summary_by(plan_with(path, password_file=str(password)))) is None
    with pytest.raises(PlanError, match="no private key in PEM"):
        check_evidence(plan_with(path))


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"nothing", 0o600, "no private key in PEM"),
        (pem(PRIVATE), 0o644, "open to every user"),
        (public(PRIVATE).encode(), 0o600, "no private key in PEM"),
        (pem(rsa_key("small", 1024)), 0o600, "only 1024 bits"),
        (pem(dsa.generate_private_key(1024)), 0o600, "neither Ed25519"),
    ],
    ids=["text", "readable", "public", "short", "dsa"],
)
def test_keys_that_cannot_sign_are_configuration_errors(content: bytes, mode: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=words):
        check_evidence(plan_with(key_file(tmp_path, content, mode)))
    with pytest.raises(PlanError, match="cannot be read"):
        check_evidence(plan_with(tmp_path / "missing.pem"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"key": "k"}, "has no 'verifier'"),
        ({"verifier": SITE}, "has no 'key'"),
        ({"key": "k", "verifier": "here"}, "'verifier' is a URI"),
        ({"key": "k", "verifier": SITE, "more": 1}, "'more' is not a setting"),
        ({"key": 1, "verifier": SITE}, "'key' is wrong"),
    ],
)
def test_the_table(table: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        parse_plan({"evidence": table}, where="plan.toml", base="/etc/douane")


def test_the_table_names_paths_from_its_folder_and_needs_sha256() -> None:
    table: dict[str, Any] = {"evidence": {"key": "keys/k.pem", "verifier": SITE}}
    settings = parse_plan(table, where="plan.toml", base="/etc/douane").evidence
    assert settings is not None and settings.key == "/etc/douane/keys/k.pem"
    with pytest.raises(PlanError, match="add sha256"):
        parse_plan(table | {"import": {"digests": ["md5"]}}, where="plan.toml", base="")


# keys in a token

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a token of SoftHSM (`evidence`) that has keys of two kinds, and its PIN."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    (folder / "pin").write_text("1234\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    words = ["softhsm2-util", "--init-token", "--free", "--label", "evidence", "--so-pin", "4321", "--pin", "1234"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    keys = {"p256": ec.generate_private_key(ec.SECP256R1()), "rsa": rsa_key("token")}
    for number, (label, private) in enumerate(keys.items(), 1):
        (folder / f"{label}.pem").write_bytes(pem(private))
        (folder / f"{label}.pub").write_text(public(private))
        words = ["softhsm2-util", "--import", str(folder / f"{label}.pem"), "--token", "evidence", "--pin", "1234"]
        subprocess.run([*words, "--label", label, "--id", f"0{number}"], check=True, stdout=subprocess.DEVNULL)
    return folder


def uri(token: Path, label: str, module: str = MODULE) -> str:
    return f"pkcs11:token=evidence;object={label}?module-path={module}&pin-source=file:{token / 'pin'}"


@pytest.mark.parametrize("label", ["p256", "rsa"])
def test_a_token_signs(token: Path, label: str) -> None:
    signed = summary_by(plan_with(uri(token, label)))
    assert code_of(signed, keys=(token / f"{label}.pub").read_text()) is None
    assert code_of(signed) == "summary-untrusted"


def test_a_token_without_the_key_signs_nothing(token: Path) -> None:
    for wrong in (uri(token, "missing"), uri(token, "p256").replace("evidence", "other"), uri(token, "p256", "/no.so")):
        with pytest.raises(PlanError, match="does not have the key"):
            check_evidence(plan_with(wrong))
        with pytest.raises(EvidenceError):  # and an import that meets it later is undecided
            sign_report(plan_with(wrong), report(), IMAGE_ID, None)
    for wrong in ("pkcs11:token=a", uri(token, "x") + "&pin-source=y", uri(token, "")):
        with pytest.raises(PlanError, match="is written pkcs11:"):
            check_evidence(plan_with(wrong))
    with pytest.raises(PlanError, match="pin-source"):
        check_evidence(plan_with(uri(token, "p256").replace("/pin", "/no-pin")))
