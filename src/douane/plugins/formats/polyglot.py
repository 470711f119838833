"""Findings about several formats together: an image that tools can read as more than one format.

An image that is checked as one format and used as another deceives the checker: an ISO with a qcow2 header in its
system area is an ISO to a virtual CD drive, and a disk with a backing file to ``qemu-img``. Some pairs are normal and
pass, above all the hybrid ISOs of Linux distributions, which are a CD and, with a partition table, a disk. What is
content of a container is no format of the image: see `containment`.
"""

from .groups import group_of
from .match import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match

FIRST_OF_DISKS = ("parallels", "qed", "vdi")
"""The precedence of formats that can share an image: VDI has its magic at byte 64, the others at 0. They claim the same
certainty, so that qemu takes the format that it probes first (bdrv_probe_all in block.c): with qemu-img 7.2 these
three in this order, then the rest."""

TABLES = ("mbr", "gpt")
GROUPS = ("disk", "disk at the end", "other", "optical", "archive", "compressed", "content", "archive at the end")
"""The groups of matches by precedence."""

NORMAL_WITH_CONTENT = ("content", "optical", "other", "disk at the end")
"""Groups that raw content may accompany: a hybrid ISO; an uncompressed dmg; a fixed VHD, a raw disk with a footer."""

HOLDS_A_DISK = ("disk", "archive", "compressed")

COMPRESSIONS_OF_DMG = ("bzip2", "xz", "lzma", "zip")
"""The first chunk of a dmg is at its start, and is such a stream by itself."""


def judge(matches: "list[Match]") -> "list[Finding]":
    """The findings about `matches` together.

    Sorts `matches` by the precedence of tools: the format that ``qemu-img`` would open comes first, then formats known
    to other tools, then the content of a raw disk. Removes ``text`` if the
    image is something else as well, and a partition table that was recognised by the end of another format: it is the
    copy of a guest's GPT, even if its place is right by chance, as in a VHDX that is as long as its disk.
    """
    if len(matches) < 2:
        return []
    if any(match.name != "text" for match in matches):
        matches[:] = [match for match in matches if match.name != "text"]
    if any(match.at == "start" and group_of(match) in HOLDS_A_DISK for match in matches):
        matches[:] = [match for match in matches if match.name not in TABLES or match.at == "start"]
    matches.sort(key=lambda match: (_rank(match), match.name not in TABLES, match.name))
    by_code: dict[str, list[Match]] = {}
    for number, first in enumerate(matches):
        for second in matches[number + 1 :]:
            code = _code_of_pair(first, second)
            if code:
                involved = by_code.setdefault(code, [])
                involved += [match for match in (first, second) if match not in involved]
    return [
        Finding(code, involved[0].name, _text(code, involved), help=_help(code, involved))
        for code, involved in by_code.items()
    ]


def _rank(match: "Match") -> int:
    group = group_of(match)
    if group == "disk" and match.name in FIRST_OF_DISKS:
        return FIRST_OF_DISKS.index(match.name) - len(FIRST_OF_DISKS)
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _code_of_pair(first: "Match", second: "Match") -> str:
    """The code of the finding about a pair, in the order of precedence; empty if the pair is normal."""
    first_group, second_group = group_of(first), group_of(second)
    if second_group == "content":
        if first_group in NORMAL_WITH_CONTENT:
            return ""
        return "ambiguous"
    if first_group == second_group == "optical" or (first.name == "nrg" and second_group == "optical"):
        return ""
    if first.name == "dmg" and second.name in COMPRESSIONS_OF_DMG and second.at == "start":
        return ""
    if second_group == "archive at the end" and first_group in ("disk", "optical", "content"):
        return "trailing-data"
    return "ambiguous"


def _text(code: str, matches: "list[Match]") -> str:
    names = " and as ".join(match.name for match in matches)
    if code == "trailing-data":
        return f"it can be read as {names}: an archive follows the image"
    if group_of(matches[0]) == "disk":
        return f"it can be read as {names}: qemu-img takes it for {matches[0].name}, other programs may not"
    return f"it can be read as {names}, depending on the program that opens it"


def _help(code: str, matches: "list[Match]") -> str:
    """What helps, if it is not what the code says: qemu-img opens no archive."""
    if code == "ambiguous" and any(match.kind in ("archive", "compressed") for match in matches):
        return "unpack it, and upload the disk alone"
    return ""
