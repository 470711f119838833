"""`ova` and what vouches for an appliance: the digests of its manifest, and the signature of that."""

from __future__ import annotations

import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from support.images.ova import DISK, file, manifest, ova, ovf
from support.images.signatures import CODE, SERVER, certificate, key, pem, signed
from support.images.tar import tar
from support.plugin_runs import extracted, ova_code

BOTH = manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("last", [True, False])
def test_the_digests_are_compared_wherever_the_manifest_stands(algorithm: str, last: bool) -> None:
    more = (("disk.vmdk", DISK), ("readme.txt", b"read me"))
    right = manifest(("vm.ovf", ovf()), *more, algorithm=algorithm)
    listed = ("vm.mf", right)
    taken = extracted(ova(*more, listed) if last else ova(listed, *more))
    assert (taken.code, taken.properties["manifest"]) == (None, f"{algorithm} verified")
    for wrong in ((more[0][0], b"x"), (more[1][0], b"x")):
        members = [wrong if wrong[0] == member[0] else member for member in more]
        taken = extracted(ova(*members, listed) if last else ova(listed, *members))
        assert (taken.code, repr(wrong[0]) in taken.message) == ("ova-digest", True)
    assert ova_code(ova(listed, *more, descriptor=ovf() + b" ")) == "ova-digest"


def test_what_stands_before_the_descriptor_is_compared_too() -> None:
    readme = ("readme.txt", b"read me")
    for content, code in ((b"read me", None), (b"changed", "ova-digest")):
        listed = ("vm.mf", manifest(("vm.ovf", ovf()), ("disk.vmdk", DISK), readme))
        for any_order in (False, True):
            image = tar(("readme.txt", content), ("vm.ovf", ovf()), ("disk.vmdk", DISK), listed)
            assert ova_code(image, any_order=any_order) == code


def test_lines_may_be_of_different_algorithms_and_written_as_the_tools_do() -> None:
    lines = manifest(("vm.ovf", ovf()), algorithm="sha1") + manifest(("./disk.vmdk", DISK), algorithm="sha512").upper()
    lines = lines.replace(b"./DISK.VMDK", b"./disk.vmdk").replace(b"SHA1(", b"SHA1 (").replace(b"\n", b"\r\n")
    assert extracted(ova(("vm.mf", lines), ("disk.vmdk", DISK))).properties["manifest"] == "sha1,sha512 verified"


def test_the_digest_of_a_compressed_disk_is_of_what_is_in_the_archive() -> None:
    import gzip

    packed, description = gzip.compress(DISK), ovf(files=file(compression="gzip"))
    for data, code in ((packed, None), (DISK, "ova-digest")):
        listed = ("vm.mf", manifest(("vm.ovf", description), ("disk.vmdk", data)))
        assert ova_code(ova(("disk.vmdk", packed), listed, descriptor=description)) == code


@pytest.mark.parametrize(
    "lines",
    [
        b"no manifest",
        BOTH + manifest(("gone.vmdk", b"")),
        BOTH * 2,
        BOTH + manifest(("./disk.vmdk", DISK)),
        BOTH.replace(b"SHA256", b"MD5"),
        BOTH[:-9],
        BOTH + manifest(("../../etc/passwd", b"")),
    ],
    ids=["text", "absent", "twice", "twice by another name", "md5", "cut", "elsewhere"],
)
def test_a_manifest_that_does_not_fit_is_refused(lines: bytes) -> None:
    for image in (ova(("vm.mf", lines), ("disk.vmdk", DISK)), ova(("disk.vmdk", DISK), ("vm.mf", lines))):
        assert ova_code(image) == "ova-manifest"
        assert ova_code(image, manifest="ignore") is None


def test_two_manifests_are_one_too_many() -> None:
    assert ova_code(ova(("vm.mf", BOTH), ("disk.vmdk", DISK), ("x.mf", BOTH))) == "ova-manifest"


def test_a_manifest_that_leaves_out_the_disk_is_told_or_refused() -> None:
    image = ova(("vm.mf", manifest(("vm.ovf", ovf()))), ("disk.vmdk", DISK))
    taken = extracted(image)
    assert (taken.code, taken.warnings) == (None, ["ova-manifest-incomplete"])
    assert taken.properties["manifest"] == "sha256 verified, incomplete"
    assert ova_code(image, manifest="required") == "ova-manifest"


