"""Tar archives: every kind that tools write is read, and members that unpack elsewhere or differently are refused."""

from __future__ import annotations

import lzma
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.plugins.formats import tar as tar_module
from douane.plugins.formats import tar_headers
from support.examination import assert_cuts_agree, codes, details, examine, names, refused
from support.images import padded
from support.images.ova import CONTENT, sized_ova
from support.images.tar import END, pax, tar, tar_header, with_checksum

MiB = 1 << 20
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "d" * 60 + "/" + "é" * 40 + "/notes.txt"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("cut", [511, MiB])
def test_archives_of_tarfile_pass(format: int, cut: int) -> None:
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    image = tar(folder, ("d/a.txt", b"a" * 1000), ("d/empty", b""), (LONG, b"long"), ("./b", CONTENT), format=format)
    examination = examine(image, cut=cut)
    assert names(examination) == ["tar"]
    assert codes(examination) == set()
    members = [str(field.value) for field in examination.matches[0].fields if field.name == "member"]
    assert [line.split(",")[0] for line in members] == [
        "'d/'",
        "'d/a.txt'",
        "'d/empty'",
        repr(LONG[:77] + "..."),
        "'./b'",
    ]


def test_v7_header_is_read_and_a_random_header_is_not() -> None:
    old = tar_header(b"disk", 100, b"\0", magic=b"") + padded(b"x" * 100) + END
    assert names(examine(old)) == ["tar"]
    assert codes(examine(old)) == set()
    assert "tar" not in names(examine(bytes(1024)))
    assert "tar" not in names(examine(old[:148] + b"0000000\0" + old[156:]))


@pytest.mark.parametrize(
    "name",
    ["/etc/cron.d/x", "../x", "a/../../x", "a/..", "a\\..\\b", "C:x", "a\nb", "x" * 1025],
)
def test_name_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    assert refused(tar((name, b"data"), format=tarfile.PAX_FORMAT)) == {"member-name"}


def test_name_with_nul_and_empty_name_are_refused() -> None:
    for first in (pax(("path", "a\0b")), pax(("path", ""))):
        assert refused(first + tar_header(b"a", 1) + padded(b"1") + END) == {"member-name"}


def test_name_prefix_is_checked() -> None:
    assert refused(tar_header(b"passwd", prefix=b"../../etc") + END) == {"member-name"}
    # GNU tar does not read it as a name, others do
    assert refused(tar_header(b"passwd", magic=b"ustar  ", prefix=b"../../etc") + END) == {"archive"}


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"6", b"M", b"V", b"D", b"Z"])
def test_members_other_than_files_are_refused(flag: bytes) -> None:
    assert refused(tar_header(b"disk.raw", 0, flag) + END) == {"member-type"}


def test_two_members_of_the_same_name_are_refused() -> None:
    assert refused(tar(("a", b"1"), ("./a", b"2"))) == {"member-twice"}
    assert refused(tar(("a", b"1"), ("A", b"2"))) == set()


@pytest.mark.parametrize("size", [b"00000000x00\0", b"10 7\0", b"\xff" * 12, b"\x81" + bytes(11), b"-1\0"])
def test_malformed_size_is_refused(size: bytes) -> None:
    assert refused(tar_header(b"a", size) + padded(b"") + END) == {"archive"}


@pytest.mark.parametrize("size_known", [True, False])
def test_absurd_size_is_refused(size_known: bool) -> None:
    image = tar_header(b"a", b"\x80" + (1 << 60).to_bytes(11, "big")) + padded(b"data") + END
    assert "member-size" in refused(examine(image, size_known=size_known))


def test_size_beyond_the_archive_is_refused() -> None:
    assert refused(tar_header(b"a", 1 << 32) + padded(b"data") + END) == {"truncated"}


def test_wrong_checksum_is_refused() -> None:
    image = tar(("a", b"1"), ("b", b"2"))
    for at in (0, 1024):
        changed = image[: at + 100] + b"7" + image[at + 101 :]
        assert names(examine(changed)) == ["tar"]
        assert refused(changed) == {"archive"}


