"""From the certificate that made a signature to one that the operator trusts (RFC 5280, 6, without revocation).

Done here, and not with cryptography's verifier: that one is for the certificates of servers and their clients.
"""

from __future__ import annotations

import datetime

from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cryptography.x509 import Certificate

MOST_STEPS = 8
LEAST_KEY_BITS = 2048
_STRONG = ("sha256", "sha384", "sha512")


class _Unfit(Exception):
    """A certificate cannot stand where it does; the text ends a sentence that begins with the certificate."""


def trace(
    certificates: list[Certificate], anchors: list[Certificate], now: datetime.datetime | None = None
) -> Certificate:
    """Return the one of `anchors` that the first of `certificates` leads to; the others may stand between.

    Every certificate on the way, the anchor included, must be valid `now` and have a key that is long enough; all but
    the first must be of an authority; the first must not be for other things than signing. An anchor may be the first
    itself: then it need only be valid. Raises Reject.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    now = now or datetime.datetime.now(datetime.UTC)
    signer = certificates[0]
    why = "was not issued by an authority that this site trusts"
    try:
        if signer.not_valid_after_utc < now:
            raise Reject(
                "ova-expired",
                f"the certificate {_name(signer)}, by which the appliance is signed, expired on "
                f"{signer.not_valid_after_utc:%Y-%m-%d}; get it signed again",
            )
        _check_time(signer, now)
        if signer in anchors:
            return signer
        _check_signer(signer)
        level, waiting = [signer], [*anchors, *certificates[1:]]
        for below in range(MOST_STEPS):
            found = []
            for issuer in waiting:
                fits, told = _has_issued(issuer, level, below, now)
                why = told or why
                if fits and issuer in anchors:
                    return issuer
                if fits:
                    found.append(issuer)
            # Each is looked at until it fits, once: certificates that issued each other make no more of it.
            level, waiting = found, [issuer for issuer in waiting if issuer not in found]
    except (_Unfit, UnsupportedAlgorithm, ValueError, TypeError) as error:
        why = str(error)[:200]
    raise Reject(
        "ova-untrusted",
        f"the appliance is signed, but not by anybody whom this site trusts: {_name(signer)} {why}; ask the operator",
    )


def _has_issued(issuer: Certificate, level: list[Certificate], below: int, now: datetime.datetime) -> tuple[bool, str]:
    """Whether `issuer` may have issued, and has, one of `level`; if not, perhaps why: the end of a sentence."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    why = ""
    for issued in level:
        if issuer.subject != issued.issuer:
            continue
        try:
            if getattr(issued.signature_hash_algorithm, "name", "") not in _STRONG:
                raise _Unfit("is signed by an algorithm that is not safe any more")
            _check_authority(issuer, below)
            _check_time(issuer, now)
            issued.verify_directly_issued_by(issuer)
            return True, ""
        except _Unfit as error:
            why = f"leads to {_name(issuer)}, which {error}"
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            continue
    return False, why


def _check_time(certificate: Certificate, now: datetime.datetime) -> None:
    if certificate.not_valid_after_utc < now:
        raise _Unfit(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        raise _Unfit(f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")


def _check_signer(certificate: Certificate) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    found = _extensions(certificate)
    usage, purposes = found.get(x509.KeyUsage), found.get(x509.ExtendedKeyUsage)
    if usage and not usage.digital_signature:
        raise _Unfit("is a certificate that is not for signing")
    # Without this, whoever has a certificate of a web server could sign appliances, where its authority is trusted.
    if purposes and not {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {*purposes}:
        raise _Unfit("is a certificate for other purposes than signing code")


def _check_authority(certificate: Certificate, below: int) -> None:
    from cryptography import x509

    found = _extensions(certificate)
    constraints, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    if not constraints or not constraints.ca:
        raise _Unfit("is not the certificate of an authority")
    if constraints.path_length is not None and constraints.path_length < below:
        raise _Unfit("must not stand as far above")
    if usage and not usage.key_cert_sign:
        raise _Unfit("is not for signing certificates")


def _extensions(certificate: Certificate) -> dict[type, Any]:
    """Their values by their kinds. Raises _Unfit for a key that is too short, and for what is not understood."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_KEY_BITS:
        raise _Unfit(f"has a key of only {key.key_size} bits")
    known = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
    found: dict[type, Any] = {}
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, known):
            raise _Unfit(f"has a critical extension that is not known here, {extension.oid.dotted_string}")
        found[type(extension.value)] = extension.value
    return found


def _name(certificate: Certificate) -> str:
    return repr(certificate.subject.rfc4514_string()[:200])
