"""The inspector `signature`: OpenStack's image signatures."""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa

from douane.plugins.signature import Signature
from support.images.signatures import CODE, SERVER, certificate, key, pem
from support.plugin_runs import answer
from support.signing import UUID, code_of, granted, openssl_signed, own_certificate, properties

IMAGE = bytes(range(256)) * 9000
ROOT, MIDDLE = certificate("root", ca=True), certificate("middle", "root", ca=True)
VENDOR = certificate("vendor", "root")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"")
PSS = ("-sigopt", "rsa_padding_mode:pss")


@functools.cache
def dsa_key() -> dsa.DSAPrivateKey:
    return dsa.generate_private_key(2048)


def signed(name: str = "vendor", bits: int = 2048, image: bytes = IMAGE) -> dict[str, str]:
    """The properties of an image that the key of `name` signed as Glance's documentation says."""
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    return properties(
        base64.b64encode(key(name, bits).sign(image, pss, hashes.SHA256())).decode(), "SHA-256", "RSA-PSS"
    )


def inspector(*certificates: x509.Certificate, trust: tuple[x509.Certificate, ...] = (ROOT,), **config: Any) -> Any:
    grants: dict[str, bytes | Path] = {
        "certificates": f"{UUID}\n".encode() + pem(*certificates or (VENDOR,)),
        "trust": pem(*trust),
    }
    return granted(Signature, grants, **config)


def verify(*certificates: x509.Certificate, trust: tuple[x509.Certificate, ...] = (ROOT,), **how: Any) -> str | None:
    return code_of(inspector(*certificates, trust=trust), IMAGE, properties=signed(**how))


@pytest.mark.parametrize("method", ["SHA-224", "SHA-256", "SHA-384", "SHA-512"])
@pytest.mark.parametrize(
    ("kind", "private", "options"),
    [
        ("RSA-PSS", functools.partial(key, "signer"), (*PSS, "-sigopt", "rsa_pss_saltlen:max")),
        ("RSA-PSS", functools.partial(key, "signer"), (*PSS, "-sigopt", "rsa_pss_saltlen:digest")),
        ("DSA", dsa_key, ()),
        ("ECC_SECP384R1", functools.partial(ec.generate_private_key, ec.SECP384R1()), ()),
        ("ECC_SECP521R1", functools.partial(ec.generate_private_key, ec.SECP521R1()), ()),
    ],
    ids=["pss", "pss-short-salt", "dsa", "p384", "p521"],
)
def test_what_openssl_signs_is_verified(
    kind: str, private: Any, options: tuple[str, ...], method: str, tmp_path: Path
) -> None:
    private = private()
    signer = own_certificate(private)
    signature = openssl_signed(IMAGE, private, tmp_path, method.replace("-", "").lower(), *options)
    plugin = inspector(signer, trust=(signer,))
    facts = {"properties": properties(signature, method, kind)}
    assert answer(plugin, IMAGE, **facts) == ("accept", {"verified": "openstack", "signer": "CN=signer"})
    assert code_of(plugin, IMAGE[:-1] + b"x", **facts) == "signature-invalid"
    assert code_of(plugin, IMAGE + b"\0", **facts) == "signature-invalid"


def test_a_certificate_comes_from_a_folder_of_uuids(tmp_path: Path) -> None:
    (tmp_path / f"{UUID}.crt").write_bytes(pem(certificate("vendor", "middle"), MIDDLE))
    plugin = granted(Signature, {"certificates": tmp_path, "trust": pem(ROOT)})
    assert code_of(plugin, IMAGE, properties=signed()) is None
    assert code_of(plugin, IMAGE, properties=signed() | {"img_signature_certificate_uuid": UUID.upper()}) is None
    other = signed() | {"img_signature_certificate_uuid": UUID[:-1] + "2"}
    assert code_of(plugin, IMAGE, properties=other) == "signature-untrusted"
    (tmp_path / f"{UUID}.crt").write_bytes(b"damaged")
    assert code_of(plugin, IMAGE, properties=signed()) == "incomplete:signature-certificate"
    (tmp_path / f"{UUID}.crt").unlink()
    (tmp_path / UUID).mkdir()
    assert code_of(plugin, IMAGE, properties=signed()) == "incomplete:signature-unreadable"


@pytest.mark.parametrize(
    ("chain", "trust", "code"),
    [
        ((certificate("vendor", "middle"), MIDDLE), ROOT, None),
        ((certificate("vendor", "root", purposes=(CODE,)),), ROOT, None),
        ((certificate("vendor"),), ROOT, "signature-untrusted"),
        ((certificate("vendor", "middle"),), ROOT, "signature-untrusted"),
        ((certificate("vendor", "root", purposes=(SERVER,)),), ROOT, "signature-untrusted"),
        ((certificate("vendor", "root", days=(-9, -1)),), ROOT, "signature-expired"),
        ((certificate("vendor", "root", days=(1, 9)),), ROOT, "signature-untrusted"),
        ((VENDOR,), certificate("root", ca=True, days=(-9, -1)), "signature-untrusted"),
        ((VENDOR,), certificate("root"), "signature-untrusted"),
        ((certificate("vendor", "root", extensions=((UNKNOWN, True),)),), ROOT, "signature-untrusted"),
    ],
    ids=["middle", "code signing", "self-signed", "gap", "a server", "expired", "not yet", "expired root",
         "no authority", "critical"],
)  # fmt: skip
def test_the_certificate_must_lead_to_a_trusted_authority(
    chain: tuple[x509.Certificate, ...], trust: x509.Certificate, code: str | None
) -> None:
    assert verify(*chain, trust=(trust,)) == code


