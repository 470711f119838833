"""The sentences of refusals and warnings: each says what was seen in this image, and what helps."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.convert.arrival import Arrival
from douane.plugins.format import Format
from douane.plugins.formats.codes import AGAIN, CODES, sentence
from douane.plugins.formats.match import Finding
from douane.plugins.limits import Limits
from douane_plugin import Incomplete, Reject
from support.images.iso import iso
from support.images.ova import CONTENT, DISK, file, manifest, ova, ovf
from support.images.tar import special, tar
from support.images.vhd import vhd_summed
from support.images.zip import zipped
from support.plugin_runs import as_image, decompressed, extracted

MIB = 1 << 20


def told(plugin: Any, data: bytes) -> str:
    """All that the tenant reads: the refusal, or the warnings."""
    warnings: list[str] = []
    plugin.warn = lambda code, message: warnings.append(f"{code}: {message}")
    image, _ = as_image(data, size=len(data))
    try:
        plugin.inspect(image)
    except (Reject, Incomplete) as refusal:
        return f"{refusal.code}: {refusal.message}"
    return "\n".join(warnings)


TWO_FILES = zipped(("disk.raw", CONTENT), ("other.raw", CONTENT))
UNREADABLE_MANIFEST = ova(("vm.mf", b"MD4(disk.vmdk)= 00\n"), ("disk.vmdk", CONTENT))
DTD = ovf().replace(b"<Envelope", b'<!DOCTYPE x [<!ENTITY a "b">]><Envelope', 1)


@pytest.mark.parametrize(
    ("image", "said", "not_said"),
    [
        (
            tar(("disk.vmdk", CONTENT)),
            "unsafe-ovf: the tar image is not safe: it holds 'disk.vmdk', but no OVF descriptor for it; pack the "
            "descriptor (.ovf) with it, or upload the disk alone",
            "cannot be used",
        ),
        (
            UNREADABLE_MANIFEST,
            "its manifest 'vm.mf' cannot be used: its line 'MD4(disk.vmdk)= 00' has an unknown algorithm; export",
            "does not agree",
        ),
        (
            ova(("vm.mf", manifest(("gone", b""))), ("disk.vmdk", CONTENT)),
            "the manifest lists 'gone', which is missing; export it again",
            "",
        ),
        (
            TWO_FILES,
            "unsafe-archive: the zip image is not safe: it has 2 files that may be the image: 'disk.raw', 'other.raw'; "
            "pack the image alone",
            "too many members",
        ),
        (zipped(("readme.txt", b"1")), "it has no file for an image; pack the image alone", "contradicts"),
        (
            ova(descriptor=ovf(files=file("gone.vmdk"))),
            "the file 'gone.vmdk', which its descriptor names, is not in it; pack all files",
            "cannot be used",
        ),
        (
            ova(descriptor=b"<Envelope/>"),
            "its OVF descriptor names no disk that is in a file; export the appliance with its disks",
            "cannot be used",
        ),
        (ova(descriptor=DTD), "has a document type definition, which no tool writes; export it again", "b\\n"),
        (ova(("a\\b", b"1"), ("disk.vmdk", DISK)), "contains a backslash", "leads out of it"),
        (ova(("../x", b"1"), ("disk.vmdk", DISK)), "the name '../x' leads to a directory above; pack", ""),
        (
            tar(special("disk", b"2", "/etc/passwd")),
            "'disk' is no file but a symbolic link to '/etc/passwd'; pack it again, with plain files only",
            "the archive holds a member",
        ),
        (tar(("a", b"1"), ("a", b"2")), "'a' is there twice; pack it again, with each name once", ""),
        (
            ova(("disk.vmdk", tar(("../x", b"1")))),
            "the tar image 'disk.vmdk' in the ova image is not safe: the name '../x'",
            "",
        ),
    ],
)
def test_a_refusal_says_what_was_seen_and_what_helps(image: bytes, said: str, not_said: str) -> None:
    text = told(Format(), image)
    assert said in text
    assert not not_said or not_said not in text


@pytest.fixture
def dynamic(qemu_img: Any) -> bytes:
    image: bytes = qemu_img("vpc", "-o", "subformat=dynamic,force_size=on", data=b"x" * MIB)
    return image


@pytest.mark.parametrize("zeros", [1, 511, 512, 100_000])
def test_zeros_after_the_footer_of_a_vhd_are_said_to_follow_it(dynamic: bytes, zeros: int) -> None:
    assert told(Format(), dynamic + bytes(zeros)) == f"trailing-data: the vhd image: {zeros} zeros follow its footer"


def test_a_vhd_without_its_footer_at_the_end_is_not_said_to_be_short(dynamic: bytes) -> None:
    longer, shorter = dynamic + b"more", dynamic[:-512]
    for image in (longer, shorter, dynamic[:-100], dynamic + bytes(MIB)):
        text = told(Format(), image)
        assert text.startswith("truncated: the vhd image: it ")
        assert "its end is missing, or bytes follow it: upload it again, as it was made" in text
        assert "upload all of it" not in text


def test_a_vhd_with_a_saved_state_is_said_to_have_one(dynamic: bytes) -> None:
    footer = bytearray(dynamic[:512])
    footer[84] = 1
    new = vhd_summed(bytes(footer), 64)
    text = told(Format(), new + dynamic[512:-512] + new)
    assert text == (
        "dirty: the vhd image: it belongs to a machine with a saved state; shut the machine down, and upload its disk "
        "then"
    )


def test_the_backing_file_is_named_once(qemu_img: Any) -> None:
    image = qemu_img("qcow2", "-u", "-b", "/etc/hostname", "-F", "raw", size=MIB)
    assert told(Format(), image) == (
        "unsafe-backing-file: the qcow2 image is not safe: it names the backing file '/etc/hostname'; flatten it "
        "(qemu-img convert) and upload the result"
    )


def test_the_help_for_an_ambiguous_image_helps(tmp_path: Path, qemu_img: Any) -> None:
    disc = iso(64)
    image = qemu_img("qcow2", size=MIB)[:512] + disc[512:]
    text = told(Format(), image)
    assert text.startswith("format-ambiguous: the image is not safe: it can be read as qcow2 and as iso")
    assert "(qemu-img convert -f FORMAT -O qcow2)" in text
    (tmp_path / "image").write_bytes(image)
    words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", tmp_path / "image", tmp_path / "made"]
    subprocess.run(words, check=True)
    assert told(Format(), (tmp_path / "made").read_bytes()) == ""


def test_the_help_for_an_ambiguous_archive_is_not_a_conversion() -> None:
    """qemu-img opens no archive."""
    image = gzip.compress(DISK)[:20].ljust(257, b"\1") + tar(("x", b"1"))[257:]
    text = told(Format(), image)
    assert text.startswith("format-ambiguous: the image is not safe: it can be read as tar and as gzip")
    assert text.endswith("; unpack it, and upload the disk alone")


def test_limits_say_what_was_seen(dynamic: bytes) -> None:
    text = told(Limits(max_virtual_size="1GiB"), dynamic[:-512])
    assert "its end is missing, or bytes follow it" in text


def test_an_image_of_unknown_size_is_to_be_unpacked() -> None:
    text = told(Limits(max_virtual_size="1GiB"), gzip.compress(DISK))
    assert text.endswith(
        "the virtual size of the gzip image cannot be determined; unpack it, and upload the disk alone"
    )


@pytest.mark.parametrize("cut", [1, 10])
def test_a_zip_that_is_cut_in_its_last_record_is_not_to_be_packed_again(cut: int) -> None:
    text = told(Format(), zipped(("disk.raw", CONTENT), comment=b"a comment")[:-cut])
    assert "its end is missing, or bytes follow it: upload it again, as it was made" in text
    assert "pack it again" not in text


def test_convert_says_what_was_seen(qemu_img: Any) -> None:
    image = bytearray(qemu_img("qcow2", size=MIB))
    image[72:80] = struct.pack(">Q", 1 << 40)
    arrival = Arrival(as_image(bytes(image))[0])
    for _ in arrival:
        pass
    with pytest.raises(Reject, match=r"unknown incompatible feature bits: .*convert it again, without them"):
        arrival.judge()


# transforms


def test_a_zip_of_several_files_names_them() -> None:
    assert decompressed(TWO_FILES).message == (
        "the zip holds 'disk.raw' and 'other.raw', and an image is one file; pack the image alone"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("disk.raw", CONTENT)
        archive.writestr("__MACOSX/._disk.raw", b"\0\5\x16\7")
    assert "pack it with zip -X, not with Finder" in decompressed(buffer.getvalue()).message


def test_an_archive_that_is_no_appliance_is_said_to_lack_the_descriptor() -> None:
    refusal = extracted(tar(("disk.vmdk", DISK)), {"container_format": "ova"}, any_order=True)
    assert refusal.message == (
        "the archive has no OVF descriptor (.ovf) that says which disk it holds; pack the descriptor first, or upload "
        "the disk alone"
    )


# every sentence


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kind", [*AGAIN, "content", "other"])
def test_each_code_has_a_sentence_for_every_kind_of_format(code: str, kind: str) -> None:
    text = sentence(Finding(code, "x", "it has two headers", kind=kind))
    assert "it has two headers" in text
    assert not text.startswith((";", " "))
    assert not text.endswith((";", " ", "."))
    assert "{" not in text and "()" not in text
    if kind == "compressed":
        assert "convert it again" not in text


@given(detail=st.text(max_size=400), help=st.text(max_size=100))
@settings(max_examples=200, deadline=None)
def test_no_sentence_has_a_control_character(detail: str, help: str) -> None:
    assert sentence(Finding("odd", "x", detail, help=help)).isprintable()
