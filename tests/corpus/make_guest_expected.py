"""Write guest_expected.tsv: `python tests/corpus/make_guest_expected.py FOLDER [TEXT...]`, as root, with the corpus in
FOLDER; or only the rows of files whose names contain one of the texts.

The container is opened by qemu-img, the table by sfdisk, and each file system by the kernel, by a second kernel, by
ntfs-3g or by exfat-fuse: douane-guest has no part in it, but for the names of the volumes and what no program here
reads. Where it differs from them, this says so, and ends with 1. Not counted is what it lists as unread, and are
records of ISO 9660 without a date, which Linux 6.1 dates 2036 (iso_date() returns 32 bits).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parents[2])
)  # the repository's own bench and tests, which are not installed
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.formats.corpus import labelled
from bench.guest_matrix import opinions
from bench.guest_matrix.check import KERNEL
from bench.guest_matrix.facts import Listing, comparable, differences, facts_of_folder, facts_of_volume
from bench.guest_matrix.workshop import NotBuilt, mounted, run

from douane_guest.guest import Guest
from support.guest_readings import NOTHING, OWN, TABLE, Row, digest_of, opened, row_of
from support.guest_readings import rows as stored

MOUNTS = dict.fromkeys(("ext2", "ext3", "ext4"), "ext4") | {
    name: name for name in ("xfs", "btrfs", "squashfs", "erofs")
}
OPINIONS = {
    "vfat": opinions.FAT,
    "iso9660": opinions.ISO9660,
    "udf": opinions.UDF,
    "ntfs": opinions.NTFS_3G,
    "exfat": opinions.EXFAT_FUSE,
    "xfs": opinions.XFS,
}


def truth_of(image: Path, filesystem: str) -> tuple[str, Listing] | None:
    """Who reads the file system in an image, and what it shows."""
    try:
        with mounted(image, MOUNTS.get(filesystem, "none")) as folder:
            return KERNEL, facts_of_folder(folder)
    except NotBuilt:
        pass
    try:
        opinion = OPINIONS[filesystem]
        return opinion.name.replace(" ", "-"), opinion.read(image)
    except (KeyError, NotBuilt, OSError) as error:
        print(f"    no truth for {filesystem}: {str(error)[-150:]}")
        return None


def disk_of(image: Path, room: Path, disk_format: str) -> Path | None:
    """The disk in an image, by qemu-img; None if it refuses the image."""
    try:
        if disk_format == "raw":
            run("cp", "--sparse=always", image, room / "disk")
        else:
            driver = {"vhd": "vpc"}.get(disk_format, disk_format)
            run("qemu-img", "convert", "-f", driver, "-O", "raw", image, room / "disk")
    except NotBuilt as error:
        print(f"    {image.name}: {error}")
        return None
    return room / "disk"


def place_of(disk: Path, volume: str) -> tuple[int, int]:
    """Where a volume begins in a disk, and its size, in bytes; by sfdisk."""
    if not volume.startswith("p"):
        return 0, disk.stat().st_size
    text = subprocess.run(["sfdisk", "-J", disk], capture_output=True, text=True, check=True).stdout
    table = json.loads(text)["partitiontable"]
    sector = table.get("sectorsize", 512)
    for part in table["partitions"]:
        if part["node"] == f"{disk}{volume[1:]}":
            return part["start"] * sector, part["size"] * sector
    raise KeyError(volume)


def expected(file: str, guest: Guest, image: Path, room: Path) -> tuple[Row, list[str]]:
    """The row, with the digests of the truth; and where douane-guest differs from it."""
    row = row_of(file, guest, [])
    truths, digests, entries, lines = [], row.digests.split(), row.entries.split(), []
    disk = disk_of(image, room, guest.disk.format) if guest.disk and guest.volumes else None
    for number, volume in enumerate(guest.volumes if disk else []):
        start, size = place_of(disk, volume.name)
        part = room / "part"
        run(
            "dd",
            f"if={disk}",
            f"of={part}",
            "bs=512",
            f"skip={start // 512}",
            f"count={-(-size // 512)}",
            "conv=sparse",
        )
        truth = truth_of(part, volume.filesystem)
        part.unlink()
        truths.append(truth[0] if truth else OWN)
        listing = facts_of_volume(guest, volume)
        digests[number] = digest_of(truth[1] if truth else listing, truths[-1])
        if (
            truth
            and digests[number] != digest_of(listing, truths[-1])
            and (guest.unread or is_dateless(*truth, listing))
        ):
            print(f"    {volume.name} is not compared")
            truth, truths[-1], digests[number] = None, OWN, digest_of(listing, OWN)
        if truth and digests[number] != digest_of(listing, truths[-1]):
            lacks = () if truths[-1] == KERNEL else opinions.OWNERS
            lines += [
                f"{volume.name}: {line}"
                for line in differences(comparable(truth[1], lacks), comparable(listing, lacks))
            ]
        entries[number] = str(len(truth[1] if truth else listing))
    words = {"truth": truths, "digests": digests, "entries": entries}
    return row._replace(**{name: " ".join(values) for name, values in words.items() if truths}), lines


def is_dateless(name: str, truth: Listing, listing: Listing) -> bool:
    """True if they differ only in times that the image does not have."""
    times = {path: fact.mtime_ns for path, fact in truth.items()}
    filled = {
        path: fact if fact.mtime_ns else fact._replace(mtime_ns=times.get(path)) for path, fact in listing.items()
    }
    return digest_of(filled, name) == digest_of(truth, name)


def main() -> int:
    """See the module."""
    rows = [Row("*", NOTHING, NOTHING, NOTHING, NOTHING, "guest-unknown", NOTHING, NOTHING)]
    texts, faults = sys.argv[2:], 0
    if texts:
        rows += [row for name, row in stored().items() if name != "*" and not any(text in name for text in texts)]
    with labelled(Path(sys.argv[1])) as labels:
        for label in labels:
            file = f"{label.set}/{label.file}"
            if texts and not any(text in file for text in texts):
                continue
            with tempfile.TemporaryDirectory() as room, opened(label.path) as guest:
                row, lines = expected(file, guest, label.path, Path(room))
            if row[1:] != rows[0][1:]:
                rows.append(row)
                print(*row)
            for line in lines[:10]:
                print("    WRONG:", line)
            faults += bool(lines)
    TABLE.write_text("\n".join("\t".join(row) for row in [Row._fields, rows[0], *sorted(rows[1:])]) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
