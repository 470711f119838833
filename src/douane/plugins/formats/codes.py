"""Codes of findings: what a finding is worth by default, and its text for the tenant."""

from .base import PASS, REFUSE, WARN
from .registry import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Finding

AGAIN = {"archive": "pack it again", "compressed": "compress it again", "disk": "convert it again"}
"""What ``{again}`` stands for in a text, by the kind of the format; ``make it again`` for other kinds."""

_SHARED = {
    # another file would be opened
    "backing-file": (REFUSE, "; flatten it (qemu-img convert) and upload the result"),
    "data-file": (REFUSE, "; convert it to one file and upload that"),
    "external-extent": (REFUSE, "; convert it to one file and upload that"),
    "parent": (REFUSE, "; merge it with its parent and upload the result"),
    "descriptor": (REFUSE, "programs read its descriptor differently; {again}"),
    # programs may read it differently
    "ambiguous": (
        REFUSE,
        "; convert it from the format that you mean (qemu-img convert -f FORMAT -O qcow2) and upload the result",
    ),
    "log": (
        REFUSE,
        "it was not closed properly: its log holds changes that are not in the disk yet; open and close it where it "
        "was made, or convert it",
    ),
    "unknown-feature": (REFUSE, "it uses features that are not known here; {again}, without them"),
    "version": (REFUSE, "its version of the format is not known here; {again}, in another version"),
    "subformat": (REFUSE, "; convert the whole disk to one file and upload that"),
    # damage
    "corrupt": (REFUSE, "; repair it where it was made, and upload it again"),
    "truncated": (REFUSE, "it ends inside its own structures; upload all of it"),
    "outside-file": (REFUSE, "its tables point past its end; upload all of it, or {again}"),
    "overlap": (REFUSE, "its tables overlap its header or each other; {again}"),
    "header": (REFUSE, "its header contradicts itself or claims absurd sizes; {again}"),
    "checksum": (REFUSE, "a checksum in its headers is wrong; upload it again, or {again}"),
    "virtual-size": (REFUSE, "its disk is larger than its format or its tables allow; {again}"),
    "unaligned-size": (REFUSE, "the size of its disk is no multiple of a sector; resize it and upload it again"),
    "out-of-order": (REFUSE, "its headers are in an order that one pass cannot read; {again}"),
    "reader-failed": (REFUSE, "it could not be examined; tell the operator"),
    "too-deep": (REFUSE, "it holds images within images within images; take out the disk and upload that"),
    # archives
    "member-name": (REFUSE, "; pack it again, with plain names"),
    "member-type": (REFUSE, "; pack it again, with plain files only"),
    "member-twice": (REFUSE, "; pack it again, with each name once"),
    "member-size": (REFUSE, "; pack it again"),
    "archive": (REFUSE, "; pack it again"),
    # facts for the operator
    "encrypted": (WARN, "it is encrypted, so that nothing in it can be checked"),
    "dirty": (WARN, "it was not closed properly; repair it where it was made"),
    "snapshots": (WARN, "it contains internal snapshots, which guests do not see"),
    "no-disk": (WARN, "its disk has no bytes"),
    "trailing-data": (WARN, ""),
    "partition-table": (WARN, "its partition table contradicts itself"),
    "big-window": (WARN, ""),
    "odd": (WARN, ""),
    "format-in-data": (PASS, ""),
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
"""By code: what it is worth by default, and its text: what it means, a semicolon, and what helps. The meaning is empty
if the details of the findings say all of it, and the help if nothing helps, or nothing is needed.

In the order of reporting: of several findings that refuse an image, the first in this table is the reason given.
"""


def sentence(finding: "Finding") -> str:
    """What was seen and what helps, for the tenant: the end of a sentence that begins with the image."""
    meaning, _, help = CODES[finding.code][1].partition("; ")
    observation = f"{meaning} ({finding.detail})" if meaning and not finding.help else finding.detail
    help = (finding.help or help).replace("{again}", AGAIN.get(finding.kind, "make it again"))
    text = f"{observation}; {help}" if help else observation
    return "".join(letter if letter.isprintable() else " " for letter in text)
