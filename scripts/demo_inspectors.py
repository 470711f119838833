"""Make what `make demo` shows of the inspectors: for each one a plan and an image that it refuses.

    demo_inspectors.py FOLDER

Writes FOLDER/NAME.toml and FOLDER/NAME.img, and prints a line for each: the name, and what is wrong with the image. The
disks are ext4, of a few MiB. For `clamav` there is also FOLDER/clamd.conf, with signatures for the clamd that the demo
starts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from douane.plan.builtin import BUILT_IN
from douane_plugin.testing import guest_image

TOP = Path(__file__).resolve().parents[1]
DEBIAN = {
    "/etc/os-release": 'ID=debian\nVERSION_ID=13\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "/etc/shadow": "root:*:20000:0:99999:7:::\n",
    "/usr/bin/cloud-init": "#!/usr/bin/python3\n",
}
TELNET = "Package: telnetd\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.17-1\n\n"
OPENSSL = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.1-1\n\n"
MINER = "a worker of stratum+tcp://pool.example.org:3333\n"
VIRUS = b"the text that the demo's only signature describes"
KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 42}= builder\n"
CLAMD = """LocalSocket {folder}/clamd.ctl
DatabaseDirectory {folder}/signatures
TemporaryDirectory {folder}
Foreground yes
AlertEncrypted yes
AlertExceedsMax yes
"""


class Scene(NamedTuple):
    """An inspector that refuses an image."""

    fault: str
    """What is wrong with it."""

    files: Mapping[str, str | bytes] = {}
    """What is in it, besides the files of a small Debian."""

    config: str = ""
    """Keys of TOML."""

    grants: Callable[[Path, bytes], dict[str, str]] = lambda _, __: {}
    """The grants, whose files are written to the folder."""


def _minisign(folder: Path, image: bytes) -> dict[str, str]:
    """A key, and its signature of an image that lacks the last byte of this one."""
    key, number, comment = Ed25519PrivateKey.generate(), b"the demo", "timestamp:1"
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = key.sign(hashlib.blake2b(image[:-1]).digest())
    lines = ["untrusted comment: ", _text(b"ED" + number + signature), f"trusted comment: {comment}"]
    lines.append(_text(key.sign(signature + comment.encode())))
    (folder / "signature.img.minisig").write_text("\n".join(lines) + "\n")
    (folder / "minisign.pub").write_text(f"untrusted comment: \n{_text(b'Ed' + number + public)}\n")
    return {"minisign": f"file:{folder}/minisign.pub", "signatures": f"file:{folder}/signature.img.minisig"}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _builders(folder: Path, _: bytes) -> dict[str, str]:
    public = Ed25519PrivateKey.generate().public_key()
    (folder / "builders.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "attestations").mkdir()
    return {"keys": f"file:{folder}/builders.pem", "attestations": f"dir:{folder}/attestations"}


def _sums(folder: Path, image: bytes) -> dict[str, str]:
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(image[:-1]).hexdigest()}  checksum.img\n")
    return {"sums": f"file:{folder}/SHA256SUMS"}


def _guest_policy(_: Path, __: bytes) -> dict[str, str]:
    return {"policy": f"file:{TOP}/examples/policies/guest.toml"}


def _rules(folder: Path, _: bytes) -> dict[str, str]:
    text = (
        'rule miner { meta: description = "the configuration of a miner" strings: $a = "stratum+tcp://" condition: $a }'
    )
    (folder / "rules.yar").write_text(text + "\n")
    return {"rules": f"file:{folder}/rules.yar"}


def _clamd(folder: Path, _: bytes) -> dict[str, str]:
    (folder / "signatures").mkdir()
    (folder / "signatures" / "demo.ndb").write_text(f"Demo.Virus:0:*:{VIRUS.hex()}\n")
    (folder / "clamd.conf").write_text(CLAMD.format(folder=folder))
    return {"clamd": f"unix:{folder}/clamd.ctl", "conf": f"file:{folder}/clamd.conf"}


def _advisories(folder: Path, _: bytes) -> dict[str, str]:
    """A database of one advisory, in the form in which OSV exports it, by `douane cve build`."""
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.2-1"}]}
    record = {
        "id": "DEBIAN-CVE-2026-0001",
        "modified": f"{datetime.now(UTC):%Y-%m-%d}T00:00:00Z",
        "upstream": ["CVE-2026-0001"],
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [{"package": {"ecosystem": "Debian:13", "name": "openssl"}, "ranges": [fixed]}],
    }
    with zipfile.ZipFile(folder / "osv.zip", "w") as archive:
        archive.writestr("DEBIAN-CVE-2026-0001.json", json.dumps(record))
    words = ["douane", "cve", "build", "--output", str(folder / "cve.sqlite"), str(folder / "osv.zip")]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return {"cve": f"file:{folder}/cve.sqlite"}


def _private_key() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


SCENES: dict[str, Scene] = {
    "checksum": Scene("the publisher's list has another digest of it", grants=_sums),
    "signature": Scene("one byte has changed since it was signed", grants=_minisign),
    "provenance": Scene("no attestation says who made it", grants=_builders),
    "policy": Scene(
        "the site wants UEFI", config='require = "\'hw_firmware_type\' in image.properties", message = "UEFI only"'
    ),
    "guest-policy": Scene("the site wants no telnet servers", {"/var/lib/dpkg/status": TELNET}, grants=_guest_policy),
    "yara": Scene("a file matches a rule of the site", {"/opt/worker.conf": MINER}, grants=_rules),
    "clamav": Scene("a virus", {"/usr/bin/tool": VIRUS}, config="max_database_age = 0", grants=_clamd),
    "baseline": Scene(
        "its builder can still log in as root",
        {"/root/.ssh/authorized_keys": KEY},
        config='rules = { kernel = "allow", boot-loader = "allow" }',
    ),
    "packages": Scene("a package has a known vulnerability", {"/var/lib/dpkg/status": OPENSSL}, grants=_advisories),
    "secrets": Scene("a private key was left behind", {"/root/.ssh/id_ed25519": _private_key()}),
}
"""By inspector, in the order of the demo."""


def main() -> None:
    """Write everything; see the module."""
    folder = Path(sys.argv[1]).resolve()
    for name, scene in SCENES.items():
        if name not in BUILT_IN:
            continue
        image = guest_image({**DEBIAN, **scene.files})
        (folder / f"{name}.img").write_bytes(image)
        grants = ", ".join(f'{key} = "{value}"' for key, value in scene.grants(folder, image).items())
        lines = ["[import]", "digests = []", "[[plugin]]", f'name = "{name}"', f'use = "{name}"']
        lines += [f"config = {{ {scene.config} }}"] * bool(scene.config)
        lines += [f"grants = {{ {grants} }}"] * bool(grants)
        (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
        print(name, scene.fault)


if __name__ == "__main__":
    main()
