"""The plan of docs/inspectors/site.md with the files that it names, and a plan with all built-in plugins."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from douane.advisories.building import build
from support.clamd_servers import real_clamd
from support.doc_pages import TOP, blocks, page
from support.plans import plugin
from support.planted_packages import ADVISORIES, osv_zip
from support.signing import Gpg, Minisign

SITE_PLAN = blocks(page("docs/inspectors/site.md"))[0].text
"""As the page has it."""

REST = "".join(
    [
        plugin(
            "signature",
            "signature-of-workflows",
            config={"identity": "someone@example.org", "issuer": "https://accounts.google.com", "required": False},
            grants={
                "sigstore": f"file:{TOP}/tests/support/sigstore/production_root.json",
                "certificates": "dir:/etc/douane/certificates",
                "trust": "file:/etc/douane/certificates/authority.pem",
                "signatures": "dir:/etc/douane/signatures",
            },
        ),
        plugin("checksum", config={"expected": "0" * 64}),
        plugin("oslo-format"),
        plugin("qemu-info"),
        plugin("yara-stream", grants={"rules": "dir:/etc/douane/yara"}),
        plugin("properties", may_set=["os_type"], config={"rules": [{"set": {"os_type": "linux"}}]}),
        plugin("untar"),
        plugin("ova", grants={"trust": "file:/etc/douane/certificates/authority.pem"}),
        plugin("ova-any-order", grants={"trust": "file:/etc/douane/certificates/authority.pem"}),
        plugin("convert"),
    ]
)
"""Built-in plugins that the plan of the site does not have, and what needs further libraries."""


@contextmanager
def granted_files(folder: Path) -> Iterator[dict[str, str]]:
    """The files and folders that the plans name, and a clamd; yields the places by those that the plans name."""
    key = Ed25519PrivateKey.generate()
    private = folder / "evidence.pem"
    private.touch(0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "builders.pem").write_bytes(public)
    for name in ("signatures", "yara", "certificates"):
        (folder / name).mkdir()
    (folder / "certificates" / "authority.pem").write_bytes(_authority(key))
    (folder / "yara" / "site.yar").write_text('rule planted { strings: $a = "PLANTED" condition: $a }')
    shutil.copy(TOP / "examples" / "policies" / "guest.toml", folder / "guest-policy.toml")
    build([str(osv_zip(folder / "osv.zip", ADVISORIES))], str(folder / "cve.sqlite"))
    (folder / "minisign.pub").write_bytes(Minisign(folder).public)
    gpg = Gpg(folder / "gpg")
    try:
        (folder / "keys.gpg").write_bytes(gpg.make_key("site@example.org"))
    finally:
        gpg.close()
    with TemporaryDirectory(dir="/tmp") as scanner, real_clamd(Path(scanner)) as socket:
        scanning = {"/run/clamav/clamd.ctl": str(socket), "/etc/clamav": scanner}
        yield {"/etc/douane": str(folder), "/var/lib/douane": str(folder), **scanning}


def placed(text: str, places: dict[str, str]) -> str:
    """A plan with the places of :func:`granted_files`."""
    for name, place in places.items():
        text = text.replace(name, place)
    return text


def _authority(key: Ed25519PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of this test")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, None).public_bytes(Encoding.PEM)
