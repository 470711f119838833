"""The transform `untar` extracts the only disk from a tar archive, and passes everything else."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.untar import Untar
from support.images import MIB
from support.images.ova import ova, ovf
from support.images.tar import END, special, tar, tar_member
from support.plugin_runs import Transformed, cut

DISK = random.Random(3).randbytes(3 * MIB)
METADATA = ("metadata.json", json.dumps({"provider": "libvirt", "format": "raw", "virtual_size": 40}).encode())
VAGRANTFILE = ("./Vagrantfile", b"Vagrant.configure('2')")
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
APPLE_DOUBLE = ("._disk.raw", b"\0\5\x16\7" + bytes(100))


def untarred(chunks: Any, facts: dict[str, Any] | None = None, **config: Any) -> Transformed:
    return Transformed(Untar(**config), chunks, facts)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "name", ["disk.raw", "box.img", "./a/box.QCOW2", "box-disk001.vmdk", "d.vhdx", "d.vhd", "d.vdi"]
)
def test_only_disk_of_an_archive_is_extracted(format: int, name: str) -> None:
    for members in ([(name, DISK)], [METADATA, VAGRANTFILE, (name, DISK)], [(name, DISK), METADATA, VAGRANTFILE]):
        extraction = untarred(tar(*members, format=format))
        assert (extraction.code, extraction.data == DISK, extraction.warnings) == (None, True, [])
        assert extraction.formats == [(None, "bare"), (None, None)]
        assert extraction.properties == {"disk": name.removeprefix("./")}


def test_export_of_google_compute_engine_is_extracted(tmp_path: Path) -> None:
    # as on https://cloud.google.com/compute/docs/import/import-existing-image: tar --format=oldgnu -Sczf
    data = bytes(MIB) + b"x" * 5000 + bytes(7 * MIB) + b"y" * 3000 + bytes(MIB)
    with (tmp_path / "disk.raw").open("wb") as file:
        for at in range(0, len(data), 4096):
            piece = data[at : at + 4096]
            file.seek(at)
            if piece.strip(b"\0"):
                file.write(piece)
        file.truncate(len(data))
    subprocess.run(["tar", "--format=oldgnu", "-Scf", "image.tar", "disk.raw"], cwd=tmp_path, check=True)
    image = (tmp_path / "image.tar").read_bytes()
    assert len(image) < MIB
    assert untarred(image).data == data


@pytest.mark.parametrize(
    ("image", "facts"),
    [
        (DISK, {}),
        (b"", {}),
        (tar(("readme.txt", b"x")), {}),
        (ova(), {}),
        (tar(METADATA, ("box.ovf", ovf()), ("disk.vmdk", DISK)), {}),
        (tar(("disk.raw", DISK)), {"container_format": "ova"}),
        (tar(("disk.raw", DISK)), {"container_format": "docker"}),
        (tar(("layer.tar", DISK), ("disk.raw", DISK)), {}),  # after the first mebibyte
        (tar(special("disk.raw", tarfile.DIRTYPE), ("layer.tar", DISK)), {}),
    ],
    ids=["disk", "empty", "no-disk", "ova", "box-with-ovf", "declared-ova", "docker", "late", "folder"],
)
def test_other_images_pass_unchanged(image: bytes, facts: dict[str, Any]) -> None:
    extraction = untarred(cut(image, range(0, len(image), MIB)), facts)
    assert (extraction.code, extraction.is_unchanged, extraction.data) == (None, True, b"")


PACKERS = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


@pytest.mark.parametrize("name", PACKERS)
def test_compressed_archive_is_unpacked(name: str) -> None:
    image = PACKERS[name](tar(METADATA, ("box.img", DISK), VAGRANTFILE))
    extraction = untarred(cut(image, range(0, len(image), MIB)))
    assert (extraction.code, extraction.data == DISK) == (None, True)
    assert extraction.properties == {"disk": "box.img", "compression": name}
    assert untarred(image[:-20]).code == "compressed-truncated"


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("content", [DISK, b"", ova(), tar(("readme.txt", b"x"))], ids=["disk", "empty", "ova", "tar"])
def test_other_compressed_images_pass_unchanged(name: str, content: bytes) -> None:
    image = PACKERS[name](content)
    for data in (image, image[:-20], image + b"x"):
        extraction = untarred(cut(data, range(0, len(data), MIB)))
        assert (extraction.code, extraction.is_unchanged, extraction.data) == (None, True, b"")


def test_several_disks_are_refused_unless_one_is_chosen() -> None:
    image = tar(("a/one.img", DISK), METADATA, ("two.img", DISK[::-1]))
    refusal = untarred(image)
    assert refusal.code == "tar-disks"
    assert "'a/one.img' and 'two.img'" in refusal.message
    for choice in ("a/one.img", "./a/one.img", "one.img"):
        assert untarred(image, disk=choice).data == DISK
    late = tar(METADATA, ("one.img", b"small"), ("two.img", DISK))
    assert untarred(late, disk="two.img").data == DISK
    assert untarred(tar(("one.img", DISK), ("one.img", DISK))).code == "tar-disks"


def test_attributes_of_macos_are_no_second_disk() -> None:
    extraction = untarred(tar(APPLE_DOUBLE, ("disk.raw", DISK)))
    assert (extraction.code, extraction.data == DISK) == (None, True)
    assert untarred(tar(("._disk.raw", DISK), ("disk.raw", DISK))).code == "tar-disks"


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (tar(("../disk.raw", DISK)), "tar-member-name"),
        (tar(("disk.raw", DISK), ("/etc/passwd", b"x")), "tar-member-name"),
        (tar(("disk.raw", DISK), special("x", tarfile.SYMTYPE, "/etc/passwd")), "tar-member-type"),
        (tar(special("x", tarfile.SYMTYPE, "/etc/passwd"), ("disk.raw", DISK)), "tar-member-type"),
        (tar(("disk.raw", b"")), "tar-no-disk"),
        (tar(("disk.vmdk", DISK), ("box.ovf", ovf())), "tar-descriptor"),
        (tar(("disk.raw", DISK))[: 2 * MIB], "tar-truncated"),
        (tar(("disk.raw", DISK), *((f"{number}.txt", b"") for number in range(20))), "tar-members"),
        (tar_member(b"disk.raw", DISK) + bytes(512) + b"\1" * 512 + END, "tar-archive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_archives_are_refused(image: bytes, code: str) -> None:
    assert untarred(image, max_members=10).code == code


def test_oddities_of_the_archive_give_warnings() -> None:
    assert untarred(tar_member(b"disk.raw", DISK)).warnings == ["tar-no-end-mark"]
    assert untarred(tar_member(b"disk.raw", DISK) + END + b"x").warnings == ["tar-trailing-data"]


@given(st.lists(st.integers(1, 20000), max_size=8))
def test_cuts_do_not_matter(places: list[int]) -> None:
    disk = DISK[:9000]
    image = tar(METADATA, ("disk.raw", disk), VAGRANTFILE)
    assert untarred(cut(image, places)).data == disk


def test_disk_is_not_copied_to_memory() -> None:
    assert untarred(tar(("disk.raw", DISK))).longest <= MIB


@pytest.mark.parametrize("config", [{"disk": ""}, {"max_members": 0}, {"max_expansion": 0}])
def test_impossible_settings_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'"):
        Untar(**config)
