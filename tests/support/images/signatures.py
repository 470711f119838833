"""Keys, certificates and signatures of appliances for the tests."""

from __future__ import annotations

import datetime
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)
CODE, SERVER = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH


def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of `name`; the same one each time, as making one takes long."""
    return _key(name, bits)


@functools.cache
def _key(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(
    name: str,
    issuer: str | None = None,
    *,
    ca: bool = False,
    days: tuple[int, int] = (-1, 30),
    bits: int = 2048,
    path_length: int | None = None,
    purposes: tuple[Any, ...] = (),
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> x509.Certificate:
    """Of `name`, issued by `issuer`, else by itself."""
    subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in (name, issuer or name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key(name, bits).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(NOW + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key(issuer) if issuer else key(name, bits), hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """As they stand in a file."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def signed(
    manifest: bytes,
    *certificates: x509.Certificate,
    by: str = "vendor",
    bits: int = 2048,
    name: str = "vm.mf",
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A certificate file: the signature of `manifest` by the key of `by`, and certificates."""
    digest = digest or hashes.SHA256()
    value = key(by, bits).sign(manifest, padding.PKCS1v15(), digest)
    return f"{digest.name.upper()}({name})= {value.hex()}\n".encode() + pem(*certificates)
