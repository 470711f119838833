"""Seeds of qemu-img, and variants with single fields changed as other tools set them."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path

KiB, MiB = 1 << 10, 1 << 20

PLAIN = {  # name: format, options, size of the disk
    "qcow": ("qcow", "", 4 * MiB),
    "qcow2-v2": ("qcow2", "compat=0.10,cluster_size=512", MiB),
    "qcow2-v3": ("qcow2", "cluster_size=4k", 4 * MiB),
    "qcow2-64k": ("qcow2", "", 10 * MiB),
    "qcow2-lazy": ("qcow2", "lazy_refcounts=on,cluster_size=512", MiB),
    "qcow2-extended-l2": ("qcow2", "extended_l2=on,cluster_size=16k", 4 * MiB),
    "qcow2-zstd": ("qcow2", "compression_type=zstd,cluster_size=4k", MiB),
    "qcow2-refcount-1": ("qcow2", "refcount_bits=1,cluster_size=512", MiB),
    "qed": ("qed", "cluster_size=4096,table_size=2", 4 * MiB),
    "vdi": ("vdi", "", 4 * MiB),
    "vdi-static": ("vdi", "static=on", MiB),
    "vhd-fixed": ("vpc", "subformat=fixed,force_size=on", 256 * KiB),
    "vhd-dynamic": ("vpc", "subformat=dynamic,force_size=on", 4 * MiB),
    "vhdx": ("vhdx", "block_size=1M", 4 * MiB),
    "vmdk-sparse": ("vmdk", "subformat=monolithicSparse", 4 * MiB),
    "vmdk-stream": ("vmdk", "subformat=streamOptimized", 4 * MiB),
    "vmdk-flat-descriptor": ("vmdk", "subformat=monolithicFlat", MiB),
    "vmdk-split-descriptor": ("vmdk", "subformat=twoGbMaxExtentSparse", MiB),
    "parallels": ("parallels", "cluster_size=64k", 4 * MiB),
}


def images() -> dict[str, bytes]:
    """All seeds by name."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        seeds = {name: _create(folder, name, *how) for name, how in PLAIN.items()}
        seeds |= {name: _convert(folder, name, *PLAIN[name][:2]) for name in ("vmdk-stream", "qcow2-v3", "vdi", "qed")}
        seeds["vmdk-extent"] = (folder / "vmdk-split-descriptor-s001.vmdk").read_bytes()
        seeds |= _with_others(folder)
        seeds["luks1"] = _luks(folder)
        seeds["qcow2-snapshots"] = _snapshots(folder)
    return seeds | _changed(seeds)


def _qemu_img(folder: Path, *words: str) -> None:
    subprocess.run(["qemu-img", *words], check=True, cwd=folder, stdout=subprocess.DEVNULL)


def _create(folder: Path, name: str, kind: str, options: str, size: int) -> bytes:
    file = f"{name}.vmdk" if kind == "vmdk" else name
    _qemu_img(folder, "create", "-q", "-f", kind, *(["-o", options] if options else []), file, str(size))
    return (folder / file).read_bytes()


def _convert(folder: Path, name: str, kind: str, options: str) -> bytes:
    """The same format with data, so that its tables have entries."""
    raw = bytearray(MiB)
    for at in (0, 70 * KiB, 512 * KiB, MiB - 512):
        raw[at : at + 512] = bytes(range(256)) * 2
    (folder / "raw").write_bytes(raw)
    compressed = ["-c"] if name == "qcow2-v3" else []
    words = ["-f", "raw", "-O", kind, *compressed, *(["-o", options] if options else []), "raw", f"{name}.full"]
    _qemu_img(folder, "convert", *words)
    return (folder / f"{name}.full").read_bytes()


