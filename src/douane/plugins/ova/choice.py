"""Which of the disks that a descriptor names is the image."""

from __future__ import annotations

from douane.plugins.formats import member_names, ovf
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane.plugins.formats.ovf_document import Disk, File, OvfDocument

_MOST_LISTED = 16


class Choice:
    """The chosen disk: `disk` and its `file`; `count`: how many disks there are that are in a file."""

    def __init__(self, disk: Disk, file: File, count: int) -> None:
        self.disk, self.file, self.count = disk, file, count


def choose(document: OvfDocument, wanted: int | str | None) -> Choice:
    """The disk that is `wanted`: by its place among those that are in a file, from 0, or by the id or the name of its
    file, or its own id; None for the only one. Raises Reject."""
    for code, what in ovf.faults(document):
        raise Reject(
            "ova-parent" if code == "parent" else "ova-descriptor",
            f"the OVF descriptor cannot be used: {what}; export the appliance again",
        )
    found = [(disk, file) for disk in document.disks if (file := document.file_of(disk)) is not None]
    if not found:
        raise Reject(
            "ova-no-disk", "the OVF descriptor names no disk that is in a file; export the appliance with its disks"
        )
    if wanted is None:
        if len({file.id for _, file in found}) == 1:
            return Choice(*found[0], len(found))
        raise _several(found, "and an image has one; export one without the others, or ask the operator to choose")
    if isinstance(wanted, int):
        if wanted < len(found):
            return Choice(*found[wanted], len(found))
        raise _several(found, f"and this site takes number {wanted}, counted from 0, which is not there")
    for disk, file in found:
        if wanted in (file.id, disk.id, *ovf.hrefs(file)):
            return Choice(disk, file, len(found))
    raise _several(found, f"and this site takes {member_names.shown(wanted)}, which is none of them")


def _several(found: list[tuple[Disk, File]], why: str) -> Reject:
    names = ", ".join(member_names.shown(file.href) for _, file in found[:_MOST_LISTED])
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return Reject("ova-disks", f"the appliance has {len(found)} disk{'s'[: len(found) - 1]}: {names}{more}; {why}")
