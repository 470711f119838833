"""The format inspector and the transforms never disagree on what a file is."""

from __future__ import annotations

import struct
import tarfile
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from douane.plugins._byte_reader import ByteReader
from douane.plugins._image_format import ImageFormat
from douane.plugins.convert.arrival import Arrival
from douane.plugins.decompress.layers import LAYERS, next_layer
from douane.plugins.formats.codes import CODES, REFUSE
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.lzma import Lzma
from douane.plugins.formats.match import Match
from douane.plugins.formats.qcow2_map import map_of
from douane.plugins.formats.requests import HEAD_BYTES
from douane.plugins.formats.vmdk import SPARSE
from douane.plugins.formats.vmdk_grains import is_streamable
from douane_guest.headers.qcow2 import V3_BYTES
from douane_guest.headers.vmdk import VmdkHeader
from douane_plugin import Image, Reject
from support.examination import codes, examine
from support.images import ova, patched, qcow2
from support.images.compression import PACKERS, SKIPPABLE
from support.images.iso import iso
from support.images.partitions import mbr_disk, mbr_entry
from support.images.tar import tar
from support.images.vmdk import stream, vmdk_text
from support.images.zip import STORED, zipped
from support.plugin_runs import ChunkSource, TransformReport, cut, decompress_code, decompressed, extracted

DATA = b"the beginning of a disk, " * 40 + bytes(1000)
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
UNDECODABLE_LZMA = b"\x5d\x00\x00\x80\x00" + b"\xff" * 8 + b"\x00" + b"\xff" * 4 + bytes(1 << 20)


def skippable(length: int) -> bytes:
    """A skippable frame of `length` bytes without its header."""
    return b"\x5a\x2a\x4d\x18" + struct.pack("<I", length) + bytes(length)


def late_descriptor(size: int) -> bytes:
    """An appliance whose descriptor stands behind a file of `size` bytes."""
    return tar(("notes.txt", bytes(size)), ("vm.ovf", ova.ovf()), ("disk.vmdk", DATA))


SEEDS: dict[str, bytes] = {
    **{name: pack(DATA) for name, pack in PACKERS.items()},
    "gzip with a name": b"\x1f\x8b\x08\x1e" + bytes(6) + b"\4\0abcddisk\0comment\0\0\0" + PACKERS["gzip"](DATA)[10:],
    "stored zip": zipped(("disk.img", DATA), method=STORED),
    "streamed zip": zipped(("disk.img", DATA), streamed=True),
    "lzma zip": zipped(("disk.img", DATA), method=zipfile.ZIP_LZMA),
    "empty zip": EMPTY_ZIP,
    "split zip": b"PK\x07\x08" + zipped(("disk.img", DATA)),
    "legacy lz4": b"\x02\x21\x4c\x18" + bytes(20),
    "old zstd": b"\x25\xb5\x2f\xfd" + bytes(20),
    "undecodable lzma": UNDECODABLE_LZMA[:600],
    "skippable frame": SKIPPABLE,
    "zstd behind a frame": SKIPPABLE + PACKERS["zstd"](DATA),
    "lz4 behind frames": SKIPPABLE * 3 + PACKERS["lz4"](DATA),
    "OVA": ova.ova(),
    "OVA of pax": ova.ova(format=tarfile.PAX_FORMAT),
    "OVA with a late descriptor": late_descriptor(100_000),
    "tar": tar(("disk.raw", DATA)),
    "tar of GNU": tar(("n" * 150, DATA), format=tarfile.GNU_FORMAT),
    "OVF": ova.ovf(),
    "OVF of UTF-16": ova.ovf().decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "stream-optimized VMDK": stream(),
    "plain qcow2": qcow2.handmade([4 * 512], {4: [5 * 512, 6 * 512]}, 7),
    "VMDK text": vmdk_text('RW 20480 FLAT "x.vmdk" 0'),
    "ISO": iso(),
    "MBR": mbr_disk(mbr_entry(0x83, 9, 9), size=80_000),
    "zeros": bytes(600),
}
MAGICS = (
    b"\x1f\x8b\x08\0",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh91AY&SY",
    b"\x04\x22\x4d\x18",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"QFI\xfb\0\0\0\3",
    b"KDMV",
    b"ustar\0",
    b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0",
    b"<Envelope>",
    *(bytes([value]) * 4 for value in (0, 0xFF)),
)
PLACES = st.one_of(
    st.just(0),
    st.integers(0, 40),
    st.sampled_from([64, 124, 148, 156, 257, 263, 345, 510, 512, 1024, 32769, HEAD_BYTES - 8, HEAD_BYTES]),
    st.integers(0, 3000),
)
PATCHES = st.lists(st.tuples(PLACES, st.one_of(st.sampled_from(MAGICS), st.binary(min_size=1, max_size=6))), max_size=5)
PREFIXES = st.one_of(
    st.just(b""),
    st.sampled_from([0, 5, HEAD_BYTES - 16, HEAD_BYTES - 12, HEAD_BYTES - 8, HEAD_BYTES - 4, HEAD_BYTES, 200_000]).map(
        skippable
    ),
)
CUTS = st.lists(st.one_of(st.integers(0, 600), st.integers(HEAD_BYTES - 600, HEAD_BYTES + 600)), max_size=8)


