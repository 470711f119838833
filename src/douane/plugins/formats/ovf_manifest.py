"""The manifest of an OVF package: digests of its files (DSP0243, 5.1: a line ``SHA256(disk.vmdk)= 0123...`` a file)."""

MAX_BYTES = 1 << 20
DIGEST_LENGTHS = {"sha1": 40, "sha256": 64, "sha512": 128}
"""Algorithms, by name, and the hexadecimal digits of their digests. OVF 1 has SHA-1, OVF 2 SHA-256; VMware's tools
write SHA-512 too."""


def algorithm_of(label: str) -> str:
    """The algorithm that a line of a manifest or certificate names, as in hashlib: ``SHA256``, ``SHA-256``, and as
    ``openssl dgst`` has written it since version 3, ``SHA2-256``; with ``RSA-`` before it if it signs."""
    name = label.strip().lower().removeprefix("rsa-").replace("-", "")
    return "sha" + name[4:] if name in ("sha2256", "sha2384", "sha2512") else name


class ManifestError(ValueError):
    """The manifest cannot be parsed."""


class DigestLine:
    """`algorithm`, one of :data:`DIGEST_LENGTHS`; `name` of the file; `digest`, hexadecimal in lower case."""

    __slots__ = ("algorithm", "digest", "name")

    def __init__(self, algorithm: str, name: str, digest: str) -> None:
        self.algorithm, self.name, self.digest = algorithm, name, digest


def parse(data: bytes) -> "list[DigestLine]":
    """Parse a manifest. Raises ManifestError if a line is malformed, or if two lines name the same file."""
    if len(data) > MAX_BYTES:
        raise ManifestError(f"it has more than {MAX_BYTES} bytes")
    lines = []
    names = set()
    for text in data.decode("utf-8-sig", "surrogateescape").splitlines():
        if text.strip():
            line = _parse_line(text.strip())
            if line.name in names:
                raise ManifestError(f"it has two lines for {line.name[:80]!r}")
            names.add(line.name)
            lines.append(line)
    return lines


def _parse_line(line: str) -> DigestLine:
    label, _, digest = line.rpartition("=")
    kind, _, name = label.rstrip().partition("(")
    digest = digest.strip().lower()
    algorithm = algorithm_of(kind)
    if not name.endswith(")") or len(name) == 1:
        raise ManifestError(f"its line {line[:80]!r} is not well-formed")
    if algorithm not in DIGEST_LENGTHS:
        raise ManifestError(f"its line {line[:80]!r} has an unknown algorithm")
    if len(digest) != DIGEST_LENGTHS[algorithm] or digest.strip("0123456789abcdef"):
        raise ManifestError(f"its line {line[:80]!r} does not end in a digest of its algorithm")
    return DigestLine(algorithm, name[:-1], digest)
