"""The transform `ova` verifies the digests of a manifest, and its signature."""

from __future__ import annotations

import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from support.examination import codes, examine
from support.images.ova import DISK, file, manifest, ova, ovf
from support.images.signatures import CODE, SERVER, certificate, key, pem, signed
from support.images.tar import tar
from support.plugin_runs import extracted, ova_code

MANIFEST = manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("last", [True, False])
def test_the_digests_are_compared_at_every_place_of_the_manifest(algorithm: str, last: bool) -> None:
    more = (("disk.vmdk", DISK), ("readme.txt", b"read me"))
    correct = manifest(("vm.ovf", ovf()), *more, algorithm=algorithm)
    listed = ("vm.mf", correct)
    extraction = extracted(ova(*more, listed) if last else ova(listed, *more))
    assert (extraction.code, extraction.properties["manifest"]) == (None, f"{algorithm} verified")
    for changed in ((more[0][0], b"x"), (more[1][0], b"x")):
        members = [changed if changed[0] == member[0] else member for member in more]
        extraction = extracted(ova(*members, listed) if last else ova(listed, *members))
        assert (extraction.code, repr(changed[0]) in extraction.message) == ("ova-digest", True)
    assert ova_code(ova(listed, *more, descriptor=ovf() + b" ")) == "ova-digest"


def test_members_before_the_descriptor_are_compared() -> None:
    readme = ("readme.txt", b"read me")
    for content, code in ((b"read me", None), (b"changed", "ova-digest")):
        listed = ("vm.mf", manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK), readme))
        for any_order in (False, True):
            image = tar(("readme.txt", content), ("vm.ovf", ovf()), ("disk.vmdk", DISK), listed)
            assert ova_code(image, any_order=any_order) == code


def test_lines_may_have_different_algorithms_and_spacing() -> None:
    lines = manifest(("vm.ovf", ovf()), algorithm="sha1") + manifest(("./disk.vmdk", DISK), algorithm="sha512").upper()
    lines = lines.replace(b"./DISK.VMDK", b"./disk.vmdk").replace(b"SHA1(", b"SHA1 (").replace(b"\n", b"\r\n")
    assert extracted(ova(("vm.mf", lines), ("disk.vmdk", DISK))).properties["manifest"] == "sha1,sha512 verified"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_lines_of_openssl_3_are_read(algorithm: str) -> None:
    name = algorithm.upper()
    lines = manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK), algorithm=algorithm)
    lines = lines.replace(name.encode(), f"SHA2-{name[3:]}".encode())
    image = ova(("vm.mf", lines), ("disk.vmdk", DISK))
    assert extracted(image).properties["manifest"] == f"{algorithm} verified"
    assert codes(examine(image)) == set()
    assert ova_code(ova(("vm.mf", lines), ("disk.vmdk", DISK + b"x"))) == "ova-digest"


@pytest.mark.parametrize("prefix", ["SHA2-256", "RSA-SHA256", "RSA-SHA2-256"])
def test_signature_of_openssl_is_read(prefix: str) -> None:
    own = certificate("vendor")
    file = signed(MANIFEST, own).replace(b"SHA256(", prefix.encode() + b"(")
    image = ova(("vm.mf", MANIFEST), ("vm.cert", file), ("disk.vmdk", DISK))
    assert extracted(image, trust=pem(own)).properties["signature"] == "verified"


@pytest.mark.parametrize("name", ["vm.mf", "./vm.mf"])
@pytest.mark.parametrize("last", [True, False])
def test_manifest_that_lists_itself_gives_a_warning(name: str, last: bool) -> None:
    listed, disk = ("vm.mf", MANIFEST + manifest((name, b""))), ("disk.vmdk", DISK)
    image = ova(disk, listed) if last else ova(listed, disk)
    extraction = extracted(image, manifest="required")
    assert (extraction.code, extraction.warnings) == (None, ["ova-manifest-itself"])
    assert extraction.properties["manifest"] == "sha256 verified"
    assert codes(examine(image)) == {"odd"}
    other = manifest(("other.mf", b""))
    assert ova_code(ova(("vm.mf", MANIFEST + other), disk)) == "ova-manifest"


