"""Volume groups and arrays, which the command writes by itself, as real drivers assemble them: those of the second
kernel, by LVM's tools and mdadm. The bytes of the volume must be those that were put in."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from .check import EQUAL, NOT_BUILT, SILENT, Outcome
from .pieces import padded_copy
from .second_kernel import boot, kernel_room
from .tables import TABLES
from .volumes import VOLUMES
from .workshop import MEBIBYTE, NotBuilt, Workshop

DRIVERS = "drivers of the second kernel"
KINDS = [kind for kind in VOLUMES if kind != "plain"]
MODULES = "dm-mod dm-mirror dm-thin-pool dm-raid raid0 raid1 raid10 raid456"
CONFIGURATION = """devices { dir="/dev" scan=["/dev"] use_devicesfile=0 external_device_info_source="none"
obtain_device_list_from_udev=0 types=["ubd",16] filter=["a|/dev/ubd.*|","r|.*|"] }
global { use_lvmpolld=0 thin_check_executable="" }
activation { udev_sync=0 udev_rules=0 monitoring=0 }
backup { backup=0 archive=0 }
"""
"""There is no udev in the second kernel."""
OF_MD = "mdadm --assemble --run --readonly /dev/md0 {parts} && head -c {size} /dev/md0 | sha256sum > {room}/digests"
OF_LVM = """export LVM_SYSTEM_DIR={room} DM_DISABLE_UDEV=1
vgchange -ay --sysinit && for volume in /dev/dm-*; do head -c {size} $volume | sha256sum; done > {room}/digests"""


def check_volume(workshop: Workshop, kind: str) -> Outcome:
    """One kind of volumes, in the partitions of a GPT."""
    with workshop.room(f"drivers {kind}") as room:
        content = random.Random(kind).randbytes(9 * MEBIBYTE + 3)
        (room / "content").write_bytes(content)
        volume = padded_copy(room / "content", room / "volume")
        expected = hashlib.sha256(volume.read_bytes()).hexdigest()
        try:
            members = VOLUMES[kind](volume, room, 4)
            TABLES["GPT 512"](members, room / "disk")
            digests = _digests(kind, room / "disk", len(members), volume.stat().st_size)
        except NotBuilt as error:
            return Outcome(NOT_BUILT, reason=str(error))
        if expected in digests:
            return Outcome(EQUAL, DRIVERS, 1)
        return Outcome(SILENT, DRIVERS, 1, ("no volume that the drivers show has the bytes that were put in",))


def _digests(kind: str, disk: Path, members: int, size: int) -> str:
    with kernel_room(disk) as room:
        (room / "lvm.conf").write_text(CONFIGURATION)
        parts = " ".join(f"/dev/ubda{number + 1}" for number in range(members))
        script = (OF_MD if kind.startswith("md") else OF_LVM).format(parts=parts, size=size, room=room)
        boot(room, f"ubd0={disk.absolute()}", MODULES, script)
        return (room / "digests").read_text()
