"""Images that are signed by the programs that people sign with, and inspectors with granted files."""

from __future__ import annotations

import base64
import io
import os
import subprocess
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from douane_plugin._granted import GrantedFile, GrantedFolder
from support.images.signatures import NOW
from support.plugin_runs import answer

UUID = "3f1c2f0e-7a58-4b57-9f0b-0c9d1f3c5a11"


def granted(plugin: type[Any], grants: dict[str, bytes | Path], **config: Any) -> Any:
    """An instance of `plugin`; a grant is the content of a file, or the path of a file or a folder."""

    def grant(_: Any, name: str) -> Any:
        if name not in grants:
            raise LookupError(name)
        content = grants[name]
        if isinstance(content, bytes):
            return io.BytesIO(content)
        if content.is_dir():
            return GrantedFolder(name, str(content))
        return GrantedFile(os.open(content, os.O_RDONLY), name, str(content))

    instance = type(plugin.__name__, (plugin,), {"grant": grant})(**config)
    instance.warnings = []
    instance.warn = lambda code, message: instance.warnings.append(code)
    return instance


def code_of(plugin: Any, image: bytes, **facts: Any) -> str | None:
    """The code of the refusal, with ``incomplete:`` before it if that is the answer; None if accepted."""
    word, value = answer(plugin, image, **facts)
    return None if word == "accept" else value if word == "reject" else f"{word}:{value}"


def own_certificate(key: Any, *, ca: bool = False) -> x509.Certificate:
    """A certificate for `key` that is signed with it, valid for some days."""
    import datetime

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW - day, NOW + 9 * day)
    return builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )


def openssl_signed(image: bytes, key: Any, folder: Path, method: str, *options: str) -> str:
    """The signature that ``openssl dgst -sign`` makes, in base64 as the property has it."""
    key_file, image_file = folder / "key.pem", folder / "to-sign"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    image_file.write_bytes(image)
    words = ["openssl", "dgst", f"-{method}", "-sign", str(key_file), *options, str(image_file)]
    return base64.b64encode(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout).decode()


def properties(signature: str, method: str, key_type: str, uuid: str = UUID) -> dict[str, str]:
    """The four properties of an image that OpenStack signs."""
    return {
        "img_signature": signature,
        "img_signature_hash_method": method,
        "img_signature_key_type": key_type,
        "img_signature_certificate_uuid": uuid,
    }


class Minisign:
    """A key of minisign, without a password."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("-G", "-W", "-p", "key.pub", "-s", "key.sec")
        self.public = (folder / "key.pub").read_bytes()

    def sign(self, image: bytes, *options: str) -> bytes:
        """The signature file of `image`; with ``-l`` of the old kind."""
        (self._folder / "image").write_bytes(image)
        self._run("-S", "-W", *options, "-s", "key.sec", "-m", "image", "-x", "signature")
        return (self._folder / "signature").read_bytes()

    def _run(self, *words: str) -> None:
        subprocess.run(["minisign", *words], cwd=self._folder, check=True, stdout=subprocess.DEVNULL)


class Gpg:
    """A home of GnuPG; `close` ends its agent."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder, self._env = folder, os.environ | {"GNUPGHOME": str(folder)}

    def make_key(self, user: str, algorithm: str = "ed25519", expires: str = "never", *options: str) -> bytes:
        """A new key that signs; its public part."""
        self._gpg("--passphrase", "", *options, "--quick-gen-key", user, algorithm, "sign", expires)
        return self._gpg("--export", user)

    def sign(self, data: bytes, *options: str) -> bytes:
        """What ``gpg OPTIONS`` makes of `data`: ``-b`` a detached signature, ``--clearsign`` a signed text."""
        return self._gpg(*options, "--output", "-", input=data)

    def fingerprint(self, user: str) -> str:
        lines = self._gpg("--with-colons", "--list-keys", user).decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr"))

    def close(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self._env, check=True)

    def _gpg(self, *words: str, input: bytes = b"") -> bytes:
        command = ["gpg", "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", *words]
        return subprocess.run(command, env=self._env, input=input, check=True, stdout=subprocess.PIPE).stdout
