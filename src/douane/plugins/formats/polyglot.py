"""Findings about the formats together: an image that can be read as two of them, and by whom as which.

Whoever checks an image as one format and uses it as another was deceived: an ISO with a qcow2 header in its system area
is an ISO to a virtual CD drive, and to ``qemu-img`` a disk with a backing file. Some pairs are normal, and pass: most
of all the hybrid ISOs of Linux distributions, which are a CD and, with a partition table, a disk.
"""

from .match import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

FIRST_OF_DISKS = ("parallels", "qed", "vdi")
"""VDI has its magic at byte 64 and can stand beside one of the others, which have theirs at 0. All claim the same
certainty, so that qemu takes the one that it asks first (bdrv_probe_all in block.c): as seen with qemu-img 7.2, these
three in this order, and then the rest."""

OPTICAL = ("iso", "udf")
TABLES = ("mbr", "gpt")
GROUPS = ("disk", "disk at the end", "other", "optical", "archive", "compressed", "content", "archive at the end")
"""What looks are, in the order in which they are told; a fixed VHD and a dmg are so by their end."""

NORMAL_WITH_CONTENT = ("content", "optical", "other", "disk at the end")
"""A disk with leftovers; a hybrid ISO; a dmg that is not compressed; a fixed VHD, which is a raw disk and a footer."""

HOLDS_A_DISK = ("disk", "archive", "compressed")

COMPRESSIONS_OF_DMG = ("bzip2", "xz", "lzma", "zip")
"""The first chunk of a dmg stands at its beginning, and is such a stream by itself."""

FREE = 64 << 10
"""Below this no VMDK has data of its guest, which begin behind 128 sectors of header and tables; those of a btrfs, that
leaves its own first 64 KiB empty, begin with the superblock, at this very place."""


def judge(matches: "list[Match]", *, ended: bool) -> "list[Finding]":  # noqa: ARG001  # no answer depends on it so far
    """What can be said about `matches` together, as they stand; after the end of the image with `ended`.

    Sorts `matches` by the precedence of tools: the format that ``qemu-img`` would open comes first, then formats known
    to other tools, then the content of a raw disk. Text that is something else as well is left out, and so is
    the end of a disk within another format: the copy of a GPT is a guest's there, even where its place is right by
    chance, as in a VHDX that is as long as its disk.
    """
    if len(matches) < 2:
        return []
    if any(match.name != "text" for match in matches):
        matches[:] = [match for match in matches if match.name != "text"]
    if any(match.at == "start" and _group(match) in HOLDS_A_DISK for match in matches):
        matches[:] = [match for match in matches if match.name not in TABLES or match.at == "start"]
    matches.sort(key=lambda match: (_rank(match), match.name not in TABLES, match.name))
    told: dict[str, list[Match]] = {}
    for number, one in enumerate(matches):
        for other in matches[number + 1 :]:
            code = _together(one, other)
            if code:
                both = told.setdefault(code, [])
                both += [match for match in (one, other) if match not in both]
    return [Finding(code, both[0].name, _text(code, both)) for code, both in told.items()]


def _rank(match: "Match") -> int:
    group = _group(match)
    if group == "disk" and match.name in FIRST_OF_DISKS:
        return FIRST_OF_DISKS.index(match.name) - len(FIRST_OF_DISKS)
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _group(match: "Match") -> str:
    if match.name in OPTICAL:
        return "optical"
    if match.kind in ("disk", "archive") and match.at == "end":
        return f"{match.kind} at the end"
    return match.kind


def _together(one: "Match", other: "Match") -> str:
    """The code for the two, of which `one` comes first; nothing if they are normal together."""
    first, second = _group(one), _group(other)
    if second == "content":
        if first in NORMAL_WITH_CONTENT:
            return ""
        if one.disk_format == "vmdk" and other.name not in TABLES and _place(other) >= FREE:
            return ""
        return "ambiguous"
    if first == second == "optical" or (one.name == "nrg" and second == "optical"):
        return ""
    if one.name == "dmg" and other.name in COMPRESSIONS_OF_DMG and other.at == "start":
        return ""
    if second == "archive at the end" and first in ("disk", "optical", "content"):
        return "trailing-data"
    return "ambiguous"


def _place(match: "Match") -> int:
    """Where that is by which a content was recognised: its reader's first note has it."""
    return (match.fields[0].offset or 0) if match.fields else 0


def _text(code: str, both: "list[Match]") -> str:
    names = " and as ".join(match.name for match in both)
    if code == "trailing-data":
        return f"it can be read as {names}: the archive stands behind what begins the image"
    if _group(both[0]) == "disk":
        return f"it can be read as {names}: qemu-img takes it for {both[0].name}, others may not"
    return f"it can be read as {names}: which one depends on who opens it"
