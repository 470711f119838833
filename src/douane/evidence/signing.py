"""The operator's key, and what it signs. Only the engine reads the key: no plugin has it, or asks for a signature."""

from __future__ import annotations

import base64
import os
from typing import Any, Protocol

import msgspec

from douane.errors import EvidenceError, PlanError
from douane.plan.evidence_table import PKCS11
from douane.plan.model import EvidenceSettings, Plan
from douane.plugins.attestations.envelope import IN_TOTO, pre_authentication
from douane.plugins.attestations.keys import fingerprint, hash_of_curve
from douane.report import Report

from .key_rules import check_length, missing_library
from .summary import statement_of

MAX_KEY_BYTES = 64 << 10
_OTHERS = 0o007


class Signer(Protocol):
    """A private key."""

    @property
    def key_id(self) -> str:
        """The fingerprint of the public key."""

    def sign(self, message: bytes) -> bytes:
        """The signature, as DSSE wants it. Raises EvidenceError."""


def check_evidence(plan: Plan) -> None:
    """Raise PlanError if the key of ``[evidence]`` cannot sign; do nothing without that table."""
    if plan.evidence is not None:
        try:
            open_signer(plan.evidence).sign(b"a first try")
        except EvidenceError as error:
            raise PlanError(str(error)) from error


def sign_accepted(plan: Plan, report: Report, image_id: str | None, name: str | None) -> None:
    """As :func:`sign_report`, for an image service that keeps the images: do nothing unless `report` is accepted, and
    about an image that will be kept, with an `image_id`."""
    if image_id is not None and report.outcome == "accepted":
        sign_report(plan, report, image_id, name)


def sign_report(plan: Plan, report: Report, image_id: str, name: str | None) -> None:
    """Give the accepted `report` its summary, signed; do nothing if the plan has no ``[evidence]``.

    Raises PlanError or EvidenceError if the key cannot sign now.
    """
    if plan.evidence is None:
        return
    signer = open_signer(plan.evidence)
    payload = msgspec.json.encode(statement_of(plan.evidence, report, image_id, name), order="deterministic")
    signature = signer.sign(pre_authentication(IN_TOTO, payload))
    report.summary = {
        "payloadType": IN_TOTO,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": signer.key_id, "sig": base64.b64encode(signature).decode()}],
    }


def open_signer(settings: EvidenceSettings) -> Signer:
    """The key that the settings name. Raises PlanError or EvidenceError.

    It is read each time: a new key in the same file counts at once.
    """
    if settings.key.startswith(PKCS11):
        from .token import open_token_key

        return open_token_key(settings.key)
    return PemSigner(settings.key, settings.password_file)


class PemSigner:
    """The private key in the PEM file at `path`: Ed25519, ECDSA or RSA. Raises PlanError."""

    def __init__(self, path: str, password_file: str | None = None) -> None:
        password = None if password_file is None else _read(password_file).rstrip(b"\r\n")
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError as error:
            raise missing_library("cryptography", "signatures", error) from error
        try:
            key: Any = load_pem_private_key(_read(path), password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise PlanError(f"[evidence] key: {path} is no private key in PEM: {error!s:.200}") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise PlanError(f"[evidence] key: {path} is neither Ed25519, nor ECDSA, nor RSA")
        check_length(key.public_key(), path)
        self._key = key
        self.key_id = fingerprint(key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(hash_of_curve(self._key.public_key())))
        value: bytes = self._key.sign(message)
        return value


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise PlanError(f"[evidence] {path} is open to every user of this machine: chmod o= {path}")
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise PlanError(f"[evidence] {path} cannot be read: {error.strerror}") from error