def test_the_digest_of_a_compressed_disk_is_of_the_compressed_bytes() -> None:
    import gzip

    packed, description = gzip.compress(DISK), ovf(files=file(compression="gzip"))
    for data, code in ((packed, None), (DISK, "ova-digest")):
        listed = ("vm.mf", manifest(("vm.ovf", description), ("disk.vmdk", data)))
        assert ova_code(ova(("disk.vmdk", packed), listed, descriptor=description)) == code


@pytest.mark.parametrize(
    "lines",
    [
        b"no manifest",
        MANIFEST + manifest(("gone.vmdk", b"")),
        MANIFEST * 2,
        MANIFEST + manifest(("./disk.vmdk", DISK)),
        MANIFEST.replace(b"SHA256", b"MD5"),
        MANIFEST[:-9],
        MANIFEST + manifest(("../../etc/passwd", b"")),
    ],
    ids=["text", "absent", "twice", "twice by another name", "md5", "cut", "elsewhere"],
)
def test_a_wrong_manifest_is_refused(lines: bytes) -> None:
    for image in (ova(("vm.mf", lines), ("disk.vmdk", DISK)), ova(("disk.vmdk", DISK), ("vm.mf", lines))):
        assert ova_code(image) == "ova-manifest"
        assert ova_code(image, manifest="ignore") is None


def test_two_manifests_are_refused() -> None:
    assert ova_code(ova(("vm.mf", MANIFEST), ("disk.vmdk", DISK), ("x.mf", MANIFEST))) == "ova-manifest"


def test_a_manifest_without_the_disk_gives_a_warning_or_is_refused() -> None:
    image = ova(("vm.mf", manifest(("vm.ovf", ovf()))), ("disk.vmdk", DISK))
    extraction = extracted(image)
    assert (extraction.code, extraction.warnings) == (None, ["ova-manifest-incomplete"])
    assert extraction.properties["manifest"] == "sha256 verified, incomplete"
    assert ova_code(image, manifest="required") == "ova-manifest"


def test_a_site_may_demand_a_manifest() -> None:
    assert ova_code(ova(), manifest="required") == "ova-manifest"
    assert ova_code(ova(("vm.mf", MANIFEST), ("disk.vmdk", DISK)), manifest="required") is None


def test_an_ignored_manifest_is_not_compared() -> None:
    extraction = extracted(ova(("vm.mf", MANIFEST), ("disk.vmdk", b"other")), manifest="ignore")
    assert (extraction.code, extraction.properties["manifest"]) == (None, "ignored")


# signatures

VENDOR = certificate("vendor")
ROOT = certificate("root", ca=True)
MIDDLE = certificate("middle", "root", ca=True, path_length=0)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"")
FOR_KEYS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=True, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def with_signature(cert: bytes, lines: bytes = MANIFEST, last: bool = False) -> bytes:
    members = [("vm.mf", lines), ("vm.cert", cert), ("disk.vmdk", DISK)]
    return ova(*(members[2:] + members[:2] if last else members))


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda digest: digest.name)
@pytest.mark.parametrize("last", [True, False])
def test_a_trusted_signer_is_named(digest: hashes.HashAlgorithm, last: bool) -> None:
    image = with_signature(signed(MANIFEST, VENDOR, digest=digest), last=last)
    extraction = extracted(image, trust=b"the vendor:\n" + pem(VENDOR), signature="required")
    assert (extraction.code, extraction.warnings) == (None, [])
    assert extraction.properties | {"signature": "verified", "signer": "CN=vendor"} == extraction.properties


def test_a_trusted_authority_vouches_for_its_signers() -> None:
    signer = certificate("vendor", "middle", purposes=(CODE,))
    for intermediates, trusted in (
        ((MIDDLE,), (ROOT,)),
        ((), (ROOT, MIDDLE)),
        ((), (MIDDLE,)),
        ((ROOT, MIDDLE), (ROOT,)),
    ):
        image = with_signature(signed(MANIFEST, signer, *intermediates))
        extraction = extracted(image, trust=pem(*trusted), signature="required")
        assert (extraction.code, extraction.properties.get("signature")) == (None, "verified")