def test_two_sizes_for_one_member_are_refused() -> None:
    # CVE-2025-62518: who goes by the first size finds other members in the second's bytes
    hidden = padded(b"") + tar_header(b"hidden", 4) + padded(b"evil")
    image = pax(("size", str(len(hidden)))) + tar_header(b"a", 0) + hidden + END
    assert refused(image) == {"archive"}
    assert refused(pax(("size", "4")) + tar_header(b"a", 4) + padded(b"data") + END) == set()


def test_directory_that_claims_data_is_refused() -> None:
    assert refused(tar_header(b"d/", 512, b"5") + bytes(512) + END) == {"archive"}
    assert refused(tar_header(b"d/", 512, b"0") + bytes(512) + END) == {"archive"}


def test_number_of_extension_headers_is_bounded() -> None:
    member = tar_header(b"a", 1) + padded(b"1") + END
    assert refused(pax(("comment", "c" * (2 * MiB))) + member) == {"archive"}
    assert refused(pax(("comment", "c"), flag=b"g") * 100 + member) == {"archive"}
    assert refused(pax(("comment", "c")) * 2 + member) == {"archive"}
    assert refused(pax(("comment", "c"), flag=b"g") + pax(("comment", "c")) + member) == set()


def test_global_header_that_renames_all_members_is_refused() -> None:
    assert refused(pax(("path", "../x"), flag=b"g") + tar_header(b"a", 1) + padded(b"1") + END) == {"archive"}


def test_malformed_pax_header_is_refused() -> None:
    for data in (b"99 path=x\n", b"10 path=xx", b"path=x\n", b"9 path-x\n"):
        assert refused(tar_header(b"p", len(data), b"x") + padded(data) + tar_header(b"a") + END) == {"archive"}


def test_every_truncation_is_a_finding() -> None:
    image = tar(("a", CONTENT), (LONG, b"b" * 700), format=tarfile.PAX_FORMAT)
    end = 512 + 5120 + 1024 + 512 + 1024  # of the second member; what follows are zeros
    complete = examine(image)
    assert codes(complete) == set()
    for length in range(1, end, 37):
        examination = examine(image[:length])
        assert names(examination) == ["tar"] or length < 262
        assert "truncated" in refused(examination) or length < 262 or "odd" in codes(examination)


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_module, "MAX_MEMBERS", 10)
    assert refused(tar(*((str(number), b"") for number in range(10)))) == set()
    assert refused(tar(*((str(number), b"") for number in range(11)))) == {"archive"}


def test_number_of_examined_members_is_bounded_and_cannot_hide_a_disk() -> None:
    many = [(f"{number}.txt", b"text") for number in range(tar_module.MAX_LOOKED_INTO + 1)]
    assert refused(tar(*many)) == set()
    assert refused(sized_ova(*many, ("disk.vmdk", CONTENT))) == {"archive"}


def test_bytes_after_the_end_are_found() -> None:
    image = tar_header(b"a", 1) + padded(b"1")
    assert codes(examine(image + END + bytes(3 * MiB))) == set()
    assert codes(examine(image + END + bytes(9000) + b"garbage")) == {"trailing-data"}
    assert codes(examine(image)) == {"odd"}
    # BusyBox's tar would go on behind half an end
    assert refused(image + bytes(512) + tar_header(b"hidden", 1) + padded(b"1") + END) == {"archive"}


def test_archive_in_the_archive_is_examined() -> None:
    examination = examine(tar(("inner.tar", tar(("../../x", b"1")))))
    assert codes(examination) == {"member-name"}
    assert [(name, names(inner)) for name, inner in examination.matches[0].inner] == [("inner.tar", ["tar"])]


def test_disk_without_descriptor_is_refused() -> None:
    assert refused(tar(("disk.vmdk", CONTENT))) == {"ovf"}