def test_a_site_may_demand_a_manifest() -> None:
    assert ova_code(ova(), manifest="required") == "ova-manifest"
    assert ova_code(ova(("vm.mf", BOTH), ("disk.vmdk", DISK)), manifest="required") is None


def test_an_ignored_manifest_is_not_compared() -> None:
    taken = extracted(ova(("vm.mf", BOTH), ("disk.vmdk", b"other")), manifest="ignore")
    assert (taken.code, taken.properties["manifest"]) == (None, "ignored")


# signatures

VENDOR = certificate("vendor")
ROOT = certificate("root", ca=True)
MIDDLE = certificate("middle", "root", ca=True, path_length=0)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"")
FOR_KEYS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=True, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def with_signature(cert: bytes, lines: bytes = BOTH, last: bool = False) -> bytes:
    members = [("vm.mf", lines), ("vm.cert", cert), ("disk.vmdk", DISK)]
    return ova(*(members[2:] + members[:2] if last else members))


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda each: each.name)
@pytest.mark.parametrize("last", [True, False])
def test_a_signer_whom_the_operator_trusts_is_named(digest: hashes.HashAlgorithm, last: bool) -> None:
    image = with_signature(signed(BOTH, VENDOR, digest=digest), last=last)
    taken = extracted(image, trust=b"the vendor:\n" + pem(VENDOR), signature="required")
    assert (taken.code, taken.warnings) == (None, [])
    assert taken.properties | {"signature": "verified", "signer": "CN=vendor"} == taken.properties


def test_an_authority_that_is_trusted_vouches_for_its_signers() -> None:
    signer = certificate("vendor", "middle", purposes=(CODE,))
    for beside, trusted in (((MIDDLE,), (ROOT,)), ((), (ROOT, MIDDLE)), ((), (MIDDLE,)), ((ROOT, MIDDLE), (ROOT,))):
        taken = extracted(with_signature(signed(BOTH, signer, *beside)), trust=pem(*trusted), signature="required")
        assert (taken.code, taken.properties.get("signature")) == (None, "verified")


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
def test_a_signer_whom_nobody_vouches_for_is_refused(
    trusted: x509.Certificate, certificates: tuple[x509.Certificate, ...]
) -> None:
    taken = extracted(with_signature(signed(BOTH, *certificates)), trust=pem(trusted))
    assert taken.code == "ova-untrusted"


def test_an_issuer_that_only_has_the_name_of_one_that_is_trusted_is_not_believed() -> None:
    forged = certificate("vendor", "root")
    own = x509.CertificateBuilder(
        forged.issuer, forged.subject, forged.public_key(), forged.serial_number,
        forged.not_valid_before_utc, forged.not_valid_after_utc,
    ).sign(key("somebody else"), hashes.SHA256())  # fmt: skip
    assert ova_code(with_signature(signed(BOTH, own)), trust=pem(ROOT)) == "ova-untrusted"


def test_a_certificate_that_has_expired_is_named_as_such() -> None:
    old = certificate("vendor", days=(-9, -1))
    assert ova_code(with_signature(signed(BOTH, old)), trust=pem(old)) == "ova-expired"


def test_certificates_that_issued_each_other_in_all_ways_end_soon() -> None:
    ring = [certificate("a", "a", ca=True) for _ in range(15)]
    assert ova_code(with_signature(signed(BOTH, *ring, by="a")), trust=pem(ROOT)) == "ova-untrusted"


@pytest.mark.parametrize("trust", [None, pem(VENDOR)], ids=["nobody trusted", "trusted"])
@pytest.mark.parametrize(
    "cert",
    [
        b"",
        b"no certificate",
        signed(BOTH + b" ", VENDOR),
        signed(BOTH, VENDOR, by="somebody else"),
        signed(BOTH, VENDOR, name="other.mf"),
        signed(BOTH, VENDOR).replace(b"SHA256", b"MD5"),
        signed(BOTH, VENDOR).replace(b"SHA256", b"SHA512"),
        signed(BOTH, VENDOR).replace(b"= ", b"= xx"),
        signed(BOTH),
        signed(BOTH, VENDOR).replace(b"\nMII", b"\nAAA"),
        signed(BOTH, *[VENDOR] * 17),
        b"SHA256(other)= 00\n" + signed(BOTH, VENDOR),
    ],
    ids=["empty", "text", "other manifest", "other key", "other name", "md5", "sha512", "digits", "no certificate",
         "damaged", "many", "two lines"],
)  # fmt: skip
def test_a_wrong_signature_is_refused_whether_anybody_is_trusted_or_not(cert: bytes, trust: bytes | None) -> None:
    assert ova_code(with_signature(cert), trust=trust) == "ova-signature"
    assert ova_code(with_signature(cert), trust=trust, signature="ignore") is None


