"""Zip archives: one image each, the same read from the start and from the end."""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import subprocess
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats import zip as zip_module
from support.examination import assert_cuts_agree, codes, details, examine, names, refused
from support.images.ova import CONTENT
from support.images.tar import tar
from support.images.zip import DEFLATED, STORED, zipped

MiB = 1 << 20


def raw_name(old: str, new: bytes, image: bytes) -> bytes:
    """The archive with another name of the same length, which zipfile would not write."""
    assert len(old) == len(new)
    return image.replace(old.encode(), new)


@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("cut", [99, MiB])
def test_zip_with_one_image_has_no_findings(method: int, cut: int) -> None:
    image = zipped(
        ("readme.txt", b"text"), ("disk.raw", CONTENT), ("SHA256SUMS.sha256", b"1"), method=method, comment=b"c"
    )
    examination = examine(image, cut=cut)
    assert names(examination) == ["zip"]
    assert codes(examination) == set()
    assert (examination.matches[0].kind, examination.matches[0].disk_format) == ("archive", "raw")


def test_zip_with_data_descriptors_and_a_directory_passes() -> None:
    assert codes(examine(zipped(("disk.raw", CONTENT), streamed=True))) == set()
    assert codes(examine(zipped(("d/", b""), ("d/disk.raw", CONTENT)))) == set()


def test_zip64_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", DEFLATED) as archive, archive.open("disk.raw", "w", force_zip64=True) as file:
        file.write(CONTENT)
    image = buffer.getvalue()
    assert codes(examine(image)) == set()
    # with the records of Zip64 in front of the last one, which then refers to them
    end = image[-22:]
    count, size, offset = struct.unpack("<H2I", end[10:20])
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(image) - 22, 1)
    short = end[:8] + b"\xff" * 12 + end[20:]
    image64 = image[:-22] + record + locator + short
    with zipfile.ZipFile(io.BytesIO(image64)) as archive:
        assert archive.namelist() == ["disk.raw"]
    assert codes(examine(image64)) == set()
    contradiction = image[:-22] + record + locator + end[:12] + struct.pack("<2I", size, 0) + end[20:]
    assert refused(contradiction) == {"archive"}


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../x", "C:x", "a\nb"])
def test_name_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    assert refused(zipped((name, CONTENT))) == {"member-name"}


def test_backslash_and_a_nul_in_a_name_are_refused() -> None:
    image = zipped(("some_name", CONTENT))
    assert refused(raw_name("some_name", b"..\\..\\nam", image)) == {"member-name"}
    assert refused(raw_name("some_name", b"disk\0.raw", image)) == {"member-name"}


def test_unicode_name_is_checked() -> None:
    info = zipfile.ZipInfo("disk.raw")
    name = b"../../x"
    info.extra = struct.pack("<2HBI", 0x7075, 5 + len(name), 1, 0) + name
    assert refused(zipped((info, CONTENT))) == {"member-name"}


def test_two_images_are_refused() -> None:
    examination = examine(zipped(("a.raw", CONTENT), ("b.raw", CONTENT)))
    assert refused(examination) == {"archive"}
    assert "'a.raw', 'b.raw'" in details(examination)
    assert refused(zipped(("readme.txt", b"text"))) == {"archive"}
    assert refused(zipped()) == {"archive"}
    assert refused(zipped(("a.raw", CONTENT), ("b.txt", b"x" * (2 * MiB)))) == {"archive"}


def packed_from(standard_input: Any) -> bytes:
    """An archive by zip from its standard input."""
    return subprocess.run(["zip", "-q", "-", "-"], stdin=standard_input, stdout=subprocess.PIPE, check=True).stdout


