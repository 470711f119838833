"""Which of the formats that an image matches are the content of another.

What lies in the data area of a container that was understood is the content of that container, and no second format of
the file: a dynamic VHD of 513 to 768 MiB has the first block of its disk at byte 3584, so that the disk's GPT header is
at 4096, where the GPT of a disk with sectors of 4 KiB would be.

- Of a disk in a container (qcow2, VHD), the guest never gets the file but the disk: hypervisors decode it. They know
  the format by its name, or from its first bytes as qemu does, which prefers any container to raw bytes. So whatever is
  at the place of a signature in the data area, no reader of the file starts there. Another container at the end of the
  file is not excused: Hyper-V, Azure and Xen look for the footer of a VHD, and no further.
- An archive is raw bytes to a hypervisor, which may give it to a guest as its disk. So a format in a member of an
  archive must be the format of that member, at its place in the member. A disc whose root directory is where the file
  as a whole, and not the member, would have it, is a second format.
"""

from .groups import group_of
from .match import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .data_area import Region
    from .match import Match

NOT_UNDERSTOOD = ("header", "overlap", "version", "unknown-feature", "reader-failed")
"""Findings after which the tables of a container do not say what its content is."""


def divide(matches: "list[Match]", *, ended: bool) -> "tuple[list[Match], list[tuple[Match, Match]]]":
    """The matches that are formats of the file, and those that are content, each with its container.

    Before the image has ended, tables that say where the content is may be missing: every format that could be content
    of a disk counts as content until then.
    """
    contents: list[tuple[Match, Match]] = []
    formats = []
    for match in matches:
        container = next((other for other in matches if other is not match and _holds(other, match, ended)), None)
        if container is None:
            formats.append(match)
        else:
            contents.append((match, container))
    return formats, contents


def finding(match: "Match", container: "Match") -> Finding:
    """The finding that `match` is content of `container`."""
    at = max(match.signatures)
    text = f"at {at} its content looks like {match.name} to programs that ignore that it is {container.name}"
    return Finding("format-in-data", container.name, text, at)


def _holds(container: "Match", match: "Match", ended: bool, /) -> bool:
    """True if `match` is content of `container`."""
    if container.at != "start" or not _may_be_content(match):
        return False
    group = group_of(container)
    if group not in ("disk", "archive"):
        return False
    if not ended and group == "disk":
        return True
    if any(finding.code in NOT_UNDERSTOOD for finding in container.findings):
        return False
    regions = [container.data.region_at(at) for at in match.signatures]
    if group == "disk":
        return None not in regions
    if match.is_rooted and ended:
        return False
    return all(
        region and _is_of_member(match, region, at, ended) for region, at in zip(regions, match.signatures, strict=True)
    )


def _may_be_content(match: "Match") -> bool:
    if 0 in match.signatures:
        return False  # sector 0 is the header of the container
    return match.name != "vhd"


def _is_of_member(match: "Match", region: "Region", at: int, ended: bool, /) -> bool:
    """True if the member in `region` has the format of `match`, too, at the place in the member that is `at` in the
    file; also while that is not known."""
    if region.content is None:
        return False
    if not ended:
        return True
    return any(
        inner.name == match.name and at - region.base in inner.signatures
        for inner in (*region.content.matches, *region.content.contained)
    )
