"""Remove a folder whose content a plugin has made: of any depth, with any names and modes, and with a few descriptors.

shutil.rmtree keeps a descriptor, and until Python 3.13 a frame of the stack, for each level. A plugin makes thousands
of levels in a moment, by mkdir(2) and chdir(2).
"""

from __future__ import annotations

import itertools
import os

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_ONCE = 1000
"""Names that are held in memory."""


def remove_tree(path: str, fd: int) -> None:
    """Remove the folder `path`, which is open at `fd`, with everything in it. No link is followed, also if a process
    still changes the folder. Raises OSError if something remains."""
    while names := _first_names(fd):
        for name in names:
            if not _is_removed(name, fd):
                _remove_folder(name, fd)
    os.rmdir(path)


def _remove_folder(name: str, top: int) -> None:
    """Remove the folder `name` in `top`, after its files are removed and its folders are moved to `top`."""
    _open_up(name, top)
    below = os.open(name, os.O_RDONLY | _FOLDER, dir_fd=top)
    try:
        while names := _first_names(below):
            for inner in names:
                if not _is_removed(inner, below):
                    _open_up(inner, below)  # whose entry `..` changes
                    os.rename(inner, os.urandom(16).hex(), src_dir_fd=below, dst_dir_fd=top)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=top)


def _first_names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, _AT_ONCE)]


def _is_removed(name: str, folder: int) -> bool:
    """Remove a file, a link or an empty folder; False for a folder with something in it."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError:
            return False
    return True


def _open_up(name: str, folder: int) -> None:
    """Let this user list and change the folder `name`, which may have been made without any mode."""
    fd = os.open(name, os.O_PATH | _FOLDER, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)  # chmod(2) itself would follow a link that took its place
    finally:
        os.close(fd)
