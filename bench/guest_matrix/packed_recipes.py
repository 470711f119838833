"""File systems that one program packs and nobody changes: squashfs, erofs, ISO 9660, UDF."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .opinions import ISO9660, JOLIET, UDF, UDF_MOUNT, UDF_OF_UNIX
from .recipe import MICROSECOND, SECOND, Recipe, by_program
from .second_kernel import by_second_kernel
from .tree import Shape

SQUASHFS = {
    **{f"{name}": f"-comp {name}" for name in ("gzip", "xz", "zstd", "lz4", "lzo")},
    "lzma": "-comp lzma",
    "lz4hc": "-comp lz4 -Xhc",
    "gzip level 1": "-comp gzip -Xcompression-level 1 -Xwindow-size 8",
    "xz with filters": "-comp xz -Xbcj x86 -Xdict-size 100%",
    "zstd level 22": "-comp zstd -Xcompression-level 22",
    "blocks of 4 KiB": "-b 4096",
    "blocks of 1 MiB": "-b 1M -comp zstd",
    "without fragments": "-no-fragments",
    "always fragments": "-always-use-fragments",
    "tail ends in fragments": "-tailends",
    "without compression": "-noI -noD -noF -noX",
    "metadata without compression": "-noI -noX",
    "data without compression": "-noD -noF",
    "without duplicates": "-no-duplicates",
    "without exports": "-no-exports",
    "without padding": "-nopad",
    "inode 2^32": "-reproducible",
}
EROFS = {
    "plain": "",
    "extended inodes": "-Eforce-inode-extended",
    "without inline data": "-Enoinline_data",
    "chunks of 4 KiB": "--chunksize=4096",
    "chunks of 64 KiB": "--chunksize=65536",
    "lz4": "-zlz4",
    "lz4hc": "-zlz4hc",
    "lz4hc level 12": "-zlz4hc,12",
    "lz4, clusters of 64 KiB": "-zlz4hc -C65536",
    "lz4, clusters of 1 MiB": "-zlz4hc -C1048576",
    "lz4, legacy indexes": "-zlz4 -Elegacy-compress",
    "lz4, tails packed": "-zlz4hc -Eztailpacking",
    "lz4, fragments": "-zlz4hc -Efragments",
    "lz4, tails and fragments, clusters of 64 KiB": "-zlz4hc -C65536 -Efragments,ztailpacking",
    "lz4, short extents": "-zlz4hc --max-extent-bytes=16384",
    "lzma": "-zlzma",
}
DISC = Shape(hole=300_000, extents=300, folder=1000, longest_link=155, longest_name=253)
GENISOIMAGE = ("genisoimage", "-quiet", "-no-pad", "-D")
LATIN = ("-input-charset", "iso8859-1", "-output-charset", "iso8859-1")
XORRISO = ("xorriso", "-as", "mkisofs", "-quiet")
DISCS = {
    "Rock Ridge, by genisoimage": (*GENISOIMAGE, "-R", *LATIN),
    "Rock Ridge and Joliet, by genisoimage": (*GENISOIMAGE, "-R", "-J", "-joliet-long", "-input-charset", "iso8859-1"),
    "Rock Ridge": (*XORRISO, "-R"),
    "Rock Ridge and Joliet": (*XORRISO, "-R", "-J", "-joliet-long"),
    "Rock Ridge, level 4": (*XORRISO, "-R", "-iso-level", "4"),
    "Rock Ridge, level 3, with a partition": (*XORRISO, "-R", "-iso-level", "3", "-partition_offset", "16"),
}
UDF_VERSIONS = ("0x0102", "0x0150", "0x0200", "0x0201")
"""Those that Linux writes; mkudffs makes 2.50 and 2.60 as well, and tests put files into them."""
TEXT = Shape(unix=False, hole=300_000, extents=300, folder=1000, longest_name=60, wide=False)
UDF_TREE = TEXT._replace(longest_name=120)
OF_UNIX = frozenset({"mode", "uid", "gid", "xattrs", "same_as"})


def recipes() -> Iterator[Recipe]:
    """All of them."""
    for name, options in SQUASHFS.items():
        build = by_program("mksquashfs", "TREE", "IMAGE", "-quiet", "-no-progress", "-noappend", *options.split())
        lacks = frozenset({"access lists"})
        is_unread = name == "lzma"  # which Linux never read
        yield Recipe(
            f"squashfs {name}",
            "squashfs",
            build,
            mount=("squashfs", ""),
            step_ns=SECOND,
            lacks=lacks,
            is_unread=is_unread,
        )
    for name, options in EROFS.items():
        build = by_program("mkfs.erofs", "--quiet", *options.split(), "IMAGE", "TREE")
        lacks = frozenset({"mtime_ns"}) if "compact" in name else frozenset()
        yield Recipe(f"erofs {name}", "erofs", build, Shape(longest_name=150), mount=("erofs", ""), lacks=lacks)
    for name, command in DISCS.items():
        yield Recipe(
            f"iso9660 {name}",
            "iso9660",
            by_program(*command, "-o", "IMAGE", "TREE"),
            DISC,
            lacks=frozenset({"xattrs", "same_as"}),
            step_ns=SECOND,
            drop=(b"rr_moved",),
            change=_single_slashes,
            volume="disk iso9660" if "with a partition" in name else "",  # which shows the same files
            keeps=lambda path, fact: path != b"block",  # the field has 32 bits, which the kernel splits at the 8th
            opinions=(ISO9660,),
        )
    yield Recipe(
        "iso9660 Joliet alone",
        "iso9660",
        by_program(*XORRISO, "--norock", "-J", "-joliet-long", "-o", "IMAGE", "TREE"),
        TEXT,
        lacks=OF_UNIX,
        step_ns=SECOND,
        opinions=(JOLIET,),
    )
    yield Recipe(
        "udf 1.02, bridge, by genisoimage",
        "udf",
        by_program(*GENISOIMAGE, "-udf", "-R", "-J", "-joliet-long", "-input-charset", "utf-8", "-o", "IMAGE", "TREE"),
        TEXT,
        lacks=OF_UNIX,
        step_ns=SECOND,
        volume="udf",
        opinions=(UDF,),
    )
    for version in UDF_VERSIONS:
        make = ("mkudffs", "--utf8", "--media-type=hd", "--blocksize=512", f"--udfrev={version}")
        yield Recipe(
            f"udf {version}, filled by the second kernel",
            "udf",
            by_second_kernel(UDF_MOUNT, *make, size=64),
            UDF_TREE,
            step_ns=MICROSECOND,
            lacks=frozenset({"xattrs"}),
            opinions=(UDF_OF_UNIX,),
        )


def _single_slashes(target: bytes) -> bytes:
    return re.sub(rb"//+", b"/", target).rstrip(b"/") or b"/"