@pytest.fixture(params=["gnu", "0.0", "0.1", "1.0"])
def sparse(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """An archive by GNU tar of a disk of 64 MiB with many holes."""
    disk = tmp_path / "disk"
    packed = lzma.compress(bytes(100_000), format=lzma.FORMAT_XZ)
    with disk.open("wb") as file:
        file.write(packed[:-12].ljust(4096, b"\1"))
        for at in range(1, 30):
            file.seek(at * 2 * MiB)
            file.write(b"x" * 4096)
        file.truncate(64 * MiB)
    version = ["--format=gnu"] if request.param == "gnu" else ["--format=posix", f"--sparse-version={request.param}"]
    subprocess.run(["tar", "--create", "--sparse", *version, "--file=a.tar", "disk"], cwd=tmp_path, check=True)
    return (tmp_path / "a.tar").read_bytes()


@pytest.mark.parametrize("cut", [4097, MiB])
def test_sparse_disk_is_examined_with_its_holes(sparse: bytes, cut: int) -> None:
    assert len(sparse) < MiB
    examination = examine(sparse, cut=cut)
    [(name, inner)] = examination.matches[0].inner
    assert (name, names(inner), inner.position) == ("disk", ["xz"], 64 * MiB)
    assert refused(examination) == {"truncated"}


def _old_sparse(stored: int, real: int, *parts: tuple[int, int]) -> bytes:
    numbers = b"".join(b"%011o\0%011o\0" % part for part in parts)
    body = bytearray(tar_header(b"disk", stored, b"S", magic=b"ustar  "))
    body[386 : 386 + len(numbers)] = numbers
    body[483:495] = b"\x80" + real.to_bytes(11, "big")
    return with_checksum(bytes(body)) + padded(b"x" * stored) + END


def test_contradictory_sparse_map_is_refused() -> None:
    assert refused(_old_sparse(1024, 1 << 20, (0, 512), (4096, 512))) == set()
    assert refused(_old_sparse(1024, 1 << 20, (4096, 512), (0, 512))) == {"archive"}
    assert refused(_old_sparse(1024, 1 << 20, (0, 512), (4096, 5120))) == {"archive"}
    assert refused(_old_sparse(1024, 4096, (0, 512), (4096, 512))) == {"archive"}
    assert "member-size" in refused(_old_sparse(512, 1 << 50, (0, 512)))
    assert refused(pax(("GNU.sparse.major", "2"), ("GNU.sparse.realsize", "1")) + tar_header(b"a") + END) == {"archive"}
    endless = padded(b"1000000\n" + b"1\n" * 100)
    sparse = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9"))
    assert refused(sparse + tar_header(b"a", len(endless)) + endless + END) == {"archive"}


def test_findings_name_the_member_and_its_offset() -> None:
    examination = examine(tar(("a", b"1"), ("../x", b"1")))
    assert [finding.offset for finding in examination.findings] == [1024]
    assert "'../x'" in details(examination)


@settings(deadline=None, max_examples=150)
@given(st.binary(min_size=512, max_size=512))
def test_random_sectors_are_not_an_archive(sector: bytes) -> None:
    assert tar_headers.begins_archive(sector) == (sector[257:262] == b"ustar")


SOURCES = [
    sized_ova(),
    tar(("a", CONTENT), (LONG, b"b"), format=tarfile.PAX_FORMAT),
    tar((LONG, b"b"), ("b", CONTENT), format=tarfile.GNU_FORMAT),
    _old_sparse(1024, 1 << 20, (0, 512), (4096, 512)),
]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_mutants_do_not_fail_and_do_not_depend_on_chunks(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from(SOURCES)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(image) - 1))
        image[at : at + 1] = data.draw(st.binary(min_size=1, max_size=12))
        start = at - at % 512
        if data.draw(st.booleans()) and len(image) >= start + 512:
            image[start : start + 512] = with_checksum(bytes(image[start : start + 512]))
    cut = bytes(image[: data.draw(st.integers(0, len(image)))]) if data.draw(st.booleans()) else bytes(image)
    assert_cuts_agree(cut, cut=data.draw(st.integers(1, 2000)))
