"""`iso_boot_file` on real ISO images, and on images whose folders lie."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from example_plugins import TIERS, Check, answer_of
from hypothesis import given
from hypothesis import strategies as st

FILE = "iso_boot_file:IsoBootFile"
PLAN = '[[plugin]]\nname = "iso"\nuse = "plugins/iso_boot_file.py:IsoBootFile"\n'
SECTOR = 2048
ROOT = 16 * SECTOR + 156
BOOT = "EFI/BOOT/BOOTX64.EFI"


@pytest.fixture(scope="module")
def iso(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """``iso("a/b", ...)``: an ISO image with these files, as xorriso makes it."""
    images: dict[tuple[str, ...], bytes] = {}

    def make(*names: str) -> bytes:
        if names not in images:
            folder: Path = tmp_path_factory.mktemp("iso")
            for name in names:
                path = folder / "tree" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"a loader" * 1000)
            words = [
                "-as",
                "mkisofs",
                "-quiet",
                "-iso-level",
                "3",
                "-R",
                "-J",
                "-o",
                folder / "made.iso",
                folder / "tree",
            ]
            subprocess.run(["xorriso", *words], check=True, capture_output=True)
            images[names] = (folder / "made.iso").read_bytes()
        return images[names]

    return make


@pytest.mark.parametrize("tier", TIERS)
def test_the_file_is_found_in_its_folder(check: Check, iso: Callable[..., bytes], tier: str) -> None:
    many = [f"EFI/BOOT/F{number:03}.EFI" for number in range(200)]  # so that the folder has several sectors
    run = check(iso(BOOT, "README.TXT", *many), PLAN, tier=tier)
    assert run.answer == ("accepted", None)
    assert run.report["properties"] == {"iso.boot_file": BOOT, "iso.boot_file_bytes": 8000}


@pytest.mark.parametrize("names", [("README.TXT",), ("EFI/BOOT",), ("EFI/BOOT/BOOTX64.EFI/A",), ("BOOTX64.EFI",)])
def test_an_iso_without_the_file_is_refused(check: Check, iso: Callable[..., bytes], names: tuple[str, ...]) -> None:
    run = check(iso(*names), PLAN)
    assert run.answer == ("refused", "iso-file-missing")
    assert BOOT in run.report["message"]


def test_the_operator_names_the_file(check: Check, iso: Callable[..., bytes]) -> None:
    assert check(iso("README.TXT"), PLAN + 'config = { path = "/readme.txt" }\n').code == 0
    assert check(b"", PLAN + 'config = { path = "/" }\n').code == 2


@pytest.mark.parametrize("data", [b"", b"\0", bytes(16 * SECTOR), bytes(40 * SECTOR), b"QFI\xfb" + bytes(99999)])
def test_other_images_are_accepted(data: bytes) -> None:
    assert answer_of(FILE, data) == ("accepted", None)


def test_a_truncated_iso_is_never_accepted(iso: Callable[..., bytes]) -> None:
    complete = iso(BOOT)
    end = complete.rindex(b"a loader") + 8
    for length in [17 * SECTOR - 1, *range(17 * SECTOR, end, 1000), end - 1]:
        assert answer_of(FILE, complete[:length]) == ("incomplete", "iso-cut-off"), length
    assert answer_of(FILE, complete[:end])[0] == "accepted"


def test_a_folder_that_claims_to_be_huge_is_not_read(iso: Callable[..., bytes]) -> None:
    image = bytearray(iso(BOOT))
    image[ROOT + 10 : ROOT + 14] = b"\xff\xff\xff\xff"
    assert answer_of(FILE, bytes(image)) == ("incomplete", "iso-folder-too-large")


def test_a_folder_that_contains_itself_is_read_once(iso: Callable[..., bytes]) -> None:
    """The plugin opens as many folders as the path has."""
    image = bytearray(iso(BOOT))
    root = image[ROOT + 2 : ROOT + 6]
    at = image.index(b"\x03EFI", int.from_bytes(root, "little") * SECTOR) - 32
    image[at + 2 : at + 6] = root
    assert answer_of(FILE, bytes(image)) == ("refused", "iso-file-missing")


def record(length: int) -> bytes:
    """A directory record with a name of one character."""
    return (bytes([length]).ljust(32, b"\0") + b"\1").ljust(length, b"\0")


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(b"\1", id="shorter than its own head"),
        pytest.param(b"\x21" + bytes(40), id="without a name"),
        pytest.param(b"\x22" + bytes(31) + b"\2", id="with a name that is longer"),
        pytest.param(record(255) * 7 + record(205) + record(255), id="over the sector's end"),
    ],
)
def test_a_record_of_an_impossible_length_is_refused(iso: Callable[..., bytes], folder: bytes) -> None:
    image = bytearray(iso("README.TXT"))
    place = int.from_bytes(image[ROOT + 2 : ROOT + 6], "little") * SECTOR
    image[place : place + len(folder)] = folder
    assert answer_of(FILE, bytes(image)) == ("refused", "iso-damaged")


@given(seed=st.integers(0, 1 << 32))
def test_random_changes_always_get_an_answer(iso: Callable[..., bytes], seed: int) -> None:
    chance = random.Random(seed)
    image = bytearray(iso(BOOT))
    for _ in range(chance.randint(1, 40)):
        image[chance.randrange(16 * SECTOR, min(len(image), 40 * SECTOR))] = chance.choice([0, 1, 127, 255])
    kind, _ = answer_of(FILE, bytes(image))
    assert kind in ("accepted", "refused", "incomplete")