def test_a_key_that_is_not_rsa_is_refused() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder(
        VENDOR.issuer, VENDOR.subject, private.public_key(), 1, VENDOR.not_valid_before_utc, VENDOR.not_valid_after_utc
    ).sign(private, hashes.SHA256())
    assert ova_code(with_signature(signed(BOTH, made)), trust=pem(made)) == "ova-signature"


def test_a_short_key_is_only_believed_if_it_is_trusted_itself() -> None:
    short = certificate("short", "root", bits=1024)
    image = with_signature(signed(BOTH, short, by="short", bits=1024))
    assert ova_code(image, trust=pem(ROOT)) == "ova-untrusted"
    assert ova_code(image, trust=pem(short)) is None


def test_without_anybody_to_trust_a_right_signature_is_only_told() -> None:
    taken = extracted(with_signature(signed(BOTH, VENDOR)))
    assert (taken.code, taken.warnings) == (None, ["ova-signature-untrusted"])
    assert taken.properties["signature"] == "untrusted"


def test_a_signature_by_sha1_is_warned_of() -> None:
    taken = extracted(with_signature(signed(BOTH, VENDOR, digest=hashes.SHA1())), trust=pem(VENDOR))
    assert (taken.code, taken.warnings) == (None, ["ova-signature-weak"])


def test_a_site_may_demand_a_signature() -> None:
    required = {"trust": pem(VENDOR), "signature": "required"}
    assert ova_code(ova(), **required) == "ova-unsigned"
    assert ova_code(ova(("vm.mf", BOTH), ("disk.vmdk", DISK)), **required) == "ova-unsigned"
    assert ova_code(with_signature(signed(BOTH, VENDOR)), **required) is None


def test_a_signature_covers_the_disk_or_is_none() -> None:
    lines = manifest(("vm.ovf", ovf()))
    assert ova_code(with_signature(signed(lines, VENDOR), lines), trust=pem(VENDOR)) == "ova-manifest"
    changed = tar(("vm.ovf", ovf()), ("vm.mf", BOTH), ("vm.cert", signed(BOTH, VENDOR)), ("disk.vmdk", b"other"))
    assert ova_code(changed, trust=pem(VENDOR)) == "ova-digest"


def test_a_certificate_without_a_manifest_signs_nothing() -> None:
    assert ova_code(ova(("vm.cert", signed(BOTH, VENDOR)), ("disk.vmdk", DISK))) == "ova-signature"


@pytest.mark.parametrize("trust", [b"", b"no PEM", b"x" * (5 << 20)])
def test_a_file_of_trust_that_is_none_stops_the_start(trust: bytes) -> None:
    with pytest.raises(ValueError, match="granted as 'trust'"):
        extracted(ova(), trust=trust)


def without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had never been installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_without_the_package_nothing_passes_as_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trusted = with_signature(signed(BOTH, VENDOR)), pem(VENDOR)
    without_cryptography(monkeypatch)
    taken = extracted(image)
    assert (taken.warnings, taken.properties["signature"]) == (["ova-signature-unchecked"], "unchecked")
    assert "signer" not in taken.properties
    for config in ({}, {"signature": "required"}):
        with pytest.raises(ValueError, match=r"douane\[signatures\]"):
            extracted(ova(), trust=trusted, **config)
    with pytest.raises(ValueError, match="nobody is trusted"):
        extracted(ova(), signature="required")


def test_a_package_that_is_there_and_broken_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = pem(VENDOR)
    monkeypatch.setitem(sys.modules, "cryptography.x509", None)
    with pytest.raises(ValueError, match=r"douane\[signatures\]"):
        extracted(ova(), trust=trusted)


def test_trust_that_nothing_would_be_compared_with_stops_the_start() -> None:
    with pytest.raises(ValueError, match="'trust' is granted"):
        extracted(ova(), trust=pem(VENDOR), manifest="ignore")
    assert extracted(ova(), trust=pem(VENDOR), manifest="ignore", signature="ignore").code is None  # said outright
