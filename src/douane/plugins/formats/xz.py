"""Xz: headers of the stream and its blocks, and the index and footer at its end (xz-file-format.txt 1.2.1)."""

from .compression import Compression, note_window
from .requests import NO_END, TAIL_BYTES, Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"\xfd7zXZ\0"
_CHECK_BYTES = (0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64)
_LZMA2 = 0x21
_MOST_BLOCKS = 16384
"""Blocks whose headers are read. ``xz -T`` makes them of 3 windows, 24 MiB by default: these are 384 GiB."""


class Xz(Compression):
    name = "xz"
    decoder = "douane.plugins.decompress.xz"
    signatures = ((0, MAGIC),)

    def read(self, match: "Match") -> "Reader":
        header = yield Bytes(0, 12, "the stream header")
        flags = header[6:8]
        if not _crc_fits(header[6:]):
            match.find("checksum", "the checksum of the stream header is wrong", 8)
        elif flags[0] or flags[1] & 0xF0:
            match.find("unknown-feature", f"the stream's flags {flags.hex()} have a meaning that is not known", 6)
        else:
            match.note("check", flags[1], 7)
            yield from _read_blocks(match, _CHECK_BYTES[flags[1]])
        tail = yield Tail(TAIL_BYTES)
        _judge_end(match, tail, flags)


def _read_blocks(match: "Match", check: int) -> "Reader":
    """Read the headers of the blocks, up to a block without a length: the offset of the next is unknown."""
    at, largest = 12, (0, 0)
    for _ in range(_MOST_BLOCKS):
        first = yield Bytes(at, 1, "a block header", short=True)
        if not first or not first[0]:
            break  # the index begins with a zero
        header = first + (yield Bytes(at + 1, first[0] * 4 + 3, "a block header"))
        if not _crc_fits(header):
            match.find("checksum", "the checksum of a block header is wrong", at)
            break
        try:
            window, compressed = _parse_block(header)
        except ValueError as error:
            match.find("unknown-feature", f"a block header {error}", at)
            break
        largest = max(largest, (window, at))
        if compressed is None:
            break
        at += len(header) + -(-compressed // 4) * 4 + check
    if largest[1]:
        note_window(match, *largest)


def _parse_block(header: bytes) -> "tuple[int, int | None]":
    """The window in bytes and the compressed size, None if the header has none. Raises ValueError."""
    flags, at = header[1], 2
    body = header[:-4]
    compressed = None
    if flags & 0x3C:
        raise ValueError(f"has the flags {flags:#04x}, of which not all are known")
    if flags & 0x40:
        compressed, at = _integer(body, at)
    if flags & 0x80:
        _, at = _integer(body, at)
    window = 0
    for _ in range((flags & 3) + 1):
        kind, at = _integer(body, at)
        length, at = _integer(body, at)
        if at + length > len(body):
            raise ValueError("is longer than it says")
        if kind == _LZMA2:
            bits = body[at] if length == 1 else 255
            if bits > 40:
                raise ValueError("has a window that is not known")
            window = 0xFFFFFFFF if bits == 40 else (2 | bits & 1) << bits // 2 + 11
        at += length
    return window, compressed


def _integer(data: bytes, at: int) -> "tuple[int, int]":
    """A multibyte integer (1.2) and the offset behind it. Raises ValueError."""
    value = 0
    for shift in range(0, 63, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("has a number without end")


def _judge_end(match: "Match", tail: bytes, flags: bytes) -> None:
    stream = tail.rstrip(b"\0")
    padding = len(tail) - len(stream)
    end = match.total - padding
    footer = stream[-12:]
    if len(footer) < 12 or not footer.endswith(b"YZ"):
        detail = "it does not end with the footer of an xz stream"
        match.find("truncated", detail, max(0, end - 12), help=NO_END)
        return
    if padding % 4:
        match.find("header", f"{padding} zeros follow the stream, and their number must be a multiple of 4", end)
    if not _crc_fits(footer[4:10], footer[:4]):
        match.find("checksum", "the checksum of the stream footer is wrong", end - 12)
        return
    length = (int.from_bytes(footer[4:8], "little") + 1) * 4
    index = stream[-12 - length : -12]
    if 24 + length > end:
        match.find("outside-file", f"the index has {length} bytes, and the image {match.total}", end - 8)
    elif len(index) == length:
        try:
            blocks, packed, size = _parse_index(index)
        except ValueError as error:
            match.find("header", f"the index {error}", end - 12 - length)
            return
        stream_bytes = 24 + packed + length
        if stream_bytes > end:
            match.find("outside-file", f"the blocks have {packed} bytes, the image {match.total}", end - 12 - length)
        elif stream_bytes < end:
            match.note("streams", "more than one")
        else:
            match.note("blocks", blocks)
            match.note("uncompressed size", size)
            if footer[8:10] != flags:
                match.find("header", "header and footer of the stream differ in their flags", end - 4)


def _parse_index(index: bytes) -> "tuple[int, int, int]":
    """The number of blocks, their bytes in the file and when unpacked. Raises ValueError."""
    if index[0] or not _crc_fits(index):
        raise ValueError("is not one, or its checksum is wrong")
    body = index[:-4]
    count, at = _integer(body, 1)
    packed = size = 0
    for _ in range(min(count, len(body))):
        unpadded, at = _integer(body, at)
        unpacked, at = _integer(body, at)
        packed += -(-unpadded // 4) * 4
        size += unpacked
    if count > len(body) or body[at:].strip(b"\0") or len(body) - at > 3:
        raise ValueError(f"says that it has {count} records, and has not")
    return count, packed, size


def _crc_fits(data: bytes, checksum: "bytes | None" = None) -> bool:
    """True if `checksum` is the CRC32 of `data`; without `checksum`, the last four bytes that of the bytes before."""
    import zlib

    if checksum is None:
        data, checksum = data[:-4], data[-4:]
    return zlib.crc32(data) == int.from_bytes(checksum, "little")
