"""A zip of one file: its layouts, and the ways in which it could show other programs another file."""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import random
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examination import codes, examine
from support.images.compression import raw_deflate, zstd_checked
from support.images.zip import zipped
from support.plugin_runs import cut, decompress_code, decompressed

DISK = random.Random(7).randbytes(70_000) + bytes(200_000)
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@dataclass
class Zip:
    """A zip field by field, to tell what no program would write. What is None is right."""

    data: bytes = b"a disk" * 50
    method: int = 8
    packed: bytes | None = None
    flags: int = 0
    name: bytes = b"disk.img"
    local: dict[str, int] = field(default_factory=dict)
    central: dict[str, int] = field(default_factory=dict)
    central_name: bytes | None = None
    end: dict[str, int] = field(default_factory=dict)
    local_extra: bytes = b""
    central_extra: bytes = b""
    descriptor: bytes | None = None
    between: bytes = b""
    entries: int = 1
    before_end: bytes = b""
    comment: bytes = b""
    made_by: int = 20
    mode: int = 0

    def build(self) -> bytes:
        packed = raw_deflate(self.data) if self.packed is None else self.packed
        correct = {"crc": zlib.crc32(self.data), "packed": len(packed), "size": len(self.data)}
        local = {**correct, "flags": self.flags, "method": self.method, **self.local}
        central = {**correct, "flags": self.flags, "method": self.method, "offset": 0, "disk": 0, **self.central}
        out = b"PK\x03\x04" + struct.pack("<HHHHH", 20, local["flags"], local["method"], 0, 0)
        out += struct.pack("<III", local["crc"], local["packed"], local["size"])
        out += struct.pack("<HH", len(self.name), len(self.local_extra)) + self.name + self.local_extra + packed
        out += (self.descriptor or b"") + self.between
        name = self.name if self.central_name is None else self.central_name
        entry = b"PK\x01\x02" + struct.pack(
            "<HHHHHHIIIHHHHHII",
            *(self.made_by, 20, central["flags"], central["method"], 0, 0),
            *(central["crc"], central["packed"], central["size"]),
            *(len(name), len(self.central_extra), 0, central["disk"], 0, self.mode << 16, central["offset"]),
        )
        directory = (entry + name + self.central_extra) * self.entries
        end = {"disk": 0, "here": self.entries, "count": self.entries, "length": len(directory), "start": len(out)}
        end |= self.end
        out += (
            directory
            + self.before_end
            + b"PK\x05\x06"
            + struct.pack("<HHHH", end["disk"], 0, end["here"], end["count"])
        )
        return out + struct.pack("<IIH", end["length"], end["start"], len(self.comment)) + self.comment


