"""A tree of files with one secret of each kind that the inspector `secrets` looks for.

It is made anew for each run: no text in this repository looks like a secret, and none opens anything."""

from __future__ import annotations

import base64
import json
import random
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
WORDS, HEX, BASE32 = LETTERS + "_-", "0123456789abcdef", string.ascii_uppercase + "234567"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


@dataclass(frozen=True)
class Planted:
    """A secret in a file: the rule that finds it, what it means, and the bytes that nobody may be shown."""

    rule: str
    path: str
    content: bytes
    secret: bytes
    severity: str = "refuse"


def plant(folder: Path, seed: int = 1) -> list[Planted]:
    """Write a file for each secret below `folder`."""
    planted = planted_secrets(seed)
    for item in planted:
        path = folder / item.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.content)
    return planted


def planted_secrets(seed: int = 1) -> list[Planted]:
    """One of each kind at least; keys are as random as the seed, but for those that a library makes."""
    make = Maker(random.Random(seed))
    return [*make.private_keys(), *make.tokens(), *make.clouds(), *make.passwords(), *make.leftovers()]


class Maker:
    """Makes secrets of a source of random numbers."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def text(self, length: int, letters: str = LETTERS) -> str:
        return "".join(self._source.choices(letters, k=length))

    def base64(self, length: int) -> str:
        return base64.b64encode(self._source.randbytes(length)).decode()

    def private_keys(self) -> list[Planted]:
        rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
        ed_key = ed25519.Ed25519PrivateKey.generate()
        openssl, pkcs8, openssh = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8, PrivateFormat.OpenSSH
        locked = BestAvailableEncryption(b"a passphrase")
        pgp = f"\n\n{base64.encodebytes(self.pgp_key()).decode()}=AAAA\n"
        files: list[tuple[str, bytes, str]] = [
            ("/etc/ssl/private/rsa.key", pem(rsa_key, openssl), "refuse"),
            ("/etc/ssl/private/ec.key", pem(ec_key, openssl), "refuse"),
            ("/srv/app/pkcs8.pem", pem(rsa_key, pkcs8), "refuse"),
            ("/root/.ssh/id_ed25519", pem(ed_key, openssh), "refuse"),
            ("/srv/app/pkcs8-encrypted.pem", pem(ec_key, pkcs8, locked), "warn"),
            ("/srv/app/encrypted.pem", pem(ec_key, openssl, locked), "warn"),
            ("/root/secret.asc", framed("PGP PRIVATE KEY BLOCK", pgp), "refuse"),
        ]
        keys = [Planted("private-key", path, text, body(text), severity) for path, text, severity in files]
        data = pem(ec_key, pkcs8)
        kube = f"users:\n- name: admin\n  user:\n    client-key-data: {base64.b64encode(data).decode()}\n"
        account = {"type": "service_account", "private_key_id": "0", "private_key": pem(rsa_key, pkcs8).decode()}
        lines = "\n".join(self.base64(48) for _ in range(4))
        putty = (
            "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nComment: a key\n"
            f"Public-Lines: 4\n{lines}\nPrivate-Lines: 4\n{lines[::-1]}\nPrivate-MAC: {self.text(40, HEX)}\n"
        )
        age = self.age_key()
        minisign = base64.b64encode(b"Ed\0\0B2" + self._source.randbytes(152)).decode()
        wireguard = self.base64(32)
        keytab_key = self._source.randbytes(32)
        return [
            *keys,
            Planted("kubernetes-key", "/root/.kube/config", kube.encode(), base64.b64encode(data)),
            Planted(
                "gcp-service-account",
                "/root/account.json",
                json.dumps(account).encode(),
                body(pem(rsa_key, pkcs8))[:60],
            ),
            Planted("putty-key", "/root/key.ppk", putty.encode(), lines[::-1].encode()),
            Planted("age-key", "/root/age.txt", f"# created\n{age}\n".encode(), age.encode()[16:]),
            Planted(
                "minisign-key",
                "/root/.minisign/minisign.key",
                f"untrusted comment: a key\n{minisign}\n".encode(),
                minisign.encode(),
            ),
            Planted(
                "wireguard-key",
                "/etc/wireguard/wg0.conf",
                f"[Interface]\nPrivateKey = {wireguard}\n".encode(),
                wireguard.encode(),
            ),
            Planted("keytab", "/etc/krb5.keytab", keytab(keytab_key), keytab_key),
        ]

    def tokens(self) -> list[Planted]:
        numbers = self.text(11, "123456789")
        macaroon = base64.urlsafe_b64encode(b"\x02\x01\x08pypi.org\x02" + self._source.randbytes(90)).decode()
        claims = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "somebody", "iat": 1})
        ]
        tokens = {
            "github-token": "ghp_" + self.checked(),
            "github-fine-grained-token": f"github_pat_{self.text(22)}_{self.text(59)}",
            "gitlab-token": "glpat-" + self.text(20),
            "npm-token": "npm_" + self.checked(),
            "pypi-token": "pypi-" + macaroon.rstrip("="),
            "rubygems-token": "rubygems_" + self.text(48, HEX),
            "docker-token": "dckr_pat_" + self.text(27),
            "slack-token": f"xoxb-{numbers}-{numbers}-{self.text(24)}",
            "slack-webhook": f"hooks.slack.com/services/T{self.text(10)}/B{self.text(10)}/{self.text(24)}",
            "stripe-key": "sk_live_" + self.text(24),
            "sendgrid-key": f"SG.{self.text(22)}.{self.text(43)}",
            "twilio-key": "TWILIO_KEY=SK" + self.text(32, HEX),
            "telegram-token": f"{self.text(9, '123456789')}:AA{self.text(33)}",
            "openai-key": f"sk-{self.text(20)}T3BlbkFJ{self.text(20)}",
            "anthropic-key": f"sk-ant-api03-{self.text(93)}AA",
            "huggingface-token": "hf_" + self.text(34, string.ascii_letters),
            "grafana-token": f"glsa_{self.text(32)}_{self.text(8, HEX)}",
            "shopify-token": "shpat_" + self.text(32, HEX),
            "tailscale-key": f"tskey-auth-{self.text(12)}-{self.text(32)}",
            "vault-token": "hvs." + self.text(95, WORDS),
            "terraform-token": f"{self.text(14)}.atlasv1.{self.text(64)}",
            "digitalocean-token": "dop_v1_" + self.text(64, HEX),
            "jwt": ".".join([*claims, self.text(43)]),
        }
        return [
            Planted(rule, f"/srv/{rule}.env", f"TOKEN={token}\n".encode(), token.encode()[12:], severity_of(rule))
            for rule, token in tokens.items()
        ]

    def clouds(self) -> list[Planted]:
        key, secret, other = "AKIA" + self.text(16, BASE32), self.text(40), self.text(40)
        storage, google = self.base64(64), "AIza" + self.text(35)
        entra = f"{self.text(3)}8Q~{self.text(34)}"
        login = base64.b64encode(f"robot:{self.text(20)}".encode()).decode()
        texts: list[tuple[str, str, str, str]] = [
            ("aws-access-key", "/root/keys.csv", f"{key},{secret}\n", secret),
            ("aws-secret-key", "/root/.aws/credentials", f"[default]\naws_secret_access_key = {other}\n", other),
            ("azure-storage-key", "/srv/a.env", f"AccountName=x;AccountKey={storage};\n", storage),
            ("azure-client-secret", "/srv/b.env", f'secret = "{entra}"\n', entra),
            ("gcp-api-key", "/srv/c.env", f"KEY={google}\n", google),
            ("docker-auth", "/root/.docker/config.json", json.dumps({"auths": {"r": {"auth": login}}}), login),
        ]
        return [
            Planted(rule, path, text.encode(), hidden.encode(), severity_of(rule)) for rule, path, text, hidden in texts
        ]

    def passwords(self) -> list[Planted]:
        word = self.text(16)
        digest = f"$6${self.text(16)}${self.text(86)}"
        texts = [
            ("password-hash", "/etc/shadow", f"bin:*:1::::::\nroot:{digest}:1::::::\n", digest[3:]),
            ("netrc", "/root/.netrc", f"machine a.example login me password {word}\n", word),
            ("pgpass", "/root/.pgpass", f"host:5432:*:me:{word}\n", word),
            ("mysql-password", "/root/.my.cnf", f"[client]\npassword={word}\n", word),
            ("wifi-password", "/etc/wpa_supplicant/wpa_supplicant.conf", f'network={{\n psk="{word}"\n}}\n', word),
            ("git-credentials", "/root/.git-credentials", f"https://me:{word}@git.example\n", word),
        ]
        return [Planted(rule, path, text.encode(), hidden.encode()) for rule, path, text, hidden in texts]

    def leftovers(self) -> list[Planted]:
        word = self.text(24)
        state = json.dumps({"version": 4, "terraform_version": "1.9.0", "outputs": {"password": {"value": word}}})
        texts = [
            ("shell-history", "/root/.bash_history", f"curl -u me:{word} https://a.example\n"),
            ("cloud-user-data", "/var/lib/cloud/instances/i-1/user-data.txt", f"#cloud-config\npassword: {word}\n"),
            ("terraform-state", "/srv/terraform.tfstate", state),
        ]
        return [Planted(rule, path, text.encode(), word.encode(), "warn") for rule, path, text in texts]

    def checked(self) -> str:
        """30 letters, and their CRC-32 in six more."""
        letters, digits = self.text(30), ""
        number = zlib.crc32(letters.encode())
        while len(digits) < 6:
            number, digit = divmod(number, 62)
            digits = LETTERS[digit] + digits
        return letters + digits

    def age_key(self) -> str:
        """A secret key of age: bech32 with its checksum."""
        prefix, data = "age-secret-key-", [self._source.randrange(32) for _ in range(51)] + [0]
        head = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
        check = 1
        for value in [*head, *data, *[0] * 6]:
            top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate(BECH32_GENERATOR):
                check ^= generator if top >> bit & 1 else 0
        data += [(check ^ 1) >> 5 * (5 - place) & 31 for place in range(6)]
        return (prefix + "1" + "".join(BECH32[value] for value in data)).upper()

    def pgp_key(self) -> bytes:
        """A secret key packet, version 4, EdDSA, without a passphrase."""
        curve = bytes.fromhex("2b06010401da470f01")
        public = (
            b"\x04" + bytes(4) + b"\x16" + bytes([len(curve)]) + curve + b"\x01\x07\x40" + self._source.randbytes(32)
        )
        packet = public + b"\0" + b"\x01\0" + b"\x80" + self._source.randbytes(31) + b"\0\0"
        return b"\x94" + bytes([len(packet)]) + packet


def severity_of(rule: str) -> str:
    """What a token means."""
    return "warn" if rule in ("jwt", "gcp-api-key") else "refuse"


def pem(key: object, form: PrivateFormat, encryption: KeySerializationEncryption | None = None) -> bytes:
    """The private key as text."""
    serialize: Callable[..., bytes] = key.private_bytes  # type: ignore[attr-defined]  # each kind has its own class
    return serialize(Encoding.PEM, form, encryption or NoEncryption())


def body(text: bytes) -> bytes:
    """What stands between the lines of PEM."""
    return text.split(b"-----")[2].strip()


def framed(label: str, text: str) -> bytes:
    """The text between its two lines."""
    return f"-----BEGIN {label}-----{text}-----END {label}-----\n".encode()


def keytab(key: bytes) -> bytes:
    """A file with one entry, as MIT Kerberos writes it."""

    def counted(text: bytes) -> bytes:
        return len(text).to_bytes(2, "big") + text

    entry = b"\0\2" + counted(b"EXAMPLE.ORG") + counted(b"host") + counted(b"server.example.org")
    entry += (1).to_bytes(4, "big") + bytes(4) + b"\1" + (18).to_bytes(2, "big") + counted(key)
    return b"\5\2" + len(entry).to_bytes(4, "big") + entry
