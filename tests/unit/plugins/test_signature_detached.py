"""The inspector `signature`: signatures beside the image (minisign, GnuPG, Sigstore), and signed lists of digests."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.signature import Signature
from douane.plugins.signature.ed25519 import StreamedEd25519
from douane.plugins.signature.gpg import signer_of
from douane_plugin import Incomplete, Reject
from support.plugin_runs import answer
from support.signing import Gpg, Minisign, code_of, granted

IMAGE = bytes(range(256)) * 9000
OTHER = IMAGE[:-1] + b"x"
SIGSTORE = Path(__file__).parents[2] / "support" / "sigstore"
GITHUB = "https://token.actions.githubusercontent.com"
WHEEL = {
    "identity": "https://github.com/trailofbits/rfc8785.py/.github/workflows/release.yml@refs/tags/v0.1.2",
    "issuer": GITHUB,
}


@pytest.fixture(scope="module")
def minisign(tmp_path_factory: pytest.TempPathFactory) -> Minisign:
    return Minisign(tmp_path_factory.mktemp("minisign"))


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    home = Gpg(tmp_path_factory.mktemp("gpg"))
    home.public = home.make_key("site@example.org")  # type: ignore[attr-defined]
    yield home
    home.close()


def sign(
    image: bytes, keys: dict[str, Any], signature: bytes, offered: bytes | None = None, **config: Any
) -> str | None:
    """The code for `image` with a granted file that holds the signature."""
    return code_of(granted(Signature, {**keys, "signatures": signature}, **config), image)


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 95), st.integers(0, 255))
def test_streamed_ed25519_agrees_with_the_library(message: bytes, cut: int, place: int, change: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(message[:3]).digest())
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    both = bytearray(private.sign(message) + public)
    both[place] ^= change
    verifier = StreamedEd25519(bytes(both[64:]), bytes(both[:64]))
    verifier.update(message[:cut])
    verifier.update(memoryview(message[cut:]))
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        Ed25519PublicKey.from_public_bytes(bytes(both[64:])).verify(bytes(both[:64]), message)
        expected = True
    except InvalidSignature:
        expected = False
    assert verifier.is_valid() == expected
    assert expected or change


def test_ed25519_takes_no_scalar_beyond_the_order() -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    value = private.sign(b"m")
    scalar = int.from_bytes(value[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    for signature, valid in ((value, True), (value[:32] + scalar.to_bytes(32, "little"), False), (value[:63], False)):
        verifier = StreamedEd25519(public, signature)
        verifier.update(b"m")
        assert verifier.is_valid() == valid


@pytest.mark.parametrize("options", [(), ("-l",)], ids=["prehashed", "legacy"])
def test_minisign(minisign: Minisign, options: tuple[str, ...], tmp_path: Path) -> None:
    signature, keys = minisign.sign(IMAGE, *options), {"minisign": minisign.public}
    plugin = granted(Signature, {**keys, "signatures": signature})
    key_id = minisign.public.split()[5].decode().zfill(16)  # minisign writes it without its leading zeros
    assert answer(plugin, IMAGE) == ("accept", {"verified": "minisign", "signer": key_id})
    assert code_of(plugin, OTHER) == code_of(plugin, b"") == "signature-invalid"
    stranger = {"minisign": Minisign(tmp_path).public}
    assert sign(IMAGE, stranger, signature) == "signature-untrusted"
    assert sign(IMAGE, {"minisign": b"# both\n" + stranger["minisign"] + minisign.public}, signature) is None
    lines = signature.decode().splitlines()
    for wrong in (
        signature.replace(b"timestamp:1", b"timestamp:2"),
        "\n".join(lines[:3]).encode(),
        "\n".join([*lines, "more"]).encode(),
        signature.replace(b"\nRU", b"\nRW") if not options else signature.replace(b"\nRW", b"\nRU"),
        b"untrusted comment: nothing\n",
    ):
        assert sign(IMAGE, keys, wrong) == "signature-invalid"


def test_a_signature_is_found_by_the_name_or_the_digest_of_the_image(
    minisign: Minisign, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = granted(Signature, {"minisign": minisign.public, "signatures": tmp_path})
    with caplog.at_level("INFO"):
        assert code_of(plugin, IMAGE, name="debian.qcow2") == "signature-missing"
    assert "named as the image (debian.qcow2)" in caplog.text, "the operator sees which name was looked for"
    by_name = tmp_path / "debian.qcow2.minisig"
    by_name.write_bytes(minisign.sign(IMAGE, "-l"))
    assert code_of(plugin, IMAGE, name="debian.qcow2") is None
    assert code_of(plugin, OTHER, name="debian.qcow2") == "signature-invalid"
    assert code_of(plugin, IMAGE, name="other") == code_of(plugin, IMAGE) == "signature-missing"
    (tmp_path / "inner").mkdir()
    by_name.rename(tmp_path / "inner" / "debian.qcow2.minisig")
    assert code_of(plugin, IMAGE, name="inner/debian.qcow2") == "signature-missing"
    by_digest = tmp_path / f"{hashlib.sha256(IMAGE).hexdigest()}.minisig"
    by_digest.write_bytes(minisign.sign(IMAGE))
    assert code_of(plugin, IMAGE, name="any") == code_of(plugin, IMAGE) is None
    by_digest.write_bytes(minisign.sign(IMAGE, "-l"))
    assert code_of(plugin, IMAGE) == "signature-late"
    by_digest.write_bytes(b"")
    assert code_of(plugin, IMAGE) == "signature-invalid"
    by_digest.write_bytes(bytes(2 << 20))
    assert code_of(plugin, IMAGE) == "incomplete:signature-unreadable"


def test_all_signatures_must_be_right_and_of_a_kind_with_keys(minisign: Minisign, gpg: Any, tmp_path: Path) -> None:
    (tmp_path / "x.minisig").write_bytes(minisign.sign(IMAGE))
    (tmp_path / "x.sig").write_bytes(gpg.sign(IMAGE, "-b"))
    keys = {"minisign": minisign.public, "signatures": tmp_path}
    both = granted(Signature, {**keys, "gpg": gpg.public})
    assert answer(both, IMAGE, name="x")[1]["verified"] == "minisign, gpg"
    assert code_of(granted(Signature, keys), IMAGE, name="x") == "incomplete:signature-no-key"
    (tmp_path / "x.sig").write_bytes(gpg.sign(OTHER, "-b"))
    assert code_of(both, IMAGE, name="x") == "signature-invalid"


def test_a_signature_may_be_in_a_property(minisign: Minisign, gpg: Any) -> None:
    keys = {"minisign": minisign.public, "gpg": gpg.public}
    plugin = granted(Signature, keys, property="site_signature")
    for value in (
        minisign.sign(IMAGE).decode(),
        base64.encodebytes(minisign.sign(IMAGE)).decode(),
        gpg.sign(IMAGE, "-b", "--armor").decode(),
        base64.b64encode(gpg.sign(IMAGE, "-b")).decode(),
    ):
        assert code_of(plugin, IMAGE, properties={"site_signature": value}) is None
        assert code_of(plugin, OTHER, properties={"site_signature": value}) == "signature-invalid"
    for value in ("", "no base64 at all!", "AAAA"):
        assert code_of(plugin, IMAGE, properties={"site_signature": value}) == "signature-invalid"
    assert code_of(plugin, IMAGE) == "signature-missing"


def test_gpg(gpg: Any, tmp_path: Path) -> None:
    keys, signature = {"gpg": gpg.public}, gpg.sign(IMAGE, "-b")
    plugin = granted(Signature, {**keys, "signatures": signature})
    assert answer(plugin, IMAGE) == ("accept", {"verified": "gpg", "signer": gpg.fingerprint("site@example.org")})
    assert code_of(plugin, OTHER) == code_of(plugin, b"") == "signature-invalid"
    armored = gpg.sign(b"", "--armor", "--export", "site@example.org")
    assert sign(IMAGE, {"gpg": b"the key:\n" + armored}, signature) is None
    assert sign(IMAGE, keys, gpg.sign(IMAGE, "-b", "--armor")) is None
    assert sign(IMAGE, keys, gpg.sign(IMAGE, "-s")) == "signature-invalid"  # a message of its own
    assert sign(IMAGE, keys, gpg.sign(IMAGE, "-b", "--textmode")) == "signature-invalid"
    assert sign(IMAGE, keys, signature[:40]) == sign(IMAGE, keys, b"junk") == "signature-invalid"


def test_only_lines_of_gpgv_itself_count() -> None:
    valid = b"VALIDSIG A 2026-01-01 1 0 4 0 22 8 00 A"
    good = b"[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG A name\n[GNUPG:] " + valid + b"\n"
    assert signer_of(good, 0, detached=True) == "A"
    with pytest.raises(Incomplete):  # killed before it said anything
        signer_of(b"", -9, detached=True)
    for end in ("\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"):
        lines = f"[GNUPG:] NEWSIG\n[GNUPG:] NOTATION_DATA x{end}[GNUPG:] GOODSIG A{end}[GNUPG:] {valid.decode()}\n"
        with pytest.raises(Reject):
            signer_of(lines.encode(), 0, detached=True)
    for more in (b"[GNUPG:] BADSIG B name\n", b"[GNUPG:] PLAINTEXT 62 0 \n", b"[GNUPG:] ERROR verify 1\n"):
        with pytest.raises(Reject):
            signer_of(more + good, 0, detached=True)


def test_gpg_keys_that_are_not_trusted_any_more(gpg: Any, tmp_path: Path) -> None:
    other = Gpg(tmp_path / "other")
    try:
        stranger = other.make_key("stranger@example.org", "rsa2048")
        assert sign(IMAGE, {"gpg": gpg.public}, other.sign(IMAGE, "-b")) == "signature-untrusted"
        assert sign(IMAGE, {"gpg": stranger}, other.sign(IMAGE, "-b")) is None
        assert sign(IMAGE, {"gpg": stranger}, other.sign(IMAGE, "-b", "--digest-algo", "SHA1")) == "signature-weak"
        past = ("--faked-system-time", "20250101T000000")
        old = other.make_key("old@example.org", "ed25519", "7d", *past)
        signature = other.sign(IMAGE, "-b", "--local-user", "old@example.org", *past)
        assert sign(IMAGE, {"gpg": old}, signature) == "signature-expired"
        # One of two keys is enough, as when a distribution changes its key.
        two = gpg.sign(IMAGE, "-b") + other.sign(IMAGE, "-b", "--local-user", "stranger@example.org")
        assert sign(IMAGE, {"gpg": gpg.public}, two) is None
    finally:
        other.close()


@functools.cache
def listed(image: bytes = IMAGE, name: str = "debian.qcow2") -> bytes:
    return f"{hashlib.sha512(image).hexdigest()}  {name}\n{'0' * 128}  other.qcow2\n".encode()


def test_signed_lists_of_digests(gpg: Any, minisign: Minisign) -> None:
    keys = {"gpg": gpg.public, "minisign": minisign.public}
    fedora = f"# Fedora\nSHA256 (debian.qcow2) = {hashlib.sha256(IMAGE).hexdigest()}\n".encode()
    for grants, kind in (
        ({"sums": listed(), "sums_signature": gpg.sign(listed(), "-b")}, "gpg-sums"),
        ({"sums": listed(), "sums_signature": minisign.sign(listed())}, "minisign-sums"),
        ({"sums": gpg.sign(fedora, "--clearsign")}, "gpg-sums"),
    ):
        plugin = granted(Signature, keys | grants)
        assert answer(plugin, IMAGE, name="debian.qcow2")[1]["verified"] == kind
        assert code_of(plugin, OTHER, name="debian.qcow2") == "signature-invalid"
        assert code_of(plugin, IMAGE, name="ubuntu.img") == "sums-not-listed"
        assert code_of(plugin, IMAGE) == "incomplete:sums-no-name"
        assert code_of(granted(Signature, keys | grants, name="debian.qcow2"), IMAGE, name="Debian 12") is None
        assert answer(granted(Signature, keys | grants, required=False), IMAGE) == ("accept", {"verified": "none"})


def test_lists_whose_signature_is_wrong(gpg: Any, tmp_path: Path) -> None:
    keys, name = {"gpg": gpg.public}, {"name": "debian.qcow2"}
    signature = gpg.sign(listed(), "-b")
    for sums, beside in (
        (listed() + b"\n", signature),
        (listed(), None),
        (gpg.sign(listed(), "--clearsign").replace(b"debian", b"ubuntu"), None),
        (b"", signature),
    ):
        grants = {**keys, "sums": sums} | ({} if beside is None else {"sums_signature": beside})
        assert code_of(granted(Signature, grants, required=False), IMAGE, **name) == "signature-invalid"
    # What stands outside of the signed part of a text does not count.
    forged = f"{hashlib.sha256(OTHER).hexdigest()}  debian.qcow2\n".encode() + gpg.sign(b"nothing\n", "--clearsign")
    assert code_of(granted(Signature, {**keys, "sums": forged}), OTHER, **name) in (
        "sums-not-listed",
        "signature-invalid",
    )
    # Two messages in one file: the text of the one, the good signature of the other.
    both = Gpg(tmp_path / "other")
    try:
        both.make_key("stranger@example.org")
        foreign = both.sign(f"{hashlib.sha256(OTHER).hexdigest()}  debian.qcow2\n".encode(), "--clearsign")
    finally:
        both.close()
    for good in (gpg.sign(b"x\n", "--clearsign"), gpg.sign(b"x\n", "--sign", "--armor"), gpg.sign(b"x\n", "--sign")):
        for sums in (foreign + good, good + foreign):
            refused = code_of(granted(Signature, {**keys, "sums": sums}), OTHER, **name)
            assert refused in ("signature-invalid", "signature-untrusted")
    weak = f"{hashlib.sha1(IMAGE).hexdigest()}  debian.qcow2\n".encode()
    grants = {**keys, "sums": weak, "sums_signature": gpg.sign(weak, "-b")}
    assert code_of(granted(Signature, grants), IMAGE, **name) == "sums-not-listed"


def sigstore(root: str, bundle: bytes, **config: str) -> Any:
    return granted(Signature, {"sigstore": SIGSTORE / f"{root}_root.json", "signatures": bundle}, **config)


@pytest.mark.parametrize(
    ("name", "root", "config"),
    [
        ("bundle_v3_github.whl.sigstore", "production", WHEEL),
        (
            "staging-rekor-v2.txt.sigstore.json",
            "staging",
            {"identity": "jku@goto.fi", "issuer": "https://github.com/login/oauth"},
        ),
    ],
)
def test_bundles_of_sigstore(name: str, root: str, config: dict[str, str]) -> None:
    bundle = (SIGSTORE / name).read_bytes()
    image = (SIGSTORE / name.partition(".sigstore")[0]).read_bytes()
    plugin = sigstore(root, bundle, **config)
    assert answer(plugin, image) == ("accept", {"verified": "sigstore", "signer": config["identity"]})
    assert code_of(plugin, image + b"x") == "signature-invalid"
    assert code_of(sigstore(root, bundle[:-200], **config), image) == "signature-invalid"
    for changed in ({"identity": "somebody@else"}, {"issuer": "https://accounts.google.com"}):
        assert code_of(sigstore(root, bundle, **config | changed), image) == "signature-untrusted"
    other_root = "staging" if root == "production" else "production"
    assert code_of(sigstore(other_root, bundle, **config), image) == "signature-invalid"


def test_bundles_of_sigstore_that_are_not_for_the_image(tmp_path: Path) -> None:
    inconsistent = (SIGSTORE / "bundle_cve_2022_36056.txt.sigstore").read_bytes()
    image = (SIGSTORE / "bundle_cve_2022_36056.txt").read_bytes()
    signer = {"identity": "william@yossarian.net", "issuer": "https://github.com/login/oauth"}
    assert code_of(sigstore("staging", inconsistent, **signer), image) == "signature-invalid"
    attestation = (SIGSTORE / "provenance.txt.sigstore.json").read_bytes()
    workflow = "extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml"
    signer = {"identity": f"https://github.com/sigstore-conformance/{workflow}@refs/heads/main", "issuer": GITHUB}
    image = (SIGSTORE / "provenance.txt").read_bytes()
    assert code_of(sigstore("staging", attestation, **signer), image) == "signature-invalid"
    # In a folder that `provenance` shares, it is no signature, and no wrong one.
    (tmp_path / "image.sigstore.json").write_bytes(attestation)
    shared = granted(Signature, {"sigstore": SIGSTORE / "staging_root.json", "signatures": tmp_path}, **signer)
    assert code_of(shared, image, name="image") == "signature-missing"
    for text in (b"{}", b"{", b'{"mediaType": 1}', b"[" * 100_000):
        assert code_of(sigstore("staging", b"{" + text, **signer), image) == "signature-invalid"


@pytest.mark.parametrize(
    ("grants", "config", "words"),
    [
        ({"minisign": b"RWxx"}, {}, "no public key"),
        ({"minisign": b""}, {}, "0 public keys"),
        ({"gpg": b""}, {}, "no keys"),
        ({"gpg": b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n###\n"}, {}, "damaged block"),
        ({"sigstore": SIGSTORE / "staging_root.json"}, {}, "say who may"),
        ({"sigstore": SIGSTORE / "README.md"}, WHEEL, "no trusted root"),
    ],
)
def test_keys_that_cannot_be_read_are_configuration_errors(
    grants: dict[str, Any], config: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        granted(Signature, {**grants, "signatures": b"x"}, **config)


def test_keys_without_signatures_are_a_configuration_error(minisign: Minisign) -> None:
    with pytest.raises(ValueError, match="but no signatures"):
        granted(Signature, {"minisign": minisign.public})
