"""A second kernel: Linux as a program (Debian's package user-mode-linux). It has drivers that the machine's kernel may
lack (FAT, ISO 9660, UDF, XFS version 4), and needs neither loop devices nor KVM."""

from __future__ import annotations

import os
import pickle
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .facts import Listing, facts_of_folder
from .workshop import MEBIBYTE, NotBuilt, empty_file, run

PROGRAM, MODULES = "linux.uml", Path("/usr/lib/uml/modules")
TOP = Path(__file__).resolve().parents[2]
SECONDS = 600
TAR = ("--format=posix", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")
"""This kernel sees the files of the machine without attributes and with times in seconds; an archive has them."""
BUILT_IN = frozenset({"ext4", "xfs", "btrfs"})
NAMES = "nls_utf8 nls_cp437 quota_v2"
"""The tables of names that vfat, iso9660 and udf are mounted with, and the quotas of ext4."""
INIT = """#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t hostfs -o {room} none {room}
exec > {room}/log 2>&1
modprobe -d {room} -a {modules}
{script} && touch {room}/done
umount {room}/mount
sync
echo o > /proc/sysrq-trigger
sleep 60
"""
"""The program that this kernel starts. The machine's files are its root, and can be changed in the room alone."""


class Mount(NamedTuple):
    """How the second kernel mounts a file system."""

    kind: str
    options: str = ""


def shown_by_second_kernel(image: Path, mount: Mount) -> Listing:
    """All that it shows of the file system in an image. Raises NotBuilt."""
    with kernel_room(image) as room:
        path = os.pathsep.join(filter(None, sys.path))
        python = f"cd {_quoted(TOP)} && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={_quoted(path)} {_quoted(sys.executable)}"
        command = f"{python} -m bench.guest_matrix.second_kernel {_quoted(room)} && cd /"
        boot(room, f"ubd0r={image.absolute()}", _modules(mount), _mounted(room, mount, "ro", command))
        listing: Listing = pickle.loads((room / "listing").read_bytes())
        return listing


def fill_by_second_kernel(tree: Path, image: Path, mount: Mount) -> None:
    """Copy a folder into the empty file system in an image. Raises NotBuilt."""
    with kernel_room(image) as room:
        run("tar", *TAR, "-S", "-cf", room / "tree.tar", "-C", tree, ".")
        command = f"tar {' '.join(TAR)} -xpf {_quoted(room / 'tree.tar')} -C {_quoted(room / 'mount')}"
        boot(room, f"ubd0={image.absolute()}", _modules(mount), _mounted(room, mount, "rw", command))


def by_second_kernel(mount: Mount, *make: object, size: int) -> Callable[[Path, Path], None]:
    """Made by a program, filled by the second kernel."""

    def build(tree: Path, image: Path) -> None:
        run(*make, empty_file(image, size * MEBIBYTE))
        fill_by_second_kernel(tree, image, mount)

    return build


@contextmanager
def kernel_room(image: Path) -> Iterator[Path]:
    """A folder beside an image, which the second kernel may change. Raises NotBuilt where there is no such kernel."""
    if shutil.which(PROGRAM) is None or os.geteuid():
        raise NotBuilt(f"there is no program {PROGRAM}, or no root to mount with")
    room = image.with_name(f"{image.name}.kernel").absolute()
    (room / "lib").mkdir(parents=True)
    (room / "mount").mkdir()
    (room / "lib/modules").symlink_to(MODULES)
    try:
        yield room
    finally:
        shutil.rmtree(room)


def _modules(mount: Mount) -> str:
    return NAMES if mount.kind in BUILT_IN else f"{NAMES} {mount.kind.replace('iso9660', 'isofs')}"


def _mounted(room: Path, mount: Mount, access: str, command: str) -> str:
    options = f"{access},{mount.options}".strip(",")
    return f"mount -t {mount.kind} -o {options} /dev/ubda {_quoted(room / 'mount')} && {command}"


def boot(room: Path, disk: str, modules: str, script: str) -> None:
    """Start the second kernel with a disk, and let it run a script. Raises NotBuilt if that fails."""
    (room / "log").touch()
    init = room / "init"
    init.write_text(INIT.format(room=_quoted(room), modules=modules, script=script))
    init.chmod(0o755)
    kernel = [PROGRAM, disk, "mem=256M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"]
    kernel += [f"uml_dir={room}", "con=null", "quiet"]
    try:
        subprocess.run(kernel, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotBuilt(f"the second kernel took more than {SECONDS} s") from None
    if not (room / "done").exists():
        raise NotBuilt(
            f"the second kernel does not mount it: {(room / 'log').read_text(errors='replace')[-200:].strip()}"
        )


def _quoted(value: object) -> str:
    return shlex.quote(str(value))


def _inside(room: Path) -> None:
    """In the second kernel: write what it shows."""
    (room / "listing").write_bytes(pickle.dumps(facts_of_folder(room / "mount")))


if __name__ == "__main__":
    _inside(Path(sys.argv[1]))