def read_by_others(packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return archive.read(archive.namelist()[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("zip64", [False, True])
def test_each_method_is_unpacked(method: int, zip64: bool) -> None:
    packed = zipped(("disk.img", DISK), method=method, zip64=zip64)
    for step in (9_999, 1 << 20):
        assert decompressed(cut(packed, range(0, len(packed), step))).data == DISK


@pytest.mark.parametrize("method", METHODS[1:3])
@pytest.mark.parametrize("zip64", [False, True])
def test_lengths_may_follow_the_data(method: int, zip64: bool) -> None:
    packed = zipped(("disk.img", DISK), method=method, streamed=True, zip64=zip64)
    assert decompressed(cut(packed, range(0, len(packed), 777))).data == DISK


def test_a_stored_file_whose_length_follows_it_is_refused_with_the_reason() -> None:
    unpacked = decompressed(zipped(("disk.img", DISK), method=zipfile.ZIP_STORED, streamed=True))
    assert (unpacked.code, unpacked.data) == ("zip-layout", b"")
    assert "stream" in unpacked.message


@pytest.mark.parametrize(
    ("method", "packed"), [(93, zstd_checked(DISK)), (95, lzma.compress(DISK)), (12, bz2.compress(DISK))]
)
def test_newer_methods_are_unpacked(method: int, packed: bytes) -> None:
    assert decompressed(Zip(DISK, method, packed).build()).data == DISK


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("signature", [b"PK\x07\x08", b""])
def test_every_form_of_data_descriptor_is_read(wide: bool, signature: bytes) -> None:
    data = b"a disk" * 50
    numbers = struct.pack("<IQQ" if wide else "<III", zlib.crc32(data), len(raw_deflate(data)), len(data))
    unknown = {"crc": 0, "packed": 0, "size": 0}
    packed = Zip(data, flags=8, local=unknown, descriptor=signature + numbers).build()
    assert decompressed(cut(packed, range(0, len(packed), 3))).data == data
    numbers = struct.pack("<IQQ" if wide else "<III", zlib.crc32(data), len(raw_deflate(data)), len(data) + 1)
    assert (
        decompress_code(Zip(data, flags=8, local=unknown, descriptor=signature + numbers).build())
        == "compressed-checksum"
    )


def zip64_end(start: int, length: int, count: int = 1) -> bytes:
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, length, start)
    return record + b"PK\x06\x07" + struct.pack("<IQI", 0, start + length, 1)


def zip64_zip(**changed: int) -> bytes:
    data, ones = b"a disk" * 50, 0xFFFFFFFF
    length = len(raw_deflate(data))
    fields = {"size": len(data), "packed": length, "offset": 0, **changed}
    local = struct.pack("<HHQQ", 1, 16, len(data), length)
    central = struct.pack("<HHQQQ", 1, 24, fields["size"], fields["packed"], fields["offset"])
    start = 30 + 8 + len(local) + length
    end = zip64_end(start + changed.get("start", 0), 46 + 8 + len(central), 1 + changed.get("count", 0))
    return Zip(
        data,
        local={"size": ones, "packed": ones},
        central={"size": ones, "packed": ones, "offset": ones},
        local_extra=local,
        central_extra=central,
        before_end=end,
        end={"here": 0xFFFF, "count": 0xFFFF, "length": ones, "start": ones},
    ).build()


def test_zip64_is_read_in_every_record() -> None:
    assert decompressed(zip64_zip()).data == read_by_others(zip64_zip()) == b"a disk" * 50


@pytest.mark.parametrize("changed", ["size", "packed", "offset", "start", "count"])
def test_contradicting_zip64_records_are_refused(changed: str) -> None:
    assert decompress_code(zip64_zip(**{changed: 1})) == "zip-ambiguous"


def test_other_programs_read_the_zips_of_these_tests() -> None:
    assert read_by_others(Zip().build()) == decompressed(Zip().build()).data == Zip().data


@pytest.mark.parametrize(
    "contradiction",
    [
        Zip(central={"crc": 1}),
        Zip(central={"size": 1}),
        Zip(central={"packed": 1}),
        Zip(central={"method": 0}),
        Zip(central={"flags": 0x800}),
        Zip(central={"offset": 38}),
        Zip(central={"disk": 1}),
        Zip(central_name=b"other.im"),
        Zip(end={"disk": 1}),
        Zip(end={"count": 2}),
        Zip(entries=0),
        Zip(end={"here": 0}),
        Zip(end={"length": 1}),
        Zip(end={"start": 1}),
        Zip(end={"start": 0xFFFFFFFF}),
        Zip(between=b"hidden"),
        Zip(before_end=b"hidden"),
        Zip(comment=b"PK\x05\x06" + bytes(18)),
        Zip(local_extra=b"\x01\x00\xff\x00"),
        Zip(local={"size": 301}),
        Zip(local={"size": 299}),
        Zip(local={"packed": 3}),
    ],
)
def test_a_zip_that_contradicts_itself_is_refused(contradiction: Zip) -> None:
    assert decompress_code(contradiction.build()) == "zip-ambiguous"


@pytest.mark.parametrize("suffix", [b"x", b"\0", Zip(b"another").build()])
@pytest.mark.parametrize("trailing", ["reject", "warn"])
def test_nothing_may_follow_a_zip(suffix: bytes, trailing: str) -> None:
    assert decompress_code(Zip().build() + suffix, trailing=trailing) == "zip-ambiguous"


def test_a_second_end_record_is_refused_by_the_inspector_too() -> None:
    """Python's zipfile begins at the last end that it finds, so other programs see no file at all."""
    zipped_twice = Zip(comment=b"PK\x05\x06" + bytes(18)).build()
    assert codes(examine(zipped_twice)) == {"archive"}


def test_two_files_are_refused_in_every_layout() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.img", DISK)
        archive.writestr("two.img", DISK)
    assert decompress_code(file.getvalue()) == "zip-members"
    assert decompress_code(Zip(entries=2).build()) == "zip-members"  # the directory tells of one file twice
    assert decompress_code(Zip(between=Zip().build()).build()) == "zip-members"


def test_overlapping_files_are_refused() -> None:
    """As in a bomb of D. Fifield's: many entries of the directory lead to one run of compressed bytes."""
    data = bytes(1 << 20)
    kernel = Zip(data).build()
    quoted = Zip(data, packed=b"\x00\x1e\x00\xe1\xff" + kernel[:30] + raw_deflate(data), entries=20)
    assert decompress_code(quoted.build(), deeper="pass") in (
        "zip-members",
        "zip-ambiguous",
        "compressed-damaged",
        "compressed-checksum",
    )
    assert decompress_code(Zip(data, entries=1000).build()) == "zip-members"


@pytest.mark.parametrize(
    "name",
    [b"../../x", b"/etc/passwd", b"a/../../b", b"..", b"\\x", b"a\\..\\b", b"C:x", b"c:/x", b"", b"a\0b", b"//x/y"],
)
def test_a_name_that_leads_out_is_refused_before_the_first_byte_of_output(name: bytes) -> None:
    unpacked = decompressed(Zip(name=name).build())
    assert (unpacked.code, unpacked.data) == ("zip-name", b"")


@pytest.mark.parametrize("name", [b"disk.img", b"folder/disk.img", b"..disk", b"a..b/c", b"\xff\xfe", b"x" * 5000])
def test_any_other_name_is_accepted(name: bytes) -> None:
    assert decompressed(Zip(name=name).build()).data == Zip().data


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR])
def test_a_link_or_a_device_is_refused(mode: int) -> None:
    assert decompress_code(Zip(made_by=3 << 8, mode=mode | 0o644).build()) == "zip-members"
    assert decompress_code(Zip(made_by=3 << 8, mode=stat.S_IFREG | 0o644).build()) is None