def mutant(seed: str, prefix: bytes, patches: Sequence[tuple[int, bytes]], length: int | None) -> bytes:
    """The image of that name behind `before`, with other bytes at some offsets, cut to `length`."""
    image = prefix + SEEDS[seed]
    fitting = [(at, data) for at, data in patches if at + len(data) <= len(image)]
    return patched(image, *fitting)[:length]


def at_start(examination: Examination) -> dict[str, Match]:
    """The formats that an image begins as."""
    return {match.name: match for match in examination.matches if match.at == "start"}


def is_refused(examination: Examination) -> bool:
    """True if the inspector has a finding that refuses the image, or leaves it undecided."""
    return any(CODES[code][0] == REFUSE for code in codes(examination))


def check_decompress(image: bytes, chunks: list[bytes], examination: Examination) -> None:
    """`decompress` unpacks what the inspector calls compressed, and nothing else."""
    names = {layer.name for layer in LAYERS}
    expected = next((match for match in at_start(examination).values() if match.name in names), None)
    unpacked = decompressed(chunks)
    assert unpacked.is_unchanged == (expected is None)
    if expected is None:
        return
    try:
        layer = next_layer(ByteReader(chunks))
    except Reject as refusal:
        # A transform follows skippable frames for 1 MiB only.
        assert refusal.code == "compressed-unsupported" or is_refused(examination)
    else:
        assert layer is not None
        assert layer.name == expected.name
    if unpacked.properties:
        assert unpacked.properties["compression"] == expected.name
    window = next((field.value for field in expected.fields if field.name == "window"), None)
    if isinstance(window, int) and 1 < window < 1 << 61 and expected.name != "xz" and not is_refused(examination):
        legacy = expected.variant == "legacy"
        code = "compressed-unsupported" if legacy else "compressed-window"
        assert decompress_code(chunks, max_window=window - 1) == code
        assert decompress_code(chunks, max_window=window) != "compressed-window"


def check_ova(chunks: list[bytes], examination: Examination) -> None:
    """`ova` takes the disk out of what the inspector calls an OVA, and out of nothing else."""
    formats = at_start(examination)
    extraction = extracted(chunks)
    if "ova" not in formats and "tar" not in formats:
        assert extraction.code == ("ova-descriptor-alone" if "ovf" in formats else None)
        assert extraction.is_unchanged == ("ovf" not in formats)
        declared = extracted(chunks, {"container_format": "ova"})
        assert declared.code == ("ova-descriptor-alone" if "ovf" in formats else "ova-archive")
    elif extraction.is_unchanged:
        # A descriptor behind the first megabyte comes too late for a transform; the inspector warns of its place.
        assert "ova" not in formats or "odd" in codes(examination) or is_refused(examination)
    elif extraction.code is None:
        assert "ova" in formats
    else:
        assert "ova" in formats or is_refused(examination)
    if extraction.formats:
        assert "ova" in formats


