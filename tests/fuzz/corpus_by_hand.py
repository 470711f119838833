"""Seeds of formats without a tool, built from the specification or from the code that reads the format."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib

from support.images import patched
from support.images.partitions import gpt_disk, mbr_disk, mbr_entry, mbr_sector
from support.images.vmdk import vmdk_text

KiB, MiB = 1 << 10, 1 << 20

PACKED = {
    "7z": bytes.fromhex("377abcaf271c0004705b6851aa86010000000000"),
    "compress": bytes.fromhex("1f9d90"),
    "lrzip": bytes.fromhex("4c525a490006a086010000000000"),
    "lzip": bytes.fromhex("4c5a49500171"),
    "lzop": bytes.fromhex("894c5a4f000d0a1a0a10404020a00940"),
    "rar": bytes.fromhex("526172211a070100"),
    "rar-4": bytes.fromhex("526172211a0700cf9073"),
}
"""How files begin that Douane does not unpack: all but rar as their programs write them."""


def images() -> dict[str, bytes]:
    """All seeds by name."""
    return {
        "raw-zero": bytes(70 * KiB),
        "raw-text": b"# an ordinary text\n" * 400,
        "mbr": logical_mbr(200 * KiB),
        "gpt": gpt_disk((40, 100), size=200 * 512),
        **file_systems(),
        "vmdk-cowd": cowd(),
        "vmdk-sesparse": sesparse(),
        "vmdk-descriptor": descriptor(),
        "luks2": luks2(),
        "bochs": bochs(),
        "cloop": cloop(),
        "dmg": dmg(),
        "aki": kernel(),
        "ewf": ewf(),
        "kernel-elf": b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + bytes(9000),
        "initramfs": initramfs(),
        "nrg": nrg(),
        "cd-sectors": (b"\0" + b"\xff" * 10 + b"\0" + b"\0\2\0\1" + bytes(2336)) * 20,
        "parallels-xml": parallels_xml(),
        **{name: begin + b"packed" * 40 for name, begin in PACKED.items()},
    }


def _at(size: int, *pieces: tuple[int, bytes]) -> bytes:
    return patched(bytes(size), *pieces)


def logical_mbr(size: int) -> bytes:
    """A boot sector with a Linux partition and an extended partition with a logical one."""
    entries = mbr_entry(0x83, 64, 100, 0x80), mbr_entry(0x05, 200, 100)
    return patched(mbr_disk(*entries, size=size, code=b"\xeb\x63\x90"), (200 * 512, mbr_sector(mbr_entry(0x83, 8, 50))))


def file_systems() -> dict[str, bytes]:
    """The checked parts of superblocks: kernel, fs/*/ and util-linux, libblkid/src/superblocks/."""
    fat = b"\xeb\x3c\x90mkfs.fat" + struct.pack("<HBHBHHBHHHII", 512, 4, 4, 2, 512, 400, 0xF8, 4, 32, 64, 0, 0)
    ntfs = b"\xeb\x52\x90NTFS    " + struct.pack("<HB", 512, 8)
    boot = (510, b"\x55\xaa")
    ext4 = struct.pack("<IIIIIIII", 64, 256, 0, 200, 50, 1, 0, 8192)
    return {
        "raw-ext4": _at(256 * KiB, (1024, ext4), (1024 + 56, b"\x53\xef\1\0\1\0")),
        "raw-xfs": _at(128 * KiB, (0, b"XFSB" + struct.pack(">IQ", 4096, 32))),
        "raw-btrfs": _at(80 * KiB, (64 * KiB + 0x40, b"_BHRfS_M")),
        "raw-fat": _at(200 * KiB, (0, fat), (54, b"FAT12   "), boot),
        "raw-ntfs": _at(128 * KiB, (0, ntfs), boot),
        "raw-swap": _at(128 * KiB, (4086, b"SWAPSPACE2")),
        "raw-lvm": _at(128 * KiB, (512, b"LABELONE" + struct.pack("<QII", 1, 0, 32) + b"LVM2 001")),
        "raw-squashfs": _at(64 * KiB, (0, b"hsqs" + struct.pack("<IIIIHH", 2, 0, 131072, 0, 1, 17))),
    }


def cowd() -> bytes:
    """qemu, block/vmdk.c, struct VMDK3Header."""
    header = struct.pack("<4sIIIIIII", b"COWD", 1, 3, 2048, 1, 4, 1, 41)
    return _at(24 * KiB, (0, header), (4 * 512, struct.pack("<I", 8)), (8 * 512, struct.pack("<4I", 40, 0, 0, 0)))


def sesparse() -> bytes:
    """qemu, block/vmdk.c, struct VMDKSESparseConstHeader and VMDKSESparseVolatileHeader."""
    places = (1, 1, 2, 1, 3, 1, 8, 1, 16, 8, 24, 1, 32, 1, 40, 8)
    const = struct.pack("<10Q", 0xCAFEBABE, 0x200000001, 2048, 8, 64, 0, 0, 0, 0, 0) + struct.pack("<16Q", *places)
    return _at(32 * KiB, (0, const), (512, struct.pack("<Q", 0xCAFECAFE)), (8 * 512, struct.pack("<Q", 1 << 60)))


def descriptor() -> bytes:
    """VMware, "Virtual Disk Format 5.0": a text that names other files."""
    extents = 'RW 2048 FLAT "disk-flat.vmdk" 0\nRW 2048 SPARSE "other.vmdk"\nRW 16 ZERO'
    text = vmdk_text(extents, "custom", **{"ddb.virtualHWVersion": "4", "ddb.geometry.cylinders": "2"})
    return text.replace(b"parentCID=ffffffff", b'parentCID=11223344\nparentFileNameHint="/parent.vmdk"')


def luks2() -> bytes:
    """LUKS2 On-Disk Format Specification 1.1.4: both binary headers, each with its JSON area."""
    area = json.dumps(
        {
            "keyslots": {
                "0": {"type": "luks2", "key_size": 64, "area": {"type": "raw", "offset": "32768", "size": "4096"}}
            },
            "tokens": {},
            "segments": {"0": {"type": "crypt", "offset": "65536", "size": "dynamic", "sector_size": 512}},
            "digests": {"0": {"type": "pbkdf2", "keyslots": ["0"], "segments": ["0"]}},
            "config": {"json_size": "12288", "keyslots_size": "32768"},
        }
    ).encode()

    def header(magic: bytes, offset: int) -> bytes:
        fields = (magic, 2, 16384, 3, b"label", b"sha256", bytes(64), b"0a0b", b"", offset, bytes(184), bytes(64))
        binary = struct.pack(">6sHQQ48s32s64s40s48sQ184s64s", *fields).ljust(4096, b"\0")
        padded_header = binary + area.ljust(12288, b"\0")
        return padded_header[:0x1C0] + hashlib.sha256(padded_header).digest() + padded_header[0x1C0 + 32 :]

    return _at(128 * KiB, (0, header(b"LUKS\xba\xbe", 0)), (16384, header(b"SKUL\xba\xbe", 16384)))


def bochs() -> bytes:
    """qemu, block/bochs.c, struct bochs_header (version 2)."""
    header = struct.pack(
        "<32s16s16sIIIIIIQ", b"Bochs Virtual HD Image", b"Redolog", b"Growing", 0x20000, 512, 4, 1, 65536, 0, 4 * 65536
    )
    return _at(140 * KiB, (0, header), (512, struct.pack("<4I", 0, 1, 0xFFFFFFFF, 0xFFFFFFFF)))


def cloop() -> bytes:
    """qemu, block/cloop.c: block size and count at 128, then offsets, then zlib blocks."""
    head = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
    blocks = [zlib.compress(bytes([value]) * 65536) for value in (0, 1, 2)]
    at = 136 + 8 * (len(blocks) + 1)
    offsets = [at + sum(map(len, blocks[:count])) for count in range(len(blocks) + 1)]
    table = struct.pack(f">II{len(offsets)}Q", 65536, len(blocks), *offsets)
    return head.ljust(128, b"\0") + table + b"".join(blocks)


def dmg() -> bytes:
    """qemu, block/dmg.c: the trailer "koly", and a property list whose "mish" blocks name chunks."""
    data = zlib.compress(bytes(range(256)) * 256)
    chunks = struct.pack(">IIQQQQ", 0x80000005, 0, 0, 128, 0, len(data)) + struct.pack(">IIQQQQ", 0, 0, 128, 64, 0, 0)
    chunks += struct.pack(">IIQQQQ", 0xFFFFFFFF, 0, 192, 0, len(data), 0)
    mish = struct.pack(">4sIQQQII24x", b"mish", 1, 0, 192, 0, 0x208, 0) + struct.pack(">II128xI", 2, 32, 3) + chunks
    import base64

    plist = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" '
        '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0">\n<dict><key>resource-fork</key><dict>'
        "<key>blkx</key><array><dict><key>Attributes</key><string>0x0050</string><key>Data</key><data>"
        f"{base64.b64encode(mish).decode()}</data><key>ID</key><string>0</string></dict></array></dict></dict></plist>\n"
    ).encode()
    koly = bytearray(512)
    struct.pack_into(">4sIIIQQQQQII", koly, 0, b"koly", 4, 512, 1, 0, 0, len(data), 0, 0, 1, 1)
    struct.pack_into(">QQ", koly, 0xD8, len(data), len(plist))
    struct.pack_into(">IQ", koly, 0x1E8, 1, 192)
    return data + plist + koly


def kernel() -> bytes:
    """Documentation/arch/x86/boot.rst: the header of a bzImage."""
    header = struct.pack("<BHIHHH", 1, 1, 1024, 0, 0xFFFF, 0)
    return _at(40 * KiB, (0, b"MZ"), (0x1F1, header), (510, b"\x55\xaa"), (514, b"HdrS\x0f\x02"))


def initramfs() -> bytes:
    """Documentation/driver-api/early-userspace/buffer-format.rst: a cpio archive of one file, and its end."""
    out = b""
    for name, data in ((b"init", b"#!/bin/sh\n"), (b"TRAILER!!!", b"")):
        fields = (1, 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
        out += header.ljust(-(-len(header) // 4) * 4, b"\0") + data.ljust(-(-len(data) // 4) * 4, b"\0")
    return out.ljust(1024, b"\0")


def nrg() -> bytes:
    """libcdio, lib/driver/image/nrg.h: the track, the chunks that describe it, and their offset."""
    track = bytes(20 * 2048)
    cues = (
        b"CUEX"
        + struct.pack(">I", 16)
        + struct.pack(">BBBxi", 0x41, 0, 0, -150)
        + struct.pack(">BBBxi", 0x41, 0xAA, 1, 20)
    )
    return (
        track + cues + b"MTYP" + struct.pack(">II", 4, 1) + b"END!" + bytes(4) + b"NER5" + struct.pack(">Q", len(track))
    )


def parallels_xml() -> bytes:
    """The DiskDescriptor.xml of a bundle, as Parallels Desktop writes it."""
    return b"""<?xml version="1.0" encoding="UTF-8"?>
<Parallels_disk_image Version="1.0">
    <Disk_Parameters><Disk_size>8192</Disk_size><Cylinders>8</Cylinders><Heads>16</Heads><Sectors>63</Sectors></Disk_Parameters>
    <StorageData><Storage><Start>0</Start><End>8192</End><Blocksize>2048</Blocksize>
        <Image><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><Type>Compressed</Type><File>disk.hds</File></Image>
    </Storage></StorageData>
    <Snapshots><Shot><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID></Shot></Snapshots>
</Parallels_disk_image>
"""


def ewf() -> bytes:
    """libewf, "Expert Witness Compression Format": one segment file of a few sections."""
    head = b"EVF\x09\x0d\x0a\xff\x00" + struct.pack("<BHH", 1, 1, 0)
    out = bytearray(head)
    volume = struct.pack("<IIIIQ", 1, 4, 64, 512, 256).ljust(94, b"\0")
    bodies = [
        (b"header", zlib.compress(b"1\nmain\nc\tn\ta\te\tt\n\n")),
        (b"volume", volume + bytes(1052 - 94 - 4)),
        (b"sectors", zlib.compress(bytes(32768))),
        (b"table", struct.pack("<I4xQ4xI", 1, 0, 0) + struct.pack("<I", 0x80000000)),
        (b"done", b""),
    ]
    for kind, body in bodies:
        size = 76 + len(body)
        following = len(out) + size if body else len(out)
        section = struct.pack("<16sQQ40x", kind, following, size)
        out += section + struct.pack("<I", zlib.adler32(section)) + body
    return bytes(out)
