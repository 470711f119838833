"""Checks of the footer of a VHD ("Virtual Hard Disk Image Format Specification 1.0", Microsoft, "Hard Disk Footer
Format")."""

from douane_guest.headers.vhd import MAX_BYTES, TYPES, VERSION, Footer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match


def judge(match: "Match", footer: Footer, offset: int, size: int) -> None:
    """Note the fields of the footer at `offset` of a disk of `size` bytes, and add findings."""
    match.virtual_size = size
    match.qemu_options = {"force_size_calc": "chs" if size == footer.geometry_size else "current_size"}
    match.note("creator", repr(footer.creator)[2:-1], offset + 28)
    match.note("current size", footer.size, offset + 48)
    geometry = f"{footer.cylinders}/{footer.heads}/{footer.sectors}"
    match.note("geometry", f"{geometry}, {footer.geometry_size} bytes", offset + 56)
    match.note("type", f"{footer.type} {TYPES.get(footer.type, '')}".strip(), offset + 60)
    match.note("data offset", f"{footer.next:#x}", offset + 16)
    if not footer.is_intact:
        match.find("checksum", f"the checksum of the footer, {footer.checksum:#x}, is wrong", offset + 64)
    if footer.version != VERSION:
        match.find("version", f"version is {footer.version:#x}, but must be {VERSION:#x}", offset + 12)
    if footer.type not in TYPES:
        help = "convert it to a fixed or a dynamic disk"
        match.find("subformat", f"its type is {footer.type}, which is not in use", offset + 60, help=help)
    if max(footer.size, size) > MAX_BYTES:
        match.find("virtual-size", f"the disk has {footer.size} bytes, but may have at most {MAX_BYTES}", offset + 48)
    if footer.size % 512:
        match.find("unaligned-size", f"the disk has {footer.size} bytes, no multiple of 512", offset + 48)
    largest = max(footer.size, footer.earlier_size)
    if largest - size > footer.cylinder_bytes:
        # Tools round by less. A guest of Hyper-V, or of qemu of another version, would get a disk of the other size.
        detail = f"the disk has {size} bytes to some programs, and {largest} to others"
        match.find("virtual-size", detail, offset + 48)
    elif footer.earlier_size != size:
        detail = f"the disk has {size} bytes, but {footer.earlier_size}, by its geometry, to qemu before 10.0"
        match.find("odd", detail, offset + 56)
    if footer.saved:
        help = "shut the machine down, and upload its disk then"
        match.find("dirty", "it belongs to a machine with a saved state", offset + 84, help=help)
