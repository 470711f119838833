"""VMDK: the stream of a compressed extent ("Virtual Disk Format 5.0", VMware, "Stream-Optimized Compressed Sparse
Extents"): grains, each behind a marker, and tables, directory and footer behind markers of their own."""

from struct import unpack_from
from zlib import decompressobj
from zlib import error as ZlibError

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
"""Grains shorter than this are seen through a window of many, longer ones have their markers fetched one by one."""

UNPACKED_FIRST, UNPACKED_EVERY = 64, 256
"""Of the grains only the first and one of so many are unpacked: all of them would take 15 times as long as the rest."""

MAX_TABLES = 1 << 18
"""Grain tables that are remembered, to be compared with the directory: these are of 8 TiB."""


class Stream:
    """Walks the markers from byte `start` on. `grain` and `capacity` in sectors, `entries` of a grain table."""

    def __init__(self, match: "Match", start: int, grain: int, capacity: int, entries: int) -> None:
        self._match = match
        self._at = start
        self._grain, self._capacity, self._entries = grain, capacity, entries
        self._buffer, self._buffer_at = b"", start
        self._count = self._sum = 0
        self._ended = False
        self._wrong = False
        self._tables: dict[int, int] = {}
        """Of the grain tables in the stream: number and sector."""
        self._empty: set[int] = set()
        """The sectors of those in which there is no grain: any of them will do for a number without grains."""
        self._last_table = -1
        self._directories: list[int] = []

    def read(self) -> "Reader":
        """Read it, up to the marker of its end or the end of the image."""
        match, grain, capacity = self._match, self._grain, self._capacity
        longest = grain * 1024 + 4096
        last, at, small = -1, self._at, True
        reached = at  # the end of the last grain, without what fills up its sector
        pending: dict[int, int] = {}  # of the grains since the last table: number and sector
        ascends = True
        while True:
            if at + 16 > self._buffer_at + len(self._buffer):
                end = max(at, self._buffer_at + len(self._buffer))
                more = yield Bytes(end, _WINDOW if small else 16, "a grain marker", short=True)
                self._buffer, self._buffer_at = self._buffer[at - self._buffer_at :] + more, at
                if len(self._buffer) < 16:
                    self._stop_at_end(at, reached)
                    return
            here = at - self._buffer_at
            value, length, kind = unpack_from("<QII", self._buffer, here)
            if length:
                number, rest = divmod(value, grain)
                if rest or value >= capacity:
                    self._fail("header", f"a grain says that it belongs to sector {value} of {capacity}", at)
                    return
                # RFC 1950, 2.2: method 8, a multiple of 31, no dictionary
                if length > longest or kind & 15 != 8 or ((kind & 255) << 8 | kind >> 8 & 255) % 31 or kind & 0x2000:
                    self._fail("corrupt", f"{length} bytes of a grain are no zlib stream", at)
                    return
                if number <= last and ascends:
                    ascends = False
                    match.find("odd", f"grain {number} stands behind grain {last}: it cannot be read as a stream", at)
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
                self._fail("header", f"a marker of type {kind} and {value} sectors", at)
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

    def agree(self, count: int, total: int) -> None:
        """The tables in front have `count` grains, whose sectors are `total` together: it must be the same ones as in
        the stream, or a reader of the one sees another disk than a reader of the other."""
        if not self._wrong and (count, total) != (self._count, self._sum) and not self._look_has("unchecked"):
            self._match.find(
                "header", f"its tables have {count} grains, and {self._count} stand in the stream, or at other places"
            )

    def expect_directory(self, offset: int) -> None:
        """The directory is said to be at `offset`: where the stream has one."""
        if self._wrong:
            return
        if not self._ended:
            self._match.find("truncated", "its stream has no marker of its end")
        elif offset not in self._directories:
            self._match.find(
                "header", f"the grain directory is said to be at {offset}, and does not stand there", offset
            )

    def _look_has(self, code: str) -> bool:
        return any(finding.code in (code, "outside-file") for finding in self._match.findings)

    def _fail(self, code: str, detail: str, at: int) -> None:
        self._wrong = True
        self._match.find(code, detail, at)

    def _stop_at_end(self, at: int, reached: int) -> None:
        """The image ends without a marker of its end: so qemu leaves it, which puts all tables in front."""
        self._match.note("grains in the stream", self._count, at)
        if self._match.total < reached:
            self._fail("truncated", f"the last grain ends at {reached}, but the image at {self._match.total}", at)
        elif self._buffer.strip(b"\0"):
            self._fail("truncated", f"{len(self._buffer)} bytes behind the last grain are no marker", at)

    def _take(self, at: int, length: int) -> "Generator[Request, Any, bytes]":
        """`length` bytes at `at`, of which some are in the window; fewer if the image ends."""
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
            self._fail("truncated", f"grain {number} has {length} bytes, of which {len(data)} are there", at)
            return False
        request = min(self._grain, self._capacity - number * self._grain) * 512
        unpacker = decompressobj()
        try:
            got = len(unpacker.decompress(data, self._grain * 512 + 1))
        except ZlibError as error:
            self._fail("corrupt", f"grain {number} cannot be unpacked: {error}", at)
            return False
        if not request <= got <= self._grain * 512 or not unpacker.eof:
            self._fail("corrupt", f"grain {number} has {got} bytes, and should have {request}", at)
            return False
        return True

    def _judge_table(self, data: bytes, pending: "dict[int, int]", at: int) -> None:
        """A table says where the grains before it stand: it and their markers must say the same."""
        entries = numbers(data, "<I")
        if len(data) < self._entries * 4:
            self._fail("truncated", "it ends in a grain table", at)
            return
        known = {number % self._entries: sector for number, sector in pending.items()}
        told = {index: sector for index, sector in enumerate(entries) if sector > 1}
        which = {number // self._entries for number in pending}
        number = which.pop() if which else -1
        if told != known or which or -1 < number <= self._last_table:
            self._fail("header", "a grain table does not tell where the grains before it stand", at)
        if number >= 0:
            self._last_table = number
        if len(self._tables) + len(self._empty) >= MAX_TABLES:
            return
        if number >= 0:
            self._tables[number] = at >> 9
        else:
            self._empty.add(at >> 9)

    def _judge_directory(self, at: int, length: int) -> "Reader":
        """It has to name the tables that were in the stream, those without a grain perhaps."""
        tables = -(-self._capacity // (self._entries * self._grain))
        known, empty = self._tables, self._empty
        if len(known) + len(empty) >= MAX_TABLES:
            self._match.find("unchecked", f"it has more than {MAX_TABLES} grain tables", at)
            return
        first, end = 0, at + min(length, tables * 4)
        if length < tables * 4:
            self._fail("header", f"a grain directory of {length} bytes for {tables} tables", at)
        while at < end:
            piece = yield from self._take(at, min(MAX_BYTES, end - at))
            if not piece:
                self._fail("truncated", "it ends in the grain directory", at)
                return
            for number, sector in enumerate(numbers(piece, "<I"), first):
                if sector != known.get(number, 0) and (number in known or sector not in empty):
                    what = f"the grain directory has table {number} in sector {sector}, where it does not stand"
                    self._fail("header", what, at)
                    return
            first += len(piece) // 4
            at += len(piece)
