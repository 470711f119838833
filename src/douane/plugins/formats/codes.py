"""Codes of findings: what a finding is worth by default, and its text for the tenant."""

from .base import PASS, REFUSE, WARN
from .registry import FORMATS

_SHARED = {
    # another file would be opened
    "backing-file": (REFUSE, "it names a backing file; flatten it (qemu-img convert) and upload the result"),
    "data-file": (REFUSE, "its data are in another file; convert it to one file and upload that"),
    "external-extent": (REFUSE, "it names other files as parts of its disk; convert it to one file and upload that"),
    "parent": (REFUSE, "it is the difference to a parent image; merge it with its parent and upload the result"),
    "descriptor": (REFUSE, "its descriptor is malformed; convert it again"),
    # programs may read it differently
    "ambiguous": (REFUSE, "it can be read as more than one format; convert it to one and upload the result"),
    "log": (
        REFUSE,
        "it was not closed properly: its log holds changes that are not in the disk yet; open and close it where it "
        "was made, or convert it",
    ),
    "unknown-feature": (REFUSE, "it uses unknown features; convert it to an earlier version"),
    "version": (REFUSE, "its version of the format is unknown; convert it to another version"),
    "subformat": (REFUSE, "its kind of the format is not a disk by itself; convert it"),
    # damage
    "corrupt": (REFUSE, "it is marked as damaged; repair it where it was made, and upload it again"),
    "truncated": (REFUSE, "it ends inside its own structures; upload all of it"),
    "outside-file": (REFUSE, "its tables point past its end; upload all of it, or convert it again"),
    "overlap": (REFUSE, "its tables overlap its header or each other; convert it again"),
    "header": (REFUSE, "its header contradicts itself or claims absurd sizes; convert it again"),
    "checksum": (REFUSE, "a checksum in its headers is wrong; convert it or upload it again"),
    "virtual-size": (REFUSE, "its disk is larger than its format allows; convert it again"),
    "unaligned-size": (REFUSE, "the size of its disk is no multiple of a sector; resize it and upload it again"),
    "out-of-order": (REFUSE, "its headers are in an order that one pass cannot read; convert it again"),
    "reader-failed": (REFUSE, "it could not be examined; tell the operator"),
    "too-deep": (REFUSE, "it holds images within images within images; take out the disk and upload that"),
    # archives
    "member-name": (REFUSE, "a file in the archive has a name that leads out of it; pack it again"),
    "member-type": (REFUSE, "the archive holds a member that is not a plain file; pack it again"),
    "member-twice": (REFUSE, "two files in the archive have the same name; pack it again"),
    "member-size": (REFUSE, "a file in the archive claims an absurd size; pack it again"),
    "archive": (REFUSE, "the archive contradicts itself or has too many members; pack it again"),
    # facts for the operator
    "encrypted": (WARN, "it is encrypted: nothing in it can be checked"),
    "dirty": (WARN, "it was not closed properly; repair it where it was made"),
    "snapshots": (WARN, "it contains internal snapshots, which guests do not see"),
    "no-disk": (WARN, "its disk has no bytes"),
    "trailing-data": (WARN, "bytes follow its end"),
    "partition-table": (WARN, "its partition table contradicts itself"),
    "big-window": (WARN, "unpacking it takes an unusual amount of memory"),
    "odd": (WARN, "it is made in an unusual way"),
    "format-in-data": (PASS, "its data look like another format to programs that ignore its own"),
    "unchecked": (PASS, "some of its tables are in an order that one pass cannot check"),
}
"""Codes that several formats share, or that concern images as a whole."""

_WORTHS = (REFUSE, WARN, PASS)

CODES = dict(
    sorted(
        (_SHARED | {code: (worth, text) for form in FORMATS for code, worth, text in form.codes}).items(),
        key=lambda entry: _WORTHS.index(entry[1][0]),
    )
)
"""By code: what it is worth by default, and the rest of a sentence that begins with "the image is not safe: ".

In the order of reporting: of several findings that refuse an image, the first in this table is the reason given.
"""
