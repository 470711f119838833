"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "private-keys"
    use = "plugins/private_keys.py:PrivateKeys"
    config = { allowed = ["/etc/ssl/private/ssl-cert-snakeoil.key"] }

Shows ``reads = "files"``: every file of the image once, in the order of the disk. One reader reads them for all such
plugins together. The plugin asks for ``image.unread`` at the end, and decides itself about what could not be read.
"""

from __future__ import annotations

from douane_plugin import Image, Incomplete, Inspector, Reject

HEAD = 64
STARTS = tuple(
    f"-----BEGIN {kind}PRIVATE KEY-----".encode() for kind in ("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ")
)


class PrivateKeys(Inspector):
    """Refuse an image that holds private keys: whoever starts a machine of it could read them.

    `allowed` are paths of files that may be such keys.
    """

    reads = "files"

    def __init__(self, allowed: list[str] = []):  # noqa: B006  # it is only read
        self.allowed = frozenset(allowed)

    def inspect(self, image: Image) -> dict[str, int]:
        files = 0
        for file in image.files():
            if file.kind != "file":
                continue
            files += 1
            if file.read(HEAD).lstrip().startswith(STARTS) and file.path not in self.allowed:
                self.log.info("%s on %s, sha256 %s", file.path, file.volume, file.digest)
                raise Reject("private-key", f"{file.path} is a private key; remove it, and upload the image again")
        for part in image.unread:
            raise Incomplete("keys-unread", f"private keys may be in {part.place}, which cannot be read: {part.why}")
        return {"files": files}