def _with_others(folder: Path) -> dict[str, bytes]:
    (folder / "base").write_bytes(bytes(MiB))
    backing = ["-b", "base", "-F", "raw"]
    images = {}
    for kind, options in (("qcow2", "cluster_size=512"), ("qed", "cluster_size=4096,table_size=2"), ("vmdk", "")):
        if kind == "vmdk":
            _qemu_img(folder, "create", "-q", "-f", kind, "base.vmdk", "1M")
            backing = ["-b", "base.vmdk", "-F", "vmdk"]
        _qemu_img(folder, "create", "-q", "-f", kind, *(["-o", options] if options else []), *backing, f"over.{kind}")
        images[f"{kind}-backing"] = (folder / f"over.{kind}").read_bytes()
    _qemu_img(folder, "create", "-q", "-f", "qcow2", "-o", "data_file=data,cluster_size=4k", "own.qcow2", "1M")
    images["qcow2-data-file"] = (folder / "own.qcow2").read_bytes()
    return images


def _luks(folder: Path) -> bytes:
    secret = ["--object", "secret,id=s,data=example"]
    _qemu_img(folder, "create", "-q", "-f", "luks", *secret, "-o", "key-secret=s,iter-time=10", "l", "1M")
    data = (folder / "l").read_bytes()
    return data[: 4 * KiB] + bytes(len(data) - 4 * KiB)  # the key material is noise that no reader looks at


def _snapshots(folder: Path) -> bytes:
    _qemu_img(folder, "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", "s", "256k")
    for name in ("first", "second"):
        _qemu_img(folder, "snapshot", "-c", name, "s")
    _qemu_img(folder, "bitmap", "--add", "-g", "65536", "s", "b0")
    return (folder / "s").read_bytes()


def _changed(images: dict[str, bytes]) -> dict[str, bytes]:
    differencing = bytearray(images["vdi"])
    struct.pack_into("<I", differencing, 0x4C, 4)  # image type: differencing
    return {
        "vdi-differencing": bytes(differencing),
        "vhd-differencing": _vhd_differencing(images["vhd-dynamic"]),
        "vhdx-differencing": _vhdx_differencing(images["vhdx"]),
        "qcow2-and-vhd-footer": images["qcow2-v2"] + images["vhd-fixed"][-512:],
    }


def _vhd_differencing(dynamic: bytes) -> bytes:
    """Disk type 4, with name and locator of a parent ("Virtual Hard Disk Image Format Specification", 2006)."""
    image = bytearray(dynamic)
    for at in (0, len(image) - 512):
        struct.pack_into(">I", image, at + 60, 4)
        image[at + 64 : at + 68] = bytes(4)
        struct.pack_into(">I", image, at + 64, ~sum(image[at : at + 512]) & 0xFFFFFFFF)
    header = struct.unpack_from(">Q", image, 16)[0]
    name = "parent.vhd".encode("utf-16-be")
    image[header + 64 : header + 64 + len(name)] = name
    struct.pack_into(">4sIII Q", image, header + 576, b"W2ku", 512, len(name), 0, 4096)
    image[header + 36 : header + 40] = bytes(4)
    struct.pack_into(">I", image, header + 36, ~sum(image[header : header + 1024]) & 0xFFFFFFFF)
    return bytes(image)


def _vhdx_differencing(dynamic: bytes) -> bytes:
    """A further metadata entry, the parent locator, and the bit HasParent (MS-VHDX 2.6.2)."""
    image = bytearray(dynamic)
    table = image.index(b"metadata")
    count = struct.unpack_from("<H", image, table + 10)[0]
    locator = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c")
    struct.pack_into("<16sIII4x", image, table + 32 + 32 * count, locator, 0x20000, 512, 4)
    struct.pack_into("<H", image, table + 10, count + 1)
    parameters = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
    at = image.index(parameters, table)
    image[table + struct.unpack_from("<I", image, at + 16)[0] + 4] |= 2
    key, value = "relative_path".encode("utf-16-le"), "parent.vhdx".encode("utf-16-le")
    kind = bytes.fromhex("b7ef4ab09ed1814ab78925b8e9445913")
    entry = struct.pack("<IIHH", 32, 32 + len(key), len(key), len(value))
    text = kind + struct.pack("<HH", 0, 1) + entry + key + value
    image[table + 0x20000 : table + 0x20000 + len(text)] = text
    return bytes(image)
