"""ext2, ext3 and ext4: every feature that mke2fs of e2fsprogs 1.47 offers (ext4(5), mke2fs(8))."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from douane_guest.filesystems.base import SOCKET

from .opinions import EXT4
from .recipe import SECOND, Recipe, by_kernel, by_program
from .second_kernel import Mount, by_second_kernel
from .tree import Shape

SIZE = 256
BLOCKS_OF_1024 = Shape(longest_link=1000)
"""Its longest link is one block."""
FEATURES = (
    *(
        "64bit",
        "^64bit",
        "bigalloc",
        "^dir_index",
        "ea_inode",
        "encrypt",
        "^ext_attr",
        "^extent,^64bit",
        "^extra_isize",
    ),
    *("fast_commit", "^filetype", "^flex_bg", "^has_journal", "^huge_file", "inline_data", "large_dir", "^large_file"),
    *("^metadata_csum", "metadata_csum_seed", "mmp", "orphan_file", "project,quota", "quota", "^resize_inode"),
    *(
        "meta_bg,^resize_inode",
        "^sparse_super,^resize_inode",
        "sparse_super2",
        "stable_inodes",
        "^metadata_csum,uninit_bg",
        "verity",
    ),
    *("casefold", "^dir_nlink", "inline_data,bigalloc,ea_inode,orphan_file,metadata_csum_seed,large_dir"),
)
OPTIONS = {
    "blocks of 1024": "-b 1024",
    "blocks of 2048": "-b 2048",
    "inodes of 128": "-I 128",
    "inodes of 512": "-I 512",
    "inodes of 1024 with data": "-I 1024 -O inline_data",
    "clusters of 64 KiB": "-O bigalloc -C 65536",
    "packed metadata": "-E packed_meta_blocks=1",
    "hashes tea": "-E hash_seed=01234567-89ab-cdef-0123-456789abcdef",
    "largefile4": "-T largefile4 -b 4096",
    "groups of 2048": "-g 2048 -O meta_bg,^resize_inode",
    "not initialized": "-E lazy_itable_init=1,lazy_journal_init=1",
}


BY_MKE2FS = (
    *("ext2", "ext3", "ext4", "of 1024", "inodes of 128", "bigalloc", "^extent,", "^filetype", "inline_data"),
    *("casefold", "quota"),
)
"""What is packed by mke2fs as well, which writes other structures than the kernel; a part of the features is enough."""
QUOTA = frozenset({"-O quota", "-O project,quota"})
"""What the machine's kernel may not mount; the second one does."""
CASEFOLD = "-O casefold"
"""What neither kernel mounts: mke2fs fills it, and the packed tree is the truth."""
INLINE_HOLES = (b"extents", b"hole", b"hole at end")
"""mke2fs 1.47.0 ends such a file with its last data if it makes inline files; what the kernel shows is compared."""


def recipes() -> Iterator[Recipe]:
    """Filled by the kernel, and some of them by mke2fs."""
    variants: list[tuple[str, str, tuple[str, ...]]] = [(kind, "", ("-t", kind)) for kind in ("ext2", "ext3", "ext4")]
    variants.append(("ext2", "blocks of 1024, inodes of 128", ("-t", "ext2", "-b", "1024", "-I", "128")))
    variants.append(("ext3", "blocks of 1024", ("-t", "ext3", "-b", "1024")))
    variants += [("ext4", f"-O {feature}", ("-t", "ext4", "-O", feature)) for feature in FEATURES]
    variants += [("ext4", name, ("-t", "ext4", *options.split())) for name, options in OPTIONS.items()]
    for kind, name, options in variants:
        if name in QUOTA:
            yield _by_second_kernel(kind, name, options)
        elif name != CASEFOLD:
            yield _by_kernel(kind, name, options)
        title = f"{kind} {name}".strip()
        if title in BY_MKE2FS or any(word in name for word in BY_MKE2FS[3:]):
            yield _by_mke2fs(kind, name, options)
    for mount in ("data=journal", "nodelalloc"):
        yield _by_kernel("ext4", f"mounted with {mount}", ("-t", "ext4"), mount)


def _by_kernel(kind: str, name: str, options: tuple[str, ...], mount: str = "") -> Recipe:
    step = SECOND if "128" in options else 1
    make = ("mke2fs", "-q", "-F", "-N", "20000", *_with_block_size(options))
    build = by_kernel("ext4", mount, *make, size=_size(options))
    return Recipe(f"{kind} {name}".strip(), kind, build, _shape(options), mount=("ext4", ""), step_ns=step)


def _by_second_kernel(kind: str, name: str, options: tuple[str, ...]) -> Recipe:
    build = by_second_kernel(Mount("ext4"), "mke2fs", "-q", "-F", "-N", "20000", "-b", "4096", *options, size=SIZE)
    title = f"{kind} {name}, filled by the second kernel"
    return Recipe(title, kind, build, opinions=(EXT4,), keeps=lambda path, fact: fact.kind != SOCKET)


def _by_mke2fs(kind: str, name: str, options: tuple[str, ...]) -> Recipe:
    size = _size(options)
    make = ("mke2fs", "-q", "-F", *_with_block_size(options), "-d", "TREE", "IMAGE", f"{size}M")
    return Recipe(
        f"{kind} {name}".strip() + ", filled by mke2fs",
        kind,
        by_program(*make, size=size),
        _shape(options),
        mount=("ext4", ""),
        step_ns=SECOND,
        keeps=lambda path, fact: "inline_data" not in " ".join(options) or path not in INLINE_HOLES,
    )


def _with_block_size(options: tuple[str, ...]) -> tuple[str, ...]:
    """mke2fs would choose 1,024 bytes for a file system as small as this."""
    return options if "-b" in options else ("-b", "4096", *options)


def _shape(options: tuple[str, ...]) -> Shape:
    return BLOCKS_OF_1024 if ("-b", "1024") in pairwise(options) else Shape()


def _size(options: tuple[str, ...]) -> int:
    """Clusters of 64 KiB need more."""
    return SIZE * 2 if "bigalloc" in " ".join(options) else SIZE