def test_a_short_key_is_refused_even_if_its_certificate_is_trusted() -> None:
    short = certificate("short", bits=1024)
    assert verify(short, trust=(short,), name="short", bits=1024) == "signature-untrusted"


def test_everything_but_the_image_is_verified_before_the_first_byte() -> None:
    from douane_plugin import Reject
    from support.plugin_runs import as_image

    image, source = as_image(IMAGE, properties=signed())
    with pytest.raises(Reject):
        inspector(certificate("vendor")).inspect(image)
    assert source.given_bytes == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"img_signature": ""}, "signature-properties"),
        ({"img_signature": "  "}, "signature-properties"),
        ({"img_signature": "###"}, "signature-properties"),
        ({"img_signature": "AAAA"}, "signature-invalid"),
        ({"img_signature_hash_method": "SHA-1"}, "signature-weak"),
        ({"img_signature_hash_method": "md5"}, "signature-weak"),
        ({"img_signature_hash_method": "sha-256"}, "signature-properties"),
        ({"img_signature_hash_method": "SHA-512"}, "signature-invalid"),
        ({"img_signature_key_type": "DSA"}, "signature-properties"),
        ({"img_signature_key_type": "ECC_SECP384R1"}, "signature-properties"),
        ({"img_signature_key_type": "ECC_SECP256R1"}, "signature-properties"),
        ({"img_signature_key_type": "RSA-PSS "}, "signature-properties"),
        ({"img_signature_certificate_uuid": "../../etc/passwd"}, "signature-properties"),
        ({"img_signature_certificate_uuid": "{" + UUID + "}"}, "signature-properties"),
        ({"IMG_Signature": "AAAA"}, "signature-properties"),
        ({" img_signature": "AAAA"}, "signature-properties"),
        ({"img_signature_key_type": None}, "signature-properties"),
        ({"img_signature": None, "img_signature_hash_method": None}, "signature-properties"),
    ],
)  # fmt: skip
def test_wrong_properties_are_refused(changes: dict[str, str | None], code: str) -> None:
    declared = {name: value for name, value in (signed() | changes).items() if value is not None}
    assert code_of(inspector(), IMAGE, properties=declared) == code


def test_lines_of_base64_may_be_broken() -> None:
    declared = signed()
    value = declared["img_signature"]
    declared["img_signature"] = f" {value[:76]}\n{value[76:]}\n"
    assert code_of(inspector(), IMAGE, properties=declared) is None


def test_the_curve_is_the_one_that_the_property_names(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    signer = own_certificate(private)
    signature = openssl_signed(IMAGE, private, tmp_path, "sha256")
    plugin = inspector(signer, trust=(signer,))
    assert code_of(plugin, IMAGE, properties=properties(signature, "SHA-256", "ECC_SECP384R1")) is None
    assert (
        code_of(plugin, IMAGE, properties=properties(signature, "SHA-256", "ECC_SECP521R1")) == "signature-properties"
    )


def test_a_signature_of_pkcs1_is_not_taken_for_pss() -> None:
    value = base64.b64encode(key("vendor").sign(IMAGE, padding.PKCS1v15(), hashes.SHA256())).decode()
    assert code_of(inspector(), IMAGE, properties=properties(value, "SHA-256", "RSA-PSS")) == "signature-invalid"


def test_an_image_without_a_signature_is_refused_unless_the_site_says_otherwise() -> None:
    assert code_of(inspector(), IMAGE) == "signature-missing"
    assert answer(inspector(required=False), IMAGE) == ("accept", {"verified": "none"})
    assert (
        code_of(inspector(required=False), IMAGE, properties=signed() | {"img_signature": "AAAA"})
        == "signature-invalid"
    )


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        ({}, "nobody is trusted to sign"),
        ({"trust": pem(ROOT)}, "belong together"),
        ({"certificates": pem(VENDOR)}, "belong together"),
        ({"certificates": pem(VENDOR), "trust": pem(ROOT)}, "without its UUID"),
        ({"certificates": b"", "trust": pem(ROOT)}, "0 UUIDs"),
        ({"certificates": f"{UUID}\n".encode(), "trust": b"nothing"}, "granted as 'trust'"),
        ({"sums_signature": b"x", "certificates": f"{UUID}\n".encode(), "trust": pem(ROOT)}, "no 'sums'"),
    ],
)
def test_grants_that_cannot_be_right_are_configuration_errors(grants: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        granted(Signature, grants)


def test_a_second_opinion_agrees(tmp_path: Path) -> None:
    """openssl verifies what this test signed: the properties mean what they mean elsewhere."""
    import subprocess

    from cryptography.hazmat.primitives import serialization

    declared = signed()
    (tmp_path / "sig").write_bytes(base64.b64decode(declared["img_signature"]))
    public = VENDOR.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    (tmp_path / "pub").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "image").write_bytes(IMAGE)
    words = ["openssl", "dgst", "-sha256", "-verify", "pub", *PSS, "-signature", "sig", "image"]
    subprocess.run(words, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
