"""The signature of a manifest, as it stands in a package's certificate (DMTF DSP0243, 5.1): a line
``SHA256(vm.mf)= 0123...``, an RSA signature (PKCS #1 v1.5) of the manifest, and X.509 certificates in PEM."""

from __future__ import annotations

from douane.plugins.formats import member_names
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
MOST_CERTIFICATES = 16
LEAST_KEY_BITS, MOST_KEY_BITS = 1024, 16384
"""RSA keys that are computed with at all: signatures of OVF 1's time have 1024, and longer ones only cost time."""

_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")


class Signature:
    """`algorithm`, one of sha1, sha256, sha384 and sha512; `name` of the manifest as it is written; `value`, the
    signature; `certificates`, the signer's first."""

    def __init__(self, algorithm: str, name: str, value: bytes, certificates: list[Certificate]) -> None:
        self.algorithm, self.name, self.value, self.certificates = algorithm, name, value, certificates


def parse(data: bytes) -> Signature:
    """Read a certificate file. Raises Reject."""
    text = data.decode("utf-8-sig", "replace")
    head, begin, rest = text.partition(_BEGIN)
    lines = [line.strip() for line in head.splitlines() if line.strip()]
    if len(lines) != 1 or not begin:
        raise _wrong("its certificate file has not one line of a signature, followed by a certificate")
    left, _, digits = lines[0].rpartition("=")
    algorithm, _, name = left.rstrip().partition("(")
    algorithm = algorithm.strip().lower().replace("-", "")
    if algorithm not in _ALGORITHMS or not name.endswith(")"):
        raise _wrong(f"the line of its signature is not understood: {lines[0][:80]!r}")
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        raise _wrong("its signature is not written in hexadecimal digits") from None
    return Signature(algorithm, name[:-1], value, load(begin + rest))


def load(text: str, most: int = MOST_CERTIFICATES) -> list[Certificate]:
    """The certificates in PEM. Raises Reject if there is none, one is damaged, or there are too many."""
    from cryptography import x509

    if text.count(_BEGIN) > most:
        raise _wrong(f"it comes with more than {most} certificates")
    try:
        # Adjacent blocks only: what stands between them is for people.
        blocks = [f"{_BEGIN}{part.partition(_END)[0]}{_END}\n" for part in text.split(_BEGIN)[1:]]
        return x509.load_pem_x509_certificates("".join(blocks).encode())
    except ValueError as error:
        raise _wrong(f"one of its certificates is damaged: {error!s:.100}") from error


def check(signature: Signature, manifest: bytes, name: str) -> None:
    """Raise Reject unless `signature` is one of `manifest`, whose name is `name`, by its own first certificate.

    That alone says nothing of who made it: anybody can make a certificate.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    if member_names.normal(signature.name) != name.rpartition("/")[2]:
        raise _wrong(f"it is of {member_names.shown(signature.name)}, and the manifest is {member_names.shown(name)}")
    kinds: dict[str, hashes.HashAlgorithm] = {
        "sha1": hashes.SHA1(),  # noqa: S303  # what OVF 1 signs with; it is warned of
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
    }
    try:
        key = signature.certificates[0].public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not LEAST_KEY_BITS <= key.key_size <= MOST_KEY_BITS:
            raise _wrong(f"its key is not RSA of {LEAST_KEY_BITS} to {MOST_KEY_BITS} bits")
        key.verify(signature.value, manifest, padding.PKCS1v15(), kinds[signature.algorithm])
    except InvalidSignature:
        raise _wrong("it is not a signature of this manifest by this certificate") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _wrong(f"its certificate cannot be used: {error!s:.100}") from error


def _wrong(why: str) -> Reject:
    return Reject("ova-signature", f"the signature of the appliance is wrong: {why}; sign it again, or remove it")
