"""The certificate file of a package (DMTF DSP0243, 5.1): a line ``SHA256(vm.mf)= 0123...``, which is an RSA signature
(PKCS #1 v1.5) of the manifest, and X.509 certificates in PEM."""

from __future__ import annotations

from douane.plugins import _x509
from douane.plugins.formats import member_names, ovf_manifest
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_CERTIFICATES = 16
MIN_KEY_BITS, MAX_KEY_BITS = 1024, 16384
"""Lengths of the RSA keys that are accepted: signatures of OVF 1's time have 1024 bits; longer keys only cost time."""

_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")


class Signature:
    """`algorithm`, one of sha1, sha256, sha384 and sha512; `name` of the manifest, as written; `value`, the signature;
    `certificates`, the signer's first."""

    def __init__(self, algorithm: str, name: str, value: bytes, certificates: list[Certificate]) -> None:
        self.algorithm, self.name, self.value, self.certificates = algorithm, name, value, certificates


def parse(data: bytes) -> Signature:
    """Read a certificate file. Raises Reject."""
    text = data.decode("utf-8-sig", "replace")
    head, begin, rest = text.partition(_x509.BEGIN)
    lines = [line.strip() for line in head.splitlines() if line.strip()]
    if len(lines) != 1 or not begin:
        raise _invalid("its certificate file is not one line with a signature, followed by a certificate")
    label, _, digits = lines[0].rpartition("=")
    kind, _, name = label.rstrip().partition("(")
    algorithm = ovf_manifest.algorithm_of(kind)
    if algorithm not in _ALGORITHMS or not name.endswith(")"):
        raise _invalid(f"the line of its signature cannot be parsed: {lines[0][:80]!r}")
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        raise _invalid("its signature is not hexadecimal") from None
    return Signature(algorithm, name[:-1], value, _load(begin + rest))


def _load(text: str) -> list[Certificate]:
    try:
        return _x509.load(text, MAX_CERTIFICATES)
    except ValueError as error:
        raise _invalid(f"its certificates cannot be read: {error!s:.100}") from error


def check(signature: Signature, manifest: bytes, name: str) -> None:
    """Raise Reject unless `signature` matches `manifest`, whose name is `name`, and its own first certificate.

    That alone does not say who signed: anyone can make a certificate.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    if member_names.normal(signature.name) != name.rpartition("/")[2]:
        raise _invalid(
            f"it is of {member_names.quoted(signature.name)}, but the manifest is {member_names.quoted(name)}"
        )
    algorithms: dict[str, hashes.HashAlgorithm] = {
        "sha1": hashes.SHA1(),  # noqa: S303  # OVF 1 signs with it; the caller warns
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
    }
    try:
        key = signature.certificates[0].public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
            raise _invalid(f"its key is not RSA of {MIN_KEY_BITS} to {MAX_KEY_BITS} bits")
        key.verify(signature.value, manifest, padding.PKCS1v15(), algorithms[signature.algorithm])
    except InvalidSignature:
        raise _invalid("it does not match this manifest and this certificate") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _invalid(f"its certificate cannot be used: {error!s:.100}") from error


def _invalid(detail: str) -> Reject:
    return Reject("ova-signature", f"the signature of the appliance is wrong: {detail}; sign it again, or remove it")