def test_zip_made_from_a_pipe_or_a_socket_passes() -> None:
    """zip writes the type of its standard input into the mode: no link and no device, but content."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as reader, open(write_end, "wb") as writer:
        writer.write(CONTENT)  # less than a pipe holds
        writer.close()
        piped = packed_from(reader)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(CONTENT)
        ours.shutdown(socket.SHUT_WR)
        sent = packed_from(theirs)
    for image, mode in ((piped, stat.S_IFIFO), (sent, stat.S_IFSOCK)):
        (entry,) = zipfile.ZipFile(io.BytesIO(image)).infolist()
        assert stat.S_IFMT(entry.external_attr >> 16) == mode
        assert codes(examine(image)) == set()


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR])
def test_member_that_is_no_file_is_refused(mode: int) -> None:
    member = zipfile.ZipInfo("disk.raw")
    member.create_system, member.external_attr = 3, (mode | 0o644) << 16
    assert refused(zipped((member, CONTENT))) == {"member-type"}


def test_link_and_duplicate_name_are_refused() -> None:
    link = zipfile.ZipInfo("disk.raw")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    assert refused(zipped((link, b"/etc/passwd"))) == {"member-type"}
    with pytest.warns(UserWarning):
        twice = zipped(("a.txt", b"1"), ("a.txt", b"2"), ("disk.raw", CONTENT))
    assert refused(twice) == {"member-twice"}


def patched(image: bytes, local: int | None, central: int | None, value: bytes) -> bytes:
    """`image` with `value` at offsets of the first local header and of the first entry of the directory."""
    data = bytearray(image)
    if local is not None:
        data[local : local + len(value)] = value
    if central is not None:
        at = data.index(b"PK\1\2") + central
        data[at : at + len(value)] = value
    return bytes(data)


def test_both_headers_of_a_member_must_agree() -> None:
    image = zipped(("disk.raw", CONTENT))
    for local, value in ((30, b"DISK"), (8, b"\0\0"), (14, b"1234"), (18, b"\1\0\0\0"), (22, b"\1\0\0\0")):
        assert refused(patched(image, local, None, value)) == {"archive"}, local


@pytest.mark.parametrize("first", [True, False])
def test_member_missing_in_the_directory_is_refused(first: bool) -> None:
    first_zip, second_zip = zipped(("a.raw", CONTENT)), zipped(("b.raw", CONTENT))
    hidden = first_zip[: first_zip.index(b"PK\1\2")]
    directory = bytearray(second_zip[second_zip.index(b"PK\1\2") : -22])
    local = second_zip[: second_zip.index(b"PK\1\2")]
    directory[42:46] = struct.pack("<I", len(hidden) if first else 0)
    end = second_zip[-22:-6] + struct.pack("<IH", len(hidden) + len(local), 0)
    image = (hidden + local if first else local + hidden) + bytes(directory) + end
    with zipfile.ZipFile(io.BytesIO(image)) as archive:
        assert archive.namelist() == ["b.raw"]
    assert refused(image) == {"archive"}


def test_overlapping_members_are_refused() -> None:
    image = zipped(("a.txt", b"1"), ("disk.raw", CONTENT), method=STORED)
    at = image.index(b"PK\1\2")
    second = image.index(b"PK\1\2", at + 1)
    data = bytearray(image)
    data[second + 42 : second + 46] = bytes(4)
    assert refused(bytes(data)) == {"archive"}


def test_overlapping_members_with_data_descriptors_are_refused() -> None:
    image = zipped(("disk.raw", CONTENT), streamed=True)
    at = image.index(b"PK\1\2")
    entry = image[at:-22]
    second_entry = entry[:42] + struct.pack("<I", 1) + entry[46:].replace(b"disk.raw", b"note.txt")
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 2, 2, 2 * len(entry), at, 0)
    assert refused(image[:at] + entry + second_entry + end) == {"archive"}
    assert "'disk.raw' reaches into" in details(examine(image[:at] + entry + second_entry + end))


def test_encryption_is_found() -> None:
    image = patched(zipped(("disk.raw", CONTENT)), 6, 8, b"\1\0")
    assert codes(examine(image)) == {"encrypted"}


def test_impossible_expansion_is_refused() -> None:
    image = zipped(("disk.raw", CONTENT))
    data = patched(patched(image, 22, None, b"\0\0\0\x70"), None, 24, b"\0\0\0\x70")
    assert refused(data) == {"member-size"}


def test_zip_is_read_from_its_end_and_trailing_data_are_found() -> None:
    image = zipped(("disk.raw", CONTENT))
    assert refused(image[:-1]) == {"truncated"} or refused(image[:-1]) == {"archive"}
    assert refused(image[:-23]) == {"truncated"}
    assert refused(image[:50]) == {"truncated"}
    assert codes(examine(image + b"something")) == {"trailing-data"}


@pytest.mark.parametrize("image", [zipped(("a.raw", CONTENT)), zipped(("a.raw", CONTENT), streamed=True)])
def test_two_directories_are_refused(image: bytes) -> None:
    at = image.index(b"PK\1\2")
    second_end = image[at:-22] + image[-22:-6] + struct.pack("<IH", len(image), 0)
    with zipfile.ZipFile(io.BytesIO(image + second_end)) as archive:
        assert archive.namelist() == ["a.raw"]
    assert refused(image + second_end) == {"archive"}


@pytest.mark.parametrize("prefix", [b"#!/bin/sh\n", bytes(1 << 20)])
def test_archive_after_other_data_is_refused(prefix: bytes) -> None:
    image = prefix + zipped(("disk.raw", CONTENT))
    with zipfile.ZipFile(io.BytesIO(image)) as archive:
        assert archive.namelist() == ["disk.raw"]
    assert names(examine(image)) == ["zip"]
    assert refused(image) == {"archive"}


def test_archive_after_other_data_with_right_offsets_is_refused() -> None:
    buffer = io.BytesIO(b"#!/bin/sh\n")
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", DEFLATED) as archive:
        archive.writestr("disk.raw", CONTENT)
    assert refused(buffer.getvalue()) == {"archive"}
    assert "before its first member" in details(examine(buffer.getvalue()))


def test_split_archive_is_refused() -> None:
    image = zipped(("disk.raw", CONTENT))
    end = bytearray(image[-22:])
    end[4:6] = b"\1\0"
    assert refused(image[:-22] + bytes(end)) == {"archive"}


def test_stored_member_is_examined() -> None:
    examination = examine(zipped(("disk.raw", tar(("../x", b"1"))), method=STORED))
    assert refused(examination) == {"member-name"}
    assert [(name, names(inner)) for name, inner in examination.matches[0].inner] == [("disk.raw", ["tar"])]


def test_number_of_members_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_module, "MAX_MEMBERS", 10)
    many = [(f"{number}.txt", b"") for number in range(10)]
    assert refused(zipped(*many[:9], ("disk.raw", CONTENT))) == set()
    assert refused(zipped(*many, ("disk.raw", CONTENT))) == {"archive"}


SOURCES = [
    zipped(("a.txt", b"1"), ("disk.raw", CONTENT), comment=b"comment"),
    zipped(("disk.raw", CONTENT), method=STORED),
    zipped(("disk.raw", CONTENT), streamed=True),
]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_mutants_do_not_fail_and_do_not_depend_on_chunks(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(SOURCES))
    image = bytearray(source)
    headers = [at for mark in (b"PK\3\4", b"PK\1\2", b"PK\5\6") if (at := source.find(mark)) >= 0]
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.sampled_from(headers)) + data.draw(st.integers(0, 60))
        image[at : at + 1] = data.draw(st.binary(min_size=1, max_size=4))
    cut = bytes(image[: data.draw(st.integers(0, len(image)))]) if data.draw(st.booleans()) else bytes(image)
    assert_cuts_agree(cut, cut=data.draw(st.integers(1, 999)))
