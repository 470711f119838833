"""VMDK: the stream of a compressed extent ("Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse
Extents"): grains, tables, directory and footer, each after a marker."""

from zlib import decompressobj
from zlib import error as ZlibError

from douane_guest.headers.vmdk import MARKER

from .requests import MAX_BYTES, Bytes
from .tables import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import Match
    from .requests import Reader, Request

_END, _TABLE, _DIRECTORY, _FOOTER = range(4)
_NAMES = ("the end", "a grain table", "the grain directory", "the footer")
_WINDOW = 1 << 16
_SMALL = 1 << 14
"""Shorter grains are read many at a time; of longer grains only the markers are read."""

UNPACKED_FIRST, UNPACKED_EVERY = 64, 256
"""The first grains and one of so many are unpacked: to unpack all would take 15 times as long as all other checks."""

MAX_TABLES = 1 << 18
"""The number of grain tables that are compared with the directory: those of 8 TiB."""


class Stream:
    """Reads the markers from byte `start` on. `grain` and `capacity` are in sectors; a grain table has `entries`."""

    def __init__(self, match: "Match", start: int, grain: int, capacity: int, entries: int) -> None:
        self._match = match
        self._at = start
        self._grain, self._capacity, self._entries = grain, capacity, entries
        self._buffer, self._buffer_at = b"", start
        self._count = self._sum = 0
        self._ended = False
        self._failed = False
        self._tables: dict[int, int] = {}
        """Number and sector of each grain table in the stream."""
        self._empty: set[int] = set()
        """Sectors of tables without grains: each of them fits any number without grains."""
        self._last_table = -1
        self._directories: list[int] = []

    def read(self) -> "Reader":
        """Read the stream, up to the marker of its end or the end of the image."""
        match, grain, capacity = self._match, self._grain, self._capacity
        longest = grain * 1024 + 4096
        last, at, small = -1, self._at, True
        reached = at  # the end of the last grain, without the padding to a sector
        pending: dict[int, int] = {}  # number and sector of each grain since the last table
        ascends = True
        while True:
            if at + 16 > self._buffer_at + len(self._buffer):
                end = max(at, self._buffer_at + len(self._buffer))
                more = yield Bytes(end, _WINDOW if small else 16, "a grain marker", short=True)
                self._buffer, self._buffer_at = self._buffer[at - self._buffer_at :] + more, at
                if len(self._buffer) < 16:
                    self._stop_at_end(at, reached)
                    return
            value, length, kind = MARKER.unpack_from(self._buffer, at - self._buffer_at)
            if length:
                number, rest = divmod(value, grain)
                if rest or value >= capacity:
                    self._fail("header", f"a grain has sector {value} of {capacity}", at)
                    return
                # RFC 1950, 2.2: method 8, a multiple of 31, no dictionary
                if length > longest or kind & 15 != 8 or ((kind & 255) << 8 | kind >> 8 & 255) % 31 or kind & 0x2000:
                    self._fail("corrupt", f"the {length} bytes of a grain are not a zlib stream", at)
                    return
                if number <= last and ascends:
                    ascends = False
                    match.find("odd", f"grain {number} follows grain {last}: it cannot be read as a stream", at)
                last = number
                if self._count < UNPACKED_FIRST or not self._count % UNPACKED_EVERY:
                    data = yield from self._take(at + 12, min(length, MAX_BYTES))
                    if not self._unpacks(data, length, number, at):
                        return
                self._count += 1
                self._sum += at >> 9
                if len(pending) < 4096:
                    pending[number] = at >> 9
                small = length < _SMALL
                reached = at + 12 + length
                at = reached + 511 & ~511
                continue
            if kind == _END and not value:
                self._ended = True
                match.note("grains in the stream", self._count, at)
                return
            if not _END < kind <= _FOOTER or value > 1 << 40:
                self._fail("header", f"a marker has type {kind} and {value} sectors", at)
                return
            at += 512
            if kind == _TABLE:
                table = yield from self._take(at, self._entries * 4)
                self._judge_table(table, pending, at)
                pending = {}
            elif kind == _DIRECTORY:
                self._directories.append(at)
                yield from self._judge_directory(at, value * 512)
            at += value * 512
            small = True

    def compare(self, count: int, total: int) -> None:
        """Check that the tables in front have the grains of the stream: `count` grains, with the sum `total` of their
        sectors. Otherwise readers of the tables and readers of the stream see different disks."""
        if not self._failed and (count, total) != (self._count, self._sum) and not self._has_unread_tables():
            text = f"its tables have {count} grains, but the stream {self._count}, or at other places"
            self._match.find("header", text)

    def expect_directory(self, offset: int) -> None:
        """Check that the stream has a directory at `offset`."""
        if self._failed:
            return
        if not self._ended:
            self._match.find("truncated", "its stream has no end marker")
        elif offset not in self._directories:
            self._match.find("header", f"the grain directory is not at {offset}", offset)

    def _has_unread_tables(self) -> bool:
        return any(finding.code in ("unchecked", "outside-file") for finding in self._match.findings)

    def _fail(self, code: str, detail: str, at: int) -> None:
        self._failed = True
        self._match.find(code, detail, at)

    def _stop_at_end(self, at: int, reached: int) -> None:
        """End a stream without an end marker, as written by qemu, which puts all tables in front."""
        self._match.note("grains in the stream", self._count, at)
        if self._match.total < reached:
            self._fail("truncated", f"the last grain ends at {reached}, but the image at {self._match.total}", at)
        elif self._buffer.strip(b"\0"):
            self._fail("truncated", f"the {len(self._buffer)} bytes after the last grain are no marker", at)

    def _take(self, at: int, length: int) -> "Generator[Request, Any, bytes]":
        """`length` bytes at `at`, some of which may be in the window; fewer if the image ends."""
        end = self._buffer_at + len(self._buffer)
        if at > end:
            self._buffer, self._buffer_at, end = b"", at, at
        if at + length > end:
            more = yield Bytes(end, min(at + length - end, MAX_BYTES), "a grain", short=True)
            self._buffer, self._buffer_at = self._buffer[at - self._buffer_at :] + more, at
        start = at - self._buffer_at
        return self._buffer[start : start + length]

    def _unpacks(self, data: bytes, length: int, number: int, at: int) -> bool:
        if len(data) < length:
            self._fail("truncated", f"grain {number} has {length} bytes, but the image ends after {len(data)}", at)
            return False
        expected = min(self._grain, self._capacity - number * self._grain) * 512
        unpacker = decompressobj()
        try:
            unpacked = len(unpacker.decompress(data, self._grain * 512 + 1))
        except ZlibError as error:
            self._fail("corrupt", f"grain {number} cannot be unpacked: {error}", at)
            return False
        if not expected <= unpacked <= self._grain * 512 or not unpacker.eof:
            self._fail("corrupt", f"grain {number} does not unpack to exactly {expected} bytes", at)
            return False
        return True

    def _judge_table(self, data: bytes, pending: "dict[int, int]", at: int) -> None:
        """Check that a table has the sectors of the grains before it."""
        entries = numbers(data, "<I")
        if len(data) < self._entries * 4:
            self._fail("truncated", "it ends in a grain table", at)
            return
        in_stream = {number % self._entries: sector for number, sector in pending.items()}
        in_table = {index: sector for index, sector in enumerate(entries) if sector > 1}
        table_numbers = {number // self._entries for number in pending}
        number = table_numbers.pop() if table_numbers else -1
        if in_table != in_stream or table_numbers or -1 < number <= self._last_table:
            self._fail("header", "a grain table does not have the places of the grains before it", at)
        if number >= 0:
            self._last_table = number
        if len(self._tables) + len(self._empty) >= MAX_TABLES:
            return
        if number >= 0:
            self._tables[number] = at >> 9
        else:
            self._empty.add(at >> 9)

    def _judge_directory(self, at: int, length: int) -> "Reader":
        """Check that the directory has the tables of the stream; tables without grains are optional."""
        tables = -(-self._capacity // (self._entries * self._grain))
        in_stream, empty = self._tables, self._empty
        if len(in_stream) + len(empty) >= MAX_TABLES:
            self._match.find("unchecked", f"it has more than {MAX_TABLES} grain tables", at)
            return
        first, end = 0, at + min(length, tables * 4)
        if length < tables * 4:
            self._fail("header", f"the grain directory has {length} bytes, too few for {tables} tables", at)
        while at < end:
            piece = yield from self._take(at, min(MAX_BYTES, end - at))
            if not piece:
                self._fail("truncated", "it ends in the grain directory", at)
                return
            for number, sector in enumerate(numbers(piece, "<I"), first):
                if sector != in_stream.get(number, 0) and (number in in_stream or sector not in empty):
                    what = f"the grain directory has table {number} in sector {sector}, which is wrong"
                    self._fail("header", what, at)
                    return
            first += len(piece) // 4
            at += len(piece)
