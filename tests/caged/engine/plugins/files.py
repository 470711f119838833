"""Plugins that read files, and readers of files that fail."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator

from douane_plugin import Image, Inspector, Reject, Transform
from douane_plugin import _file_records as records


class Digests(Inspector):
    """Compares each digest with one of its own, and asks what is unread."""

    reads = "files"

    def inspect(self, image: Image) -> dict[str, object]:
        """The number of entries, and the digest of all paths with their digests."""
        total, entries = hashlib.sha256(), 0
        for file in image.files():
            entries += 1
            digest = hashlib.sha256()
            for chunk in file:
                digest.update(chunk)
            if file.kind == "file" and file.same_as is None and file.digest not in (None, digest.hexdigest()):
                raise Reject("digest", f"{file.path} has another digest")
            total.update(os.fsencode(f"{file.path} {file.digest}\n"))
        return {"entries": entries, "total": total.hexdigest(), "unread": len(image.unread)}


class Careless(Inspector):
    """Looks at the names, and does not ask what is unread."""

    reads = "files"

    def inspect(self, image: Image) -> dict[str, int]:
        """The number of entries."""
        return {"entries": sum(1 for _ in image.files())}


class Prepares(Inspector):
    """Its constructor waits for a word: whether its rules are right."""

    reads = "files"

    def __init__(self, places: int = 0) -> None:
        if self.grant("word").recv(1) != b"y":
            raise ValueError("the rules do not compile")

    def inspect(self, image: Image) -> dict[str, int]:
        """The number of entries."""
        return {"entries": sum(1 for _ in image.files()), "unread": len(image.unread)}


class First(Inspector):
    """Accepts after the first entry."""

    reads = "files"

    def inspect(self, image: Image) -> dict[str, str]:
        """The path."""
        return {"first": next(iter(image.files())).path}


class Slow(Inspector):
    """An auditor that is too slow."""

    reads = "files"

    def inspect(self, image: Image) -> None:
        """Wait at the first entry."""
        next(iter(image.files()))
        time.sleep(3600)


class Reader(Transform):
    """A reader as the engine starts it, of two volumes without files."""

    reads = "random"

    def __init__(self, entries: int, depth: int, delivered: int) -> None:
        """The bounds of [guest]."""

    def transform(self, image: Image) -> Iterator[bytes]:
        """Yield records, and say that nothing is unread."""
        yield from self.records()
        self.attach("unread", {"parts": 0, "listed": []})

    def records(self) -> Iterator[bytes]:
        """All of them."""
        yield records.volume_record("p1", "ext4", "", "", True)
        yield records.end_record(0, 0)


class Killed(Reader):
    """As the kernel does for want of memory."""

    def records(self) -> Iterator[bytes]:
        yield from super().records()
        os.kill(os.getpid(), signal.SIGKILL)


class Raises(Reader):
    """A bug in a parser."""

    def records(self) -> Iterator[bytes]:
        yield from super().records()
        raise RuntimeError("an index is out of its range")


class Hangs(Reader):
    """In an endless loop, after all records."""

    def records(self) -> Iterator[bytes]:
        yield from super().records()
        time.sleep(3600)


class Leaves(Reader):
    """Says that there is nothing to do."""

    def transform(self, image: Image) -> Iterator[bytes]:
        image.unchanged()
        yield from ()


class Conceals(Reader):
    """Does not say what is unread."""

    def transform(self, image: Image) -> Iterator[bytes]:
        yield from self.records()


class Floods(Reader):
    """A file that has no end."""

    def records(self) -> Iterator[bytes]:
        entry = records.EntryRecord("/f", "p1", "file", 0o644, 0, 0, 1 << 62, 0)
        yield from [records.volume_record("p1", "ext4", "", "", True), records.entry_record(entry)]
        while True:
            yield records.data_header(1 << 20) + bytes(1 << 20)


class Cut(Reader):
    """Ends before its last record."""

    def records(self) -> Iterator[bytes]:
        yield records.volume_record("p1", "ext4", "", "", True)


class Noise(Reader):
    """No records at all."""

    def records(self) -> Iterator[bytes]:
        yield bytes(range(1, 256)) * 100
