"""The choice among the disks that a descriptor names."""

from __future__ import annotations

from douane.plugins.formats import member_names, ovf
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane.plugins.formats.ovf_document import Disk, File, OvfDocument

_MAX_LISTED = 16


class Choice:
    """The chosen disk: `disk` and its `file`; `count`: how many disks there are that are in a file."""

    def __init__(self, disk: Disk, file: File, count: int) -> None:
        self.disk, self.file, self.count = disk, file, count


def choose(document: OvfDocument, selector: int | str | None) -> Choice:
    """Choose a disk: by its index among those that are in a file, by the id or the name of its file, or by its own id.

    None chooses the only disk. Raises Reject.
    """
    for code, detail in ovf.faults(document):
        raise Reject(
            "ova-parent" if code == "parent" else "ova-descriptor",
            f"the OVF descriptor cannot be used: {detail}; export the appliance again",
        )
    disks = [(disk, file) for disk in document.disks if (file := document.file_of(disk)) is not None]
    if not disks:
        raise Reject(
            "ova-no-disk", "the OVF descriptor names no disk that is in a file; export the appliance with its disks"
        )
    if selector is None:
        if len({file.id for _, file in disks}) == 1:
            return Choice(*disks[0], len(disks))
        raise _several(disks, "and an image has one; export one without the others, or ask the operator to choose")
    if isinstance(selector, int):
        if selector < len(disks):
            return Choice(*disks[selector], len(disks))
        raise _several(disks, f"and this site takes number {selector}, counted from 0, which is missing")
    for disk, file in disks:
        if selector in (file.id, disk.id, *ovf.hrefs(file)):
            return Choice(disk, file, len(disks))
    raise _several(disks, f"and this site takes {member_names.quoted(selector)}, which is none of them")


def _several(disks: list[tuple[Disk, File]], reason: str) -> Reject:
    names = ", ".join(member_names.quoted(file.href) for _, file in disks[:_MAX_LISTED])
    rest = f" and {len(disks) - _MAX_LISTED} more" if len(disks) > _MAX_LISTED else ""
    return Reject("ova-disks", f"the appliance has {len(disks)} disk{'s'[: len(disks) - 1]}: {names}{rest}; {reason}")