@pytest.mark.parametrize("mode", [stat.S_IFIFO, stat.S_IFSOCK])
def test_a_file_that_was_packed_from_standard_input_is_unpacked(mode: int) -> None:
    """zip writes the type of its standard input into the mode."""
    assert decompressed(Zip(made_by=3 << 8, mode=mode | 0o600).build()).data == Zip().data


def test_a_folder_or_an_empty_zip_is_refused() -> None:
    assert decompress_code(Zip(b"", name=b"folder/", packed=b"", method=0).build()) == "zip-members"
    assert decompress_code(b"PK\x05\x06" + bytes(18)) == "zip-members"


@pytest.mark.parametrize("flags", [1, 0x41, 0x2000])
def test_an_encrypted_zip_is_refused(flags: int) -> None:
    assert decompress_code(Zip(flags=flags).build()) == "compressed-encrypted"
    assert decompress_code(Zip(method=99).build()) == "compressed-encrypted"


@pytest.mark.parametrize("method", [1, 6, 9, 10, 98])
def test_an_unknown_method_is_refused_with_its_number(method: int) -> None:
    unpacked = decompressed(Zip(method=method).build())
    assert unpacked.code == "compressed-unsupported"
    assert f"method {method}" in unpacked.message


@pytest.mark.parametrize(
    "packed",
    [
        b"PK\x07\x08" + Zip().build(),
        b"PK00" + Zip().build(),
        Zip(flags=0x20).build(),
        Zip(before_end=b"PK\x05\x05\0\0").build(),
        Zip(between=b"PK\x06\x08" + bytes(4)).build(),
    ],
)
def test_rare_records_are_refused(packed: bytes) -> None:
    assert decompress_code(packed) in ("compressed-unsupported", "zip-ambiguous")


def test_a_wrong_crc_is_refused() -> None:
    assert decompress_code(Zip(local={"crc": 1}, central={"crc": 1}).build()) == "compressed-checksum"


def test_a_dictionary_of_lzma_in_a_zip_is_bounded() -> None:
    packed = bytearray(zipped(("disk.img", DISK), method=zipfile.ZIP_LZMA))
    at = 30 + len("disk.img") + 4
    assert packed[at] == 0x5D
    packed[at + 1 : at + 5] = struct.pack("<I", 1 << 31)
    unpacked = decompressed(bytes(packed))
    assert (unpacked.code, unpacked.data) == ("compressed-window", b"")


@pytest.mark.parametrize("make", [Zip().build, zip64_zip], ids=["zip", "zip64"])
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_mutant_that_passes_has_the_content_that_zipfile_reads(make, data: st.DataObject) -> None:
    packed = bytearray(make())
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(packed) - 1), st.integers(0, 255)), max_size=4)):
        packed[at] = byte
    unpacked = decompressed(cut(bytes(packed), data.draw(st.lists(st.integers(0, 300), max_size=5))))
    if unpacked.code is None and not unpacked.is_unchanged:
        with contextlib.suppress(NotImplementedError):  # a newer version is asked for than zipfile says it knows
            assert unpacked.data == read_by_others(bytes(packed))