@pytest.mark.parametrize(
    ("trusted", "certificates"),
    [
        (ROOT, (VENDOR,)),
        (ROOT, (certificate("vendor", "middle"),)),
        (certificate("vendor"), (VENDOR,)),
        (ROOT, (VENDOR, ROOT)),
        (ROOT, (certificate("vendor", "root", purposes=(SERVER,)),)),
        (ROOT, (certificate("vendor", "other"), certificate("other", "root"))),
        (certificate("root", ca=True, days=(-9, -1)), (certificate("vendor", "root"),)),
        (ROOT, (certificate("vendor", "middle"), certificate("middle", "root", ca=True, days=(-9, -1)))),
        (ROOT, (certificate("vendor", "root", days=(2, 9)),)),
        (ROOT, (certificate("vendor", "deep"), certificate("deep", "middle", ca=True), MIDDLE)),
        (ROOT, (certificate("vendor", "root", extensions=((UNKNOWN, True),)),)),
        (ROOT, (certificate("vendor", "root", extensions=((FOR_KEYS, True),)),)),
    ],
    ids=["self-signed", "gap", "same name", "root beside", "a server", "no authority", "expired root",
         "expired authority", "not yet", "too deep", "critical", "key usage"],
)  # fmt: skip
def test_an_untrusted_signer_is_refused(trusted: x509.Certificate, certificates: tuple[x509.Certificate, ...]) -> None:
    extraction = extracted(with_signature(signed(MANIFEST, *certificates)), trust=pem(trusted))
    assert extraction.code == "ova-untrusted"


def test_an_issuer_with_the_name_of_a_trusted_issuer_is_refused() -> None:
    forged = certificate("vendor", "root")
    impostor = x509.CertificateBuilder(
        forged.issuer, forged.subject, forged.public_key(), forged.serial_number,
        forged.not_valid_before_utc, forged.not_valid_after_utc,
    ).sign(key("somebody else"), hashes.SHA256())  # fmt: skip
    assert ova_code(with_signature(signed(MANIFEST, impostor)), trust=pem(ROOT)) == "ova-untrusted"


def test_an_expired_certificate_is_refused_with_its_own_code() -> None:
    old = certificate("vendor", days=(-9, -1))
    assert ova_code(with_signature(signed(MANIFEST, old)), trust=pem(old)) == "ova-expired"


def test_certificates_that_issued_each_other_are_searched_quickly() -> None:
    ring = [certificate("a", "a", ca=True) for _ in range(15)]
    assert ova_code(with_signature(signed(MANIFEST, *ring, by="a")), trust=pem(ROOT)) == "ova-untrusted"


@pytest.mark.parametrize("trust", [None, pem(VENDOR)], ids=["nobody trusted", "trusted"])
@pytest.mark.parametrize(
    "cert",
    [
        b"",
        b"no certificate",
        signed(MANIFEST + b" ", VENDOR),
        signed(MANIFEST, VENDOR, by="somebody else"),
        signed(MANIFEST, VENDOR, name="other.mf"),
        signed(MANIFEST, VENDOR).replace(b"SHA256", b"MD5"),
        signed(MANIFEST, VENDOR).replace(b"SHA256", b"SHA512"),
        signed(MANIFEST, VENDOR).replace(b"= ", b"= xx"),
        signed(MANIFEST),
        signed(MANIFEST, VENDOR).replace(b"\nMII", b"\nAAA"),
        signed(MANIFEST, *[VENDOR] * 17),
        b"SHA256(other)= 00\n" + signed(MANIFEST, VENDOR),
    ],
    ids=["empty", "text", "other manifest", "other key", "other name", "md5", "sha512", "digits", "no certificate",
         "damaged", "many", "two lines"],
)  # fmt: skip
def test_a_wrong_signature_is_refused_with_and_without_trust(cert: bytes, trust: bytes | None) -> None:
    assert ova_code(with_signature(cert), trust=trust) == "ova-signature"
    assert ova_code(with_signature(cert), trust=trust, signature="ignore") is None


