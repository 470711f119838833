"""OpenStack's image signatures: four properties of the image, and a certificate that one of them names.

The values are those of cursive, with which Glance and Nova verify: RSA-PSS, DSA and ECDSA on six curves, over SHA-224
to SHA-512. Only the digest of the image is needed.
"""

from __future__ import annotations

import base64
import binascii
import os
import uuid

from douane.plugins import _x509
from douane.plugins._signature_files import read_bounded
from douane_plugin import Incomplete, Reject

from .check import Check, expired, invalid, untrusted, weak

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cryptography.x509 import Certificate

SIGNATURE, HASH, KEY_TYPE, CERTIFICATE = PROPERTIES = (
    "img_signature",
    "img_signature_hash_method",
    "img_signature_key_type",
    "img_signature_certificate_uuid",
)
HASHES = {"SHA-224": "sha224", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
CURVES = ("SECT571K1", "SECT409K1", "SECT571R1", "SECT409R1", "SECP521R1", "SECP384R1")
KEY_TYPES = ("RSA-PSS", "DSA", *(f"ECC_{curve}" for curve in CURVES))
_WEAK_HASHES = ("MD5", "SHA-1", "SHA1")
_MAX_CERTIFICATE_BYTES = 256 << 10
_MAX_CERTIFICATES = 4096
_ENDINGS = ("", ".pem", ".crt", ".cer", ".der")


def is_signed(properties: Mapping[str, str]) -> bool:
    """True if the image has any of the properties. Raises Reject for a name that Glance would not take for one."""
    for name in properties:
        plain = name.strip().lower()
        if plain in PROPERTIES and name != plain:
            raise _wrong(f"a property is named {name!r:.80}, and must be written {plain!r}")
    return any(name in properties for name in PROPERTIES)


class OpenStackCheck(Check):
    """The signature in `properties`. Everything but the image is verified at once. Raises Reject or Incomplete."""

    kind = "openstack"

    def __init__(self, properties: Mapping[str, str], certificates: Certificates, anchors: list[Certificate]) -> None:
        missing = [name for name in PROPERTIES if not properties.get(name, "").strip()]
        if missing:
            raise _wrong(f"the image has no {', '.join(missing)}; a signature is all four properties")
        method, self._key_type = properties[HASH], properties[KEY_TYPE]
        if method.upper() in _WEAK_HASHES:
            raise weak(f"it is made with {method.upper()}")
        if method not in HASHES:
            raise _wrong(f"{HASH} is one of {', '.join(HASHES)}, not {method!r:.80}")
        if self._key_type not in KEY_TYPES:
            raise _wrong(f"{KEY_TYPE} is one of {', '.join(KEY_TYPES)}, not {self._key_type!r:.80}")
        try:
            # base64 breaks lines; anything else that is no digit of base64 is a fault.
            self._value = base64.b64decode("".join(properties[SIGNATURE].split()), validate=True)
        except binascii.Error as error:
            raise _wrong(f"{SIGNATURE} is not in base64") from error
        self._hash = HASHES[method]
        self.algorithms = (self._hash,)
        chain = certificates.of(properties[CERTIFICATE])
        _trace(chain, anchors)
        self._signer = chain[0].subject.rfc4514_string()
        self._key = _public_key(chain[0], self._key_type)

    def finish(self, digests: Mapping[str, bytes]) -> str:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

        method: Any = getattr(hashes, self._hash.upper())()
        prehashed, digest = utils.Prehashed(method), digests[self._hash]
        try:
            if self._key_type == "RSA-PSS":
                pss = padding.PSS(padding.MGF1(method), padding.PSS.AUTO)
                self._key.verify(self._value, digest, pss, prehashed)
            elif self._key_type == "DSA":
                self._key.verify(self._value, digest, prehashed)
            else:
                self._key.verify(self._value, digest, ec.ECDSA(prehashed))
        except InvalidSignature as error:
            raise invalid(
                "it is not of these bytes, or not by the key of the certificate that the image names"
            ) from error
        except (UnsupportedAlgorithm, ValueError) as error:
            raise _unsupported(str(error)) from error
        return self._signer


class Certificates:
    """The certificates that the operator granted: a folder of files that are named by UUID, or one file in which the
    UUID stands on a line before each."""

    def __init__(self, grant: Any) -> None:
        self._folder = None if hasattr(grant, "read") else os.fspath(grant)
        self._blocks = _blocks_by_uuid(grant) if self._folder is None else {}

    def of(self, text: str) -> list[Certificate]:
        """The certificate with this UUID first, and what stands with it. Raises Reject or Incomplete."""
        try:
            name = str(uuid.UUID(text))
        except ValueError:
            name = ""
        if name != text.strip().lower():  # uuid.UUID takes braces, too
            raise _wrong(f"{CERTIFICATE} is a UUID, not {text!r:.80}")
        data = self._read(name) if self._folder is not None else self._blocks.get(name)
        if data is None:
            raise untrusted(f"it has no certificate {name}")
        return _load(data, name)

    def _read(self, name: str) -> bytes | None:
        assert self._folder is not None
        for ending in _ENDINGS:
            data = read_bounded(os.path.join(self._folder, name + ending), _MAX_CERTIFICATE_BYTES)
            if data is not None:
                return data
        return None


def _blocks_by_uuid(file: Any) -> dict[str, bytes]:
    data = file.read(_x509.MAX_ANCHORS_BYTES + 1)
    if len(data) > _x509.MAX_ANCHORS_BYTES:
        raise ValueError(f"the file that is granted as 'certificates' has more than {_x509.MAX_ANCHORS_BYTES} bytes")
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            current = blocks.setdefault(str(uuid.UUID(line.strip())), [])
        except ValueError:
            if current is not None:
                current.append(line)
            elif _x509.BEGIN in line:
                raise ValueError(
                    "the file that is granted as 'certificates' has a certificate without its UUID: write the UUID "
                    "on a line before it, or grant a folder of files that are named by UUID"
                ) from None
    if not blocks or len(blocks) > _MAX_CERTIFICATES:
        raise ValueError(f"the file that is granted as 'certificates' has {len(blocks)} UUIDs, not 1 to 4096")
    return {name: "\n".join(lines).encode() for name, lines in blocks.items()}


def _load(data: bytes, name: str) -> list[Certificate]:
    from cryptography import x509

    try:
        if _x509.BEGIN.encode() in data:
            return _x509.load(data.decode("utf-8", "replace"), max_count=16)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise Incomplete(
            "signature-certificate", f"this site's certificate {name} cannot be read ({error!s:.100}); ask the operator"
        ) from error


def _trace(chain: list[Certificate], anchors: list[Certificate]) -> None:
    name = _x509.name_of(chain[0])
    try:
        _x509.trace(chain, anchors)
        _x509.check_key(chain[0].public_key())  # an anchor that signs itself has not been asked for it
    except _x509.Expired as error:
        raise expired(f"the certificate {name} {error}") from error
    except _x509.Untrusted as error:
        raise untrusted(f"{name} {error}") from error
    except Exception as error:  # a key that this cryptography does not know any more
        raise _unsupported(str(error)) from error


def _public_key(certificate: Certificate, key_type: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    key = certificate.public_key()
    fits = {"RSA-PSS": isinstance(key, rsa.RSAPublicKey), "DSA": isinstance(key, dsa.DSAPublicKey)}.get(key_type)
    if fits is None:
        fits = isinstance(key, ec.EllipticCurvePublicKey) and f"ECC_{key.curve.name.upper()}" == key_type
    if not fits:
        raise _wrong(f"{KEY_TYPE} is {key_type}, and the key of the certificate is another one")
    return key


def _wrong(detail: str) -> Reject:
    return Reject("signature-properties", f"the image's signature cannot be verified: {detail}; correct the properties")


def _unsupported(detail: str) -> Incomplete:
    return Incomplete(
        "signature-unsupported",
        f"the image's signature is of a kind that this site cannot verify ({detail:.100}); sign with another key",
    )
