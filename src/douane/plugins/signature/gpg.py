"""Signatures of OpenPGP, verified by the program ``gpgv`` with the operator's keys and no others.

gpgv reads the image from its standard input while it arrives. What it answers is taken from its status lines alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import subprocess
import tempfile

from douane_plugin import Incomplete

from .check import Check, expired, invalid, untrusted, weak

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ARMOR = b"-----BEGIN PGP SIGNATURE-----"
CLEARSIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
MAX_KEYRING_BYTES = 8 << 20
_STATUS = "[GNUPG:] "
_MAX_STATUS_BYTES = 1 << 20
_WEAK_HASHES = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160"}
_BINARY = "00"
_KEY_BLOCK, _KEY_BLOCK_END = b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"-----END PGP PUBLIC KEY BLOCK-----"


class Keyring:
    """The operator's keys, in a file as gpgv reads it: armor is taken off. Raises ValueError."""

    def __init__(self, data: bytes) -> None:
        if _KEY_BLOCK in data:
            data = b"".join(map(_without_armor, data.split(_KEY_BLOCK)[1:]))
        if not data:
            raise ValueError("the file that is granted as 'gpg' has no keys")
        self.folder = tempfile.mkdtemp(prefix="gpgv-")
        self.path = os.path.join(self.folder, "keyring.gpg")
        with open(self.path, "wb") as file:
            file.write(data)


class GpgCheck(Check):
    """The detached signature `data`. It gets the image, or the signed list, by `update`."""

    kind = "gpg"

    def __init__(self, data: bytes, keyring: Keyring) -> None:
        path = os.path.join(tempfile.mkdtemp(dir=keyring.folder), "signature")
        with open(path, "wb") as file:
            file.write(data)
        self._status = tempfile.TemporaryFile(dir=keyring.folder)  # noqa: SIM115  # closed with the check
        self._process = _start(keyring, [path, "-"], self._status.fileno())
        self._is_open = True
        self.update = self._feed

    def _feed(self, data: bytes | memoryview) -> None:
        assert self._process.stdin is not None
        if self._is_open:
            try:
                self._process.stdin.write(data)
            except BrokenPipeError:  # it has seen enough, and says in its status what that was
                self._is_open = False

    def finish(self, digests: Mapping[str, bytes]) -> str:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        code = self._process.wait()
        self._status.seek(0)
        status = self._status.read(_MAX_STATUS_BYTES + 1)
        self._status.close()
        return signer_of(status, code, detached=True)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def verified_message(data: bytes, keyring: Keyring, most: int) -> tuple[bytes, str]:
    """The text inside of a message that is signed in place, as gpgv gives it out, and its signer. Raises Reject."""
    folder = tempfile.mkdtemp(dir=keyring.folder)
    message, output = os.path.join(folder, "message"), os.path.join(folder, "text")
    with open(message, "wb") as file:
        file.write(data)
    with tempfile.TemporaryFile(dir=folder) as status:
        process = _start(keyring, ["--output", output, message], status.fileno())
        process.communicate()
        status.seek(0)
        signer = signer_of(status.read(_MAX_STATUS_BYTES + 1), process.returncode, detached=False)
    with open(output, "rb") as file:
        return file.read(most), signer


def signer_of(status: bytes, code: int, *, detached: bool) -> str:
    """The fingerprint of the primary key whose signature is good. Raises Reject or Incomplete.

    Of several signatures one must be good, and none wrong; the operator need not have the keys of all.
    """
    # Names and notations of strangers stand in these lines. gpgv escapes \n, and not what else ends lines in Unicode.
    texts = [line.decode("utf-8", "replace") for line in status.split(b"\n")]
    lines = [text.removeprefix(_STATUS).split(" ") for text in texts if text.startswith(_STATUS)]
    words = {line[0] for line in lines}
    if len(status) > _MAX_STATUS_BYTES:
        raise Incomplete("signature-too-much", "the signature of the image has too many parts; sign it once")
    if "BADSIG" in words:
        raise invalid("gpgv says that it is not of these bytes")
    # Of several messages in a file, a good signature may be of another than the one that was given out.
    if sum(line[0] == "PLAINTEXT" for line in lines) != (0 if detached else 1) or "ERROR" in words:
        raise invalid("it is not one detached signature" if detached else "the list is not one signed text")
    valid = [line for line in _good(lines) if len(line) >= 11]
    strong = [line for line in valid if line[8] not in _WEAK_HASHES]
    # A signature of a text does not cover the ends of its lines: an image could be changed there.
    whole = [line for line in strong if not detached or line[9] == _BINARY]
    if whole:
        return whole[0][10]
    if strong:
        raise invalid("it is of a text, whose lines may end in several ways; sign the image without --textmode")
    if valid:
        raise weak(f"it is made with {_WEAK_HASHES[valid[0][8]]}")
    if words & {"EXPSIG", "EXPKEYSIG"}:
        raise expired("the signature or its key has expired")
    if words & {"REVKEYSIG", "KEYREVOKED"}:
        raise untrusted("its key has been revoked")
    if words & {"NO_PUBKEY", "ERRSIG"}:
        keys = ", ".join(line[1] for line in lines if line[0] == "NO_PUBKEY" and len(line) > 1)
        raise untrusted(f"it does not have the key {keys}" if keys else "gpgv cannot verify signatures of this kind")
    if code < 0:
        raise Incomplete("signature-no-gpgv", f"the program that verifies this signature was ended (signal {-code})")
    raise invalid(f"gpgv finds no signature of OpenPGP in it (status {code})")


def _good(lines: list[list[str]]) -> list[list[str]]:
    """The VALIDSIG lines of the signatures that are good, each with its own lines since NEWSIG."""
    valid: list[list[str]] = []
    is_good = False
    for line in lines:
        if line[0] == "NEWSIG":
            is_good = False
        elif line[0] == "GOODSIG":
            is_good = True
        elif line[0] == "VALIDSIG" and is_good:
            valid.append(line)
    return valid


def _start(keyring: Keyring, arguments: list[str], status: int) -> subprocess.Popen[bytes]:
    options = ["--homedir", keyring.folder, "--keyring", keyring.path, "--status-fd", "1", *arguments]
    try:
        return subprocess.Popen(["gpgv", *options], stdin=subprocess.PIPE, stdout=status, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise Incomplete(
            "signature-no-gpgv", "this site cannot run the program that verifies this signature; ask the operator"
        ) from error


def _without_armor(block: bytes) -> bytes:
    lines = block.partition(_KEY_BLOCK_END)[0].replace(b"\r", b"").partition(b"\n\n")[2].split(b"\n")
    text = b"".join(line for line in lines if not line.startswith(b"="))  # a checksum, which gpg leaves out by now
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the file that is granted as 'gpg' has a damaged block of keys: {error}") from error
