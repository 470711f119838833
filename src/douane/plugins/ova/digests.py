"""Digests of members as they go by, and what a manifest says that they should be."""

from __future__ import annotations

import hashlib

from douane.plugins.formats import member_names, ovf_manifest
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from douane.plugins.formats.ovf_manifest import Line


class Digests:
    """The digests of all members so far.

    Until the manifest is there, each is computed by every algorithm that it may name; then only by the one that it
    does. Names are normal, and those of the manifest are relative to the descriptor's folder.
    """

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._found: dict[str, dict[str, str]] = {}
        self._lines: dict[str, Line] | None = None

    def take_manifest(self, lines: Iterable[Line], folder: str) -> None:
        """The manifest has been read. Raises Reject if two of its lines are of one file."""
        named: dict[str, Line] = {}
        for line in lines:
            if named.setdefault(member_names.normal(f"{folder}/{line.name}"), line) is not line:
                raise Reject("ova-manifest", f"the manifest has two lines for {member_names.shown(line.name)}")
        self._lines = named

    @property
    def has_manifest(self) -> bool:
        """True once the manifest has been read."""
        return self._lines is not None

    def algorithms_for(self, name: str) -> tuple[str, ...]:
        """By which algorithms the member `name` must be hashed."""
        if not self._wanted:
            return ()
        if self._lines is None:
            return tuple(ovf_manifest.DIGEST_LENGTHS)
        line = self._lines.get(name)
        return (line.algorithm,) if line else ()

    def hashed(self, name: str, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """Yield `pieces`, all of the member `name`, and keep their digests."""
        # The manifest says which bytes were meant, not who meant them: SHA-1 is what OVF 1 has.
        running = {kind: hashlib.new(kind, usedforsecurity=False) for kind in self.algorithms_for(name)}
        for piece in pieces:
            for digest in running.values():
                digest.update(piece)
            yield piece
        self._found[name] = {kind: digest.hexdigest() for kind, digest in running.items()}

    def compare(self, files: Iterable[str]) -> str:
        """All members have gone by, `files` are their names; return the algorithms that were used.

        Raises Reject if a digest differs, or a file is not there.
        """
        there = set(files)
        for name, line in (self._lines or {}).items():
            shown = member_names.shown(line.name)
            if name not in there:
                raise Reject(
                    "ova-manifest",
                    f"the manifest lists {shown}, which is not in the archive; export the appliance again",
                )
            if self._found.get(name, {}).get(line.algorithm) != line.digest:
                raise Reject(
                    "ova-digest",
                    f"{shown} is not what the manifest says: its {line.algorithm.upper()} differs; upload the "
                    "appliance again, or export it again",
                )
        return ",".join(sorted({line.algorithm for line in (self._lines or {}).values()}))

    def left_out(self, files: Iterable[str]) -> list[str]:
        """Which of `files` the manifest does not list."""
        return [name for name in files if name not in (self._lines or {})]
