"""Public keys that may sign attestations, and the algorithm of each: the key decides it, never the signature."""

from __future__ import annotations

import hashlib

from douane.plugins import _x509

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BEGIN, _END = "-----BEGIN ", "-----END "
_MAX_KEYS = 64


class PublicKeys:
    """The keys in a text of PEM blocks (``PUBLIC KEY`` or ``CERTIFICATE``). Raises ValueError for the operator."""

    def __init__(self, text: str) -> None:
        blocks = [block for block in text.split(_BEGIN)[1:] if _END in block]
        if not 1 <= len(blocks) <= _MAX_KEYS:
            raise ValueError(f"there are {len(blocks)} keys in PEM, not 1 to {_MAX_KEYS}")
        self._keys = {fingerprint(key): key for key in map(_load, blocks)}

    def signer(self, value: bytes, message: bytes) -> str | None:
        """The fingerprint of the key whose signature of `message` is `value`; None if it is none of these."""
        return next((name for name, key in self._keys.items() if _is_signed(key, value, message)), None)


def fingerprint(key: Any) -> str:
    """``SHA256:`` and the digest (hex) of a public key, in the form that X.509 has it (SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return f"SHA256:{hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()}"


def hash_of_curve(key: Any) -> Any:
    """The hash with which a key on a curve signs: as long as the curve, as cosign and securesystemslib have it."""
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256() if key.key_size <= 256 else hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()


def _load(block: str) -> Any:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    label = block.partition("-----")[0]
    if label.endswith("PRIVATE KEY"):
        raise ValueError("it is a private key; take the public one: openssl pkey -in PRIVATE -pubout -out PUBLIC")
    end = f"{_END}{label}-----"
    pem = f"{_BEGIN}{block.partition(end)[0]}{end}\n".encode()
    try:
        if label == "CERTIFICATE":
            key: Any = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)
        _x509.check_key(key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"a {label[:40]!r} is no public key: {error!s:.100}") from error
    except _x509.Unfit as error:
        raise ValueError(f"a key {error}") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("a key is neither of RSA, nor of an elliptic curve, nor Ed25519")
    return key


def _is_signed(key: Any, value: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    ways: list[tuple[Any, ...]] = [()]
    if isinstance(key, ec.EllipticCurvePublicKey):
        ways = [(ec.ECDSA(hash_of_curve(key)),)]
    elif isinstance(key, rsa.RSAPublicKey):
        # cosign signs with PKCS #1 v1.5, in-toto's own tools with PSS.
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
        ways = [(padding.PKCS1v15(), hashes.SHA256()), (pss, hashes.SHA256())]
    for way in ways:
        try:
            key.verify(value, message, *way)
            return True
        except InvalidSignature:
            continue
    return False
