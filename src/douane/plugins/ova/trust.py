"""The path from a signer's certificate to a certificate that the operator trusts (RFC 5280, 6, without revocation).

The verifier of `cryptography` cannot be used: it accepts only certificates of servers and their clients.
"""

from __future__ import annotations

import datetime

from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from cryptography.x509 import Certificate

MAX_STEPS = 8
MIN_KEY_BITS = 2048
_STRONG = ("sha256", "sha384", "sha512")
_MAX_ANCHORS_BYTES = 4 << 20


class _Unfit(Exception):
    """A certificate does not fit its place in the path; the text ends a sentence that begins with the certificate."""


def trace(
    certificates: list[Certificate], anchors: list[Certificate], now: datetime.datetime | None = None
) -> Certificate:
    """Return the certificate in `anchors` to which the first of `certificates` leads, possibly through the others.

    Every certificate of the path, the anchor included, must be valid `now` and have a key that is long enough; all but
    the first must be of an authority; the first must not be restricted to purposes other than signing. If the first is
    itself an anchor, it need only be valid. Raises Reject.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    now = now or datetime.datetime.now(datetime.UTC)
    signer = certificates[0]
    reason = "was not issued by an authority that this site trusts"
    try:
        if signer.not_valid_after_utc < now:
            raise Reject(
                "ova-expired",
                f"the signer's certificate {_name(signer)} expired on "
                f"{signer.not_valid_after_utc:%Y-%m-%d}; get it signed again",
            )
        _check_time(signer, now)
        if signer in anchors:
            return signer
        _check_signer(signer)
        level, candidates = [signer], [*anchors, *certificates[1:]]
        for depth in range(MAX_STEPS):
            issuers = []
            for candidate in candidates:
                fits, detail = _has_issued(candidate, level, depth, now)
                reason = detail or reason
                if fits and candidate in anchors:
                    return candidate
                if fits:
                    issuers.append(candidate)
            # A certificate leaves the candidates once it fits: certificates that issued each other end the search.
            level, candidates = issuers, [candidate for candidate in candidates if candidate not in issuers]
    except (_Unfit, UnsupportedAlgorithm, ValueError, TypeError) as error:
        reason = str(error)[:200]
    raise Reject(
        "ova-untrusted",
        f"this site does not trust the signer of the appliance: {_name(signer)} {reason}; ask the operator",
    )


def load_anchors(file: BinaryIO) -> list[Certificate]:
    """The certificates in the file that the operator granted as ``trust``. Raises ValueError for the operator."""
    try:
        import cryptography.x509  # noqa: F401  # a broken installation must fail now, too

        from . import certificate
    except ImportError as error:
        raise ValueError(
            "signatures are to be verified, and the package cryptography is not installed for this plugin "
            f"({error}); install cryptography, or in a checkout of Douane '.[signatures]'"
        ) from error
    data = file.read(_MAX_ANCHORS_BYTES + 1)
    if len(data) > _MAX_ANCHORS_BYTES:
        raise ValueError(f"the file that is granted as 'trust' has more than {_MAX_ANCHORS_BYTES} bytes")
    try:
        return certificate.load(data.decode("utf-8", "replace"), max_count=_MAX_ANCHORS_BYTES)
    except Reject as fault:
        raise ValueError(f"the file that is granted as 'trust' has no certificates in PEM: {fault}") from fault


def _has_issued(issuer: Certificate, level: list[Certificate], depth: int, now: datetime.datetime) -> tuple[bool, str]:
    """Whether `issuer` has issued a certificate of `level`, and was allowed to; if not, a reason if there is one."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    reason = ""
    for issued in level:
        if issuer.subject != issued.issuer:
            continue
        try:
            if getattr(issued.signature_hash_algorithm, "name", "") not in _STRONG:
                raise _Unfit("is signed by an algorithm that is not safe any more")
            _check_authority(issuer, depth)
            _check_time(issuer, now)
            issued.verify_directly_issued_by(issuer)
            return True, ""
        except _Unfit as error:
            reason = f"leads to {_name(issuer)}, which {error}"
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            continue
    return False, reason


def _check_time(certificate: Certificate, now: datetime.datetime) -> None:
    if certificate.not_valid_after_utc < now:
        raise _Unfit(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        raise _Unfit(f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")


def _check_signer(certificate: Certificate) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    extensions = _extensions(certificate)
    usage, purposes = extensions.get(x509.KeyUsage), extensions.get(x509.ExtendedKeyUsage)
    if usage and not usage.digital_signature:
        raise _Unfit("is a certificate that is not for signing")
    # Otherwise the certificate of a web server could sign appliances, wherever its authority is trusted.
    if purposes and not {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {*purposes}:
        raise _Unfit("is a certificate for other purposes than signing code")


def _check_authority(certificate: Certificate, depth: int) -> None:
    from cryptography import x509

    extensions = _extensions(certificate)
    constraints, usage = extensions.get(x509.BasicConstraints), extensions.get(x509.KeyUsage)
    if not constraints or not constraints.ca:
        raise _Unfit("is not the certificate of an authority")
    if constraints.path_length is not None and constraints.path_length < depth:
        raise _Unfit("must not be that many steps from the signer")
    if usage and not usage.key_cert_sign:
        raise _Unfit("is not for signing certificates")


def _extensions(certificate: Certificate) -> dict[type, Any]:
    """The values of the extensions by their types. Raises _Unfit for a short key and an unknown critical extension."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_KEY_BITS:
        raise _Unfit(f"has a key of only {key.key_size} bits")
    supported = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
    extensions: dict[type, Any] = {}
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, supported):
            raise _Unfit(f"has an unknown critical extension, {extension.oid.dotted_string}")
        extensions[type(extension.value)] = extension.value
    return extensions


def _name(certificate: Certificate) -> str:
    return repr(certificate.subject.rfc4514_string()[:200])
