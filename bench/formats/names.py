"""The names that each tool may give an image of a known format.

A tool is judged only on formats that it knows, by its own names for them:

- oslo.utils calls every disk with the signature of a boot sector ``gpt``, as it has no name ``mbr``; version 1 of qcow
  is ``qcow2``, and all kinds of VMDK except COWD are ``vmdk``.
- qemu-img opens an optical disc, and a disk with a partition table or a file system, as ``raw``, which is right. It
  knows version 1 of LUKS.
- Only the outer format of a compressed image ``gz(raw)`` counts.
"""

from __future__ import annotations

RAW_LIKE = ("raw", "mbr", "gpt", "text", "parallels-xml", "nrg")
"""True formats that are nothing but bytes to every tool."""

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
    """``gz`` for ``gz(raw)``; the first of ``raw|vhd``, which are all true."""
    return true_format.partition("(")[0].partition("|")[0]


def is_right(tool: str, true_format: str, answer: str) -> bool | None:
    """True if `answer` is a right name for `true_format`, None if the tool does not know that format.

    An answer of two formats, ``qcow2+iso``, is right if either is.
    """
    if "+" in answer:
        results = [is_right(tool, true_format, name) for name in answer.split("+")]
        return results[0] if results[0] is None else any(results)
    names = [outer(part) for part in true_format.split("|")]
    if tool == "douane":
        return any(answer in _ours(name) for name in names)
    names_of: dict[str, tuple[str, ...]] = {"oslo": OSLO, "qemu": QEMU}[tool]
    accepted = [answer in names_of[name] for name in names if name in names_of]
    return any(accepted) if accepted else None


def _ours(name: str) -> tuple[str, ...]:
    if name in ("text", "parallels-xml", "nrg"):
        return ("raw", "mbr", "gpt", name)
    return OURS.get(name, (name,))
