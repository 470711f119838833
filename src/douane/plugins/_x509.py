"""Certificates in PEM, and the path from a signer's certificate to one that the operator trusts (RFC 5280, 6, without
revocation).

The verifier of `cryptography` cannot be used: it accepts only certificates of servers and their clients.
"""

from __future__ import annotations

import datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from cryptography.x509 import Certificate

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
MAX_STEPS = 8
MIN_KEY_BITS, MIN_CURVE_BITS = 2048, 256
MAX_ANCHORS_BYTES = 4 << 20
_STRONG = ("sha256", "sha384", "sha512")


class Untrusted(Exception):
    """No path leads to a trusted certificate; the text ends a sentence that begins with the certificate."""


class Expired(Untrusted):
    """The signer's own certificate is not valid any more."""


class Unfit(Untrusted):
    """A certificate does not fit its place in the path."""


def load(text: str, max_count: int) -> list[Certificate]:
    """The certificates in PEM, possibly none. Raises ValueError if one is damaged, or there are too many."""
    from cryptography import x509

    if text.count(BEGIN) > max_count:
        raise ValueError(f"there are more than {max_count} certificates")
    # Only the blocks themselves: text between them is for people.
    blocks = [f"{BEGIN}{part.partition(END)[0]}{END}\n" for part in text.split(BEGIN)[1:]]
    return x509.load_pem_x509_certificates("".join(blocks).encode()) if blocks else []


def load_anchors(file: BinaryIO) -> list[Certificate]:
    """The certificates in the file that the operator granted as ``trust``. Raises ValueError for the operator."""
    try:
        import cryptography.x509  # noqa: F401  # a broken installation must fail now, too
    except ImportError as error:
        raise ValueError(
            "signatures are to be verified, and the package cryptography is not installed for this plugin "
            f"({error}); install cryptography, or in a checkout of Douane '.[signatures]'"
        ) from error
    data = file.read(MAX_ANCHORS_BYTES + 1)
    if len(data) > MAX_ANCHORS_BYTES:
        raise ValueError(f"the file that is granted as 'trust' has more than {MAX_ANCHORS_BYTES} bytes")
    try:
        anchors = load(data.decode("utf-8", "replace"), MAX_ANCHORS_BYTES)
    except ValueError as fault:
        raise ValueError(f"the file that is granted as 'trust' has no certificates in PEM: {fault!s:.200}") from fault
    if not anchors:
        raise ValueError("the file that is granted as 'trust' has no certificates in PEM: there is no block of one")
    return anchors


def trace(
    certificates: list[Certificate], anchors: list[Certificate], now: datetime.datetime | None = None
) -> Certificate:
    """Return the certificate in `anchors` to which the first of `certificates` leads, possibly through the others.

    Every certificate of the path, the anchor included, must be valid `now` and have a key that is long enough; all but
    the first must be of an authority; the first must not be restricted to purposes other than signing. If the first is
    itself an anchor, it need only be valid. Raises Untrusted.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    now = now or datetime.datetime.now(datetime.UTC)
    signer = certificates[0]
    reason = "was not issued by an authority that this site trusts"
    try:
        if signer.not_valid_after_utc < now:
            raise Expired(f"expired on {signer.not_valid_after_utc:%Y-%m-%d}")
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
    except Expired:
        raise
    except (Unfit, UnsupportedAlgorithm, ValueError, TypeError) as error:
        reason = str(error)[:200]
    raise Untrusted(reason)


def name_of(certificate: Certificate) -> str:
    """The subject, for a sentence."""
    return repr(certificate.subject.rfc4514_string()[:200])


def check_key(key: Any) -> None:
    """Raise Unfit for a public key that is too short, of RSA, DSA or an elliptic curve."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    short = isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey) and key.key_size < MIN_KEY_BITS
    if short or (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < MIN_CURVE_BITS):
        raise Unfit(f"has a key of only {key.key_size} bits")


def _has_issued(issuer: Certificate, level: list[Certificate], depth: int, now: datetime.datetime) -> tuple[bool, str]:
    """Whether `issuer` has issued a certificate of `level`, and was allowed to; if not, a reason if there is one."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    reason = ""
    for issued in level:
        if issuer.subject != issued.issuer:
            continue
        try:
            if not _is_signed_strongly(issued):
                raise Unfit("is signed by an algorithm that is not safe any more")
            _check_authority(issuer, depth)
            _check_time(issuer, now)
            issued.verify_directly_issued_by(issuer)
            return True, ""
        except Unfit as error:
            reason = f"leads to {name_of(issuer)}, which {error}"
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            continue
    return False, reason


def _is_signed_strongly(certificate: Certificate) -> bool:
    from cryptography.x509.oid import SignatureAlgorithmOID

    # Ed25519 and Ed448 have no hash of their own: its name is None.
    if certificate.signature_algorithm_oid in (SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448):
        return True
    return getattr(certificate.signature_hash_algorithm, "name", "") in _STRONG


def _check_time(certificate: Certificate, now: datetime.datetime) -> None:
    if certificate.not_valid_after_utc < now:
        raise Unfit(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        raise Unfit(f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")


def _check_signer(certificate: Certificate) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    extensions = _extensions(certificate)
    usage, purposes = extensions.get(x509.KeyUsage), extensions.get(x509.ExtendedKeyUsage)
    if usage and not usage.digital_signature:
        raise Unfit("is a certificate that is not for signing")
    # Otherwise the certificate of a web server could sign images, wherever its authority is trusted.
    if purposes and not {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {*purposes}:
        raise Unfit("is a certificate for other purposes than signing code")


def _check_authority(certificate: Certificate, depth: int) -> None:
    from cryptography import x509

    extensions = _extensions(certificate)
    constraints, usage = extensions.get(x509.BasicConstraints), extensions.get(x509.KeyUsage)
    if not constraints or not constraints.ca:
        raise Unfit("is not the certificate of an authority")
    if constraints.path_length is not None and constraints.path_length < depth:
        raise Unfit("must not be that many steps from the signer")
    if usage and not usage.key_cert_sign:
        raise Unfit("is not for signing certificates")


def _extensions(certificate: Certificate) -> dict[type, Any]:
    """The values of the extensions by their types. Raises Unfit for a short key and an unknown critical extension."""
    from cryptography import x509

    check_key(certificate.public_key())
    supported = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
    extensions: dict[type, Any] = {}
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, supported):
            raise Unfit(f"has an unknown critical extension, {extension.oid.dotted_string}")
        extensions[type(extension.value)] = extension.value
    return extensions
