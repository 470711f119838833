"""What each tool may say of an image of which the manifest says what it is.

A tool is asked only for formats of which it has a notion, and is believed with its own names for them:

- oslo.utils calls every disk with a boot sector's signature ``gpt``, ``mbr`` being none of its names; qcow's first
  version is ``qcow2`` and all of VMDK's kinds but COWD are ``vmdk`` to it.
- qemu-img opens an optical disc, and a disk with a partition table or a file system, as ``raw``; that is right there.
  Of LUKS it knows the first version.
- Of a compressed image ``gz(raw)`` the outer format alone counts.
"""

from __future__ import annotations

RAW_LIKE = ("raw", "mbr", "gpt", "text", "parallels-xml", "nrg")
"""True formats of which nothing but bytes can be made: `text` and the like have no reader anywhere."""

OURS: dict[str, tuple[str, ...]] = {
    "raw": ("raw", "text"),
    "gz": ("gzip", "gz"),
    "zst": ("zstd", "zst"),
    "bz2": ("bzip2", "bz2"),
    "luks2": ("luks2", "luks"),
    "luks": ("luks1", "luks2", "luks"),
    "udf": ("udf", "iso"),
    "tar-corrupt": ("tar-corrupt", "ova", "tar"),
    "ova": ("ova", "tar"),
    "vmdk": ("vmdk", "vmdk-sparse", "vmdk-stream"),
    "vmdk-extent": ("vmdk-extent", "vmdk"),
    "vhd": ("vhd", "vpc"),
    "qcow": ("qcow", "qcow1"),
}
OSLO: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("raw", "text", "parallels-xml", "nrg"), ("raw", "gpt")),
    **dict.fromkeys(("mbr", "gpt"), ("gpt",)),
    **dict.fromkeys(("vmdk", "vmdk-descriptor", "vmdk-extent"), ("vmdk",)),
    **dict.fromkeys(("qcow", "qcow2"), ("qcow2",)),
    **dict.fromkeys(("luks", "luks2"), ("luks",)),
    **{name: (name,) for name in ("vhd", "vhdx", "vdi", "qed", "iso")},
}
QEMU: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*RAW_LIKE, "iso", "udf"), ("raw",)),
    **dict.fromkeys(("vmdk", "vmdk-descriptor", "vmdk-extent", "vmdk-cowd"), ("vmdk",)),
    "luks": ("luks",),
    **{name: (name,) for name in ("qcow", "qcow2", "vhdx", "vdi", "qed", "parallels", "dmg")},
    "vhd": ("vpc",),
}


def outer(true_format: str) -> str:
    """``gz(raw)`` is ``gz``; of ``raw|vhd`` any is true, and the first stands for them."""
    return true_format.partition("(")[0].partition("|")[0]


def right(tool: str, true_format: str, told: str) -> bool | None:
    """True if `told` is right for it, None if the tool has no notion of that format.

    A tool that finds a file to be two formats tells both, ``qcow2+iso``: that is right if one of them is.
    """
    if "+" in told:
        each = [right(tool, true_format, one) for one in told.split("+")]
        return each[0] if each[0] is None else any(each)
    names = [outer(one) for one in true_format.split("|")]
    if tool == "douane":
        return any(told in _ours(name) for name in names)
    known: dict[str, tuple[str, ...]] = {"oslo": OSLO, "qemu": QEMU}[tool]
    accepted = [told in known[name] for name in names if name in known]
    return any(accepted) if accepted else None


def _ours(name: str) -> tuple[str, ...]:
    if name in ("text", "parallels-xml", "nrg"):
        return ("raw", "mbr", "gpt", name)
    return OURS.get(name, (name,))
