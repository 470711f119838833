"""Digests of members as they go by, and the digests that the manifest says they should have."""

from __future__ import annotations

import hashlib

from douane.plugins.formats import member_names, ovf_manifest
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from douane.plugins.formats.ovf_manifest import DigestLine
    from douane.plugins.formats.ovf_references import References


class Digests:
    """The digests of all members so far; none unless `enabled`.

    Until the manifest is there, each member is hashed by every algorithm that it may name; then only by the algorithm
    that it names. Names are normal, and those of the manifest are relative to the descriptor's folder.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._digests: dict[str, dict[str, str]] = {}
        self._lines: dict[str, DigestLine] | None = None

    def use_manifest(self, lines: Iterable[DigestLine], references: References) -> None:
        """Take the lines of the manifest. Raises Reject if two of them name one file."""
        by_name: dict[str, DigestLine] = {}
        for line in lines:
            if by_name.setdefault(references.member(line.name), line) is not line:
                raise Reject(
                    "ova-manifest",
                    f"the manifest has two lines for {member_names.quoted(line.name)}; export the appliance again",
                )
        self._lines = by_name

    @property
    def listed(self) -> list[str]:
        """The names in the manifest, as written; none before it has been read."""
        return [line.name for line in (self._lines or {}).values()]

    @property
    def has_manifest(self) -> bool:
        """True once the manifest has been read."""
        return self._lines is not None

    def algorithms_for(self, name: str) -> tuple[str, ...]:
        """The algorithms by which the member `name` must be hashed."""
        if not self._enabled:
            return ()
        if self._lines is None:
            return tuple(ovf_manifest.DIGEST_LENGTHS)
        line = self._lines.get(name)
        return (line.algorithm,) if line else ()

    def hashed(self, name: str, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """Yield `pieces`, the bytes of the member `name`, and keep their digests."""
        # The manifest says which bytes were meant, not who meant them: SHA-1 is what OVF 1 has.
        hashes = {kind: hashlib.new(kind, usedforsecurity=False) for kind in self.algorithms_for(name)}
        for piece in pieces:
            for digest in hashes.values():
                digest.update(piece)
            yield piece
        self._digests[name] = {kind: digest.hexdigest() for kind, digest in hashes.items()}

    def compare(self, files: Iterable[str]) -> str:
        """Compare the digests of all `files` with the manifest; return the algorithms that it names.

        Raises Reject if a digest differs, or a file is missing.
        """
        present = set(files)
        for name, line in (self._lines or {}).items():
            quoted = member_names.quoted(line.name)
            if name not in present:
                raise Reject(
                    "ova-manifest",
                    f"the manifest lists {quoted}, which is not in the archive; export the appliance again",
                )
            if self._digests.get(name, {}).get(line.algorithm) != line.digest:
                raise Reject(
                    "ova-digest",
                    f"{quoted} is not what the manifest says: its {line.algorithm.upper()} differs; upload the "
                    "appliance again, or export it again",
                )
        return ",".join(sorted({line.algorithm for line in (self._lines or {}).values()}))

    def missing(self, files: Iterable[str]) -> list[str]:
        """The names in `files` that the manifest does not list."""
        return [name for name in files if name not in (self._lines or {})]