def test_a_key_that_is_not_rsa_is_refused() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    weak = x509.CertificateBuilder(
        VENDOR.issuer, VENDOR.subject, private.public_key(), 1, VENDOR.not_valid_before_utc, VENDOR.not_valid_after_utc
    ).sign(private, hashes.SHA256())
    assert ova_code(with_signature(signed(MANIFEST, weak)), trust=pem(weak)) == "ova-signature"


def test_a_short_key_must_be_trusted_itself() -> None:
    short = certificate("short", "root", bits=1024)
    image = with_signature(signed(MANIFEST, short, by="short", bits=1024))
    assert ova_code(image, trust=pem(ROOT)) == "ova-untrusted"
    assert ova_code(image, trust=pem(short)) is None


def test_a_right_signature_without_trust_gives_a_warning() -> None:
    extraction = extracted(with_signature(signed(MANIFEST, VENDOR)))
    assert (extraction.code, extraction.warnings) == (None, ["ova-signature-untrusted"])
    assert extraction.properties["signature"] == "untrusted"


def test_a_signature_with_sha1_gives_a_warning() -> None:
    extraction = extracted(with_signature(signed(MANIFEST, VENDOR, digest=hashes.SHA1())), trust=pem(VENDOR))
    assert (extraction.code, extraction.warnings) == (None, ["ova-signature-weak"])


def test_a_site_may_demand_a_signature() -> None:
    required = {"trust": pem(VENDOR), "signature": "required"}
    assert ova_code(ova(), **required) == "ova-unsigned"
    assert ova_code(ova(("vm.mf", MANIFEST), ("disk.vmdk", DISK)), **required) == "ova-unsigned"
    assert ova_code(with_signature(signed(MANIFEST, VENDOR)), **required) is None


def test_a_signed_manifest_must_list_the_disk() -> None:
    lines = manifest(("vm.ovf", ovf()))
    assert ova_code(with_signature(signed(lines, VENDOR), lines), trust=pem(VENDOR)) == "ova-manifest"
    changed = tar(
        ("vm.ovf", ovf()), ("vm.mf", MANIFEST), ("vm.cert", signed(MANIFEST, VENDOR)), ("disk.vmdk", b"other")
    )
    assert ova_code(changed, trust=pem(VENDOR)) == "ova-digest"


def test_a_certificate_without_a_manifest_is_refused() -> None:
    assert ova_code(ova(("vm.cert", signed(MANIFEST, VENDOR)), ("disk.vmdk", DISK))) == "ova-signature"


@pytest.mark.parametrize("trust", [b"", b"no PEM", b"x" * (5 << 20)])
def test_an_unusable_trust_file_is_a_configuration_error(trust: bytes) -> None:
    with pytest.raises(ValueError, match="granted as 'trust'"):
        extracted(ova(), trust=trust)


def without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had never been installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_without_cryptography_a_signature_gives_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trusted = with_signature(signed(MANIFEST, VENDOR)), pem(VENDOR)
    without_cryptography(monkeypatch)
    extraction = extracted(image)
    assert (extraction.warnings, extraction.properties["signature"]) == (["ova-signature-unchecked"], "unchecked")
    assert "signer" not in extraction.properties
    for config in ({}, {"signature": "required"}):
        with pytest.raises(ValueError, match=r"install cryptography"):
            extracted(ova(), trust=trusted, **config)
    with pytest.raises(ValueError, match="nobody is trusted"):
        extracted(ova(), signature="required")


def test_a_broken_installation_of_cryptography_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = pem(VENDOR)
    monkeypatch.setitem(sys.modules, "cryptography.x509", None)
    with pytest.raises(ValueError, match=r"install cryptography"):
        extracted(ova(), trust=trusted)


def test_trust_with_an_ignored_manifest_is_a_configuration_error() -> None:
    with pytest.raises(ValueError, match="'trust' is granted"):
        extracted(ova(), trust=pem(VENDOR), manifest="ignore")
    assert extracted(ova(), trust=pem(VENDOR), manifest="ignore", signature="ignore").code is None  # said outright