def check_convert(image: bytes, chunks: list[bytes], examination: Examination, size: int | None) -> None:
    """`convert` reads an image as the format that the inspector says, with a disk of the same size."""
    arrival = Arrival(Image({"size": size}, ChunkSource(chunks), transforms=TransformReport()))
    for _ in arrival:
        pass
    match = ImageFormat(examination).match
    disk_format = ImageFormat(examination).disk_format
    assert arrival.disk_format == (disk_format if match is None or match.kind in ("disk", "content") else None)
    plain = map_of(image[:V3_BYTES])
    if plain is not None:
        form = at_start(examination)["qcow2"]
        assert form.virtual_size == plain.size // 512 * 512
        assert not {"backing-file", "encrypted", "version"} & {finding.code for finding in form.findings}
    if image.startswith(SPARSE) and len(image) >= 512 and is_streamable(header := VmdkHeader(image)):
        vmdk = at_start(examination)["vmdk"]
        assert vmdk.variant == "streamOptimized"
        assert vmdk.virtual_size == header.disk_bytes or is_refused(examination)


def check(image: bytes, cuts: Sequence[int], *, size_known: bool) -> None:
    chunks = cut(image, cuts)
    examination = examine(image, size_known=size_known)
    check_decompress(image, chunks, examination)
    check_ova(chunks, examination)
    check_convert(image, chunks, examination, len(image) if size_known else None)
    if "tar" in at_start(examination) and any(layer.name in at_start(examination) for layer in LAYERS):
        assert "ambiguous" in codes(examination)


@pytest.mark.parametrize("seed", SEEDS)
def test_inspector_and_transforms_agree_on_each_sample(seed: str) -> None:
    check(SEEDS[seed], [], size_known=True)
    check(SEEDS[seed], range(0, len(SEEDS[seed]), 997), size_known=False)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        pytest.param(UNDECODABLE_LZMA, "lzma", id="a stream that cannot be decoded"),
        pytest.param(EMPTY_ZIP, "zip", id="an empty zip"),
        pytest.param(EMPTY_ZIP[:4] + b"\1\0" * 9, "zip", id="an empty zip of several parts"),
        pytest.param(SKIPPABLE, "zstd", id="a skippable frame alone"),
        pytest.param(skippable(200_000) + bytes(600), "zstd", id="a long skippable frame before zeros"),
        pytest.param(skippable(HEAD_BYTES - 14) + SKIPPABLE + PACKERS["lz4"](DATA), "lz4", id="a frame that is cut"),
    ],
)
def test_inspector_and_transforms_agree_where_they_differed_before(image: bytes, name: str) -> None:
    examination = examine(image)
    assert ImageFormat(examination).name == name
    assert decompressed(image).code is not None or not is_refused(examination)
    check(image, [], size_known=True)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(sorted(SEEDS)),
    prefix=PREFIXES,
    patches=PATCHES,
    length=st.one_of(st.none(), st.integers(0, 2000)),
    cuts=CUTS,
    size_known=st.booleans(),
)
@example(seed="OVA", prefix=b"", patches=[(0, MAGICS[0])], length=None, cuts=[], size_known=True)
def test_inspector_and_transforms_agree_on_mutants(
    seed: str,
    prefix: bytes,
    patches: list[tuple[int, bytes]],
    length: int | None,
    cuts: list[int],
    size_known: bool,
) -> None:
    check(mutant(seed, prefix, patches, length), cuts, size_known=size_known)


class OwnLzma(Lzma):
    """The recognition that `format` had and `decompress` had not."""

    def begins(self, head: bytes) -> bool:
        return super().begins(head) and head[14:18] != b"\xff\xff\xff\xff"


def test_a_second_recognition_in_the_transform_fails_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [OwnLzma() if layer.name == "lzma" else layer for layer in LAYERS]
    monkeypatch.setattr("douane.plugins.decompress.layers.LAYERS", layers)
    with pytest.raises(AssertionError):
        check(UNDECODABLE_LZMA, [], size_known=True)
    with pytest.raises(AssertionError):
        test_inspector_and_transforms_agree_on_each_sample("undecodable lzma")


def test_a_descriptor_after_the_first_mebibyte_gives_a_warning() -> None:
    """The transform has to decide before it: it passes such an archive on, and `ova-any-order` takes it."""
    image = late_descriptor(2 << 20)
    examination = examine(image)
    assert (ImageFormat(examination).name, codes(examination)) == ("ova", {"odd"})
    assert extracted(image).is_unchanged
    assert extracted(image, any_order=True).data == DATA
