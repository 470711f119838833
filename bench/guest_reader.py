"""Read a disk as its guest does, in a process of its own: `python guest_reader.py packages|walk|digests IMAGE`.

Prints as JSON: seconds of a processor since the start of the interpreter, bytes that were read, and the most memory.
"""

from __future__ import annotations

import os
import sys
import time

from douane_guest.guest import Guest, open_guest
from douane_guest.source import FileSource


class CountedSource(FileSource):
    """Counts the bytes."""

    bytes = 0

    def pread(self, offset: int, count: int) -> bytes:
        """See `FileSource`."""
        self.bytes += count
        return super().pread(offset, count)


def packages(guest: Guest) -> int:
    """How many packages there are."""
    return len(guest.packages()) if guest.os else 0


def walk(guest: Guest) -> int:
    """How many entries there are; each is asked for its size."""
    return sum(item.node.size >= 0 for item in guest.walk_volumes())


def digests(guest: Guest) -> int:
    """How many events a reading of all files has."""
    from douane_guest.delivery import deliver  # 4 ms, which a walk does not need

    return sum(1 for _ in deliver(guest))


COMMANDS = {"packages": packages, "walk": walk, "digests": digests}


def memory() -> int:
    """The most that this process had, in bytes (proc_pid_status(5)); getrusage(2) has its parent's as well."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


def main() -> None:
    """See the module."""
    command, image = sys.argv[1:]
    source = CountedSource(os.open(image, os.O_RDONLY | os.O_CLOEXEC))
    guest = open_guest(source)
    count = COMMANDS[command](guest)
    facts = {"cpu": time.process_time(), "bytes": source.bytes, "memory": memory()}
    import json  # 5 ms, which are not those of the reader

    print(json.dumps({**facts, "count": count, "unread": len(guest.unread)}))


if __name__ == "__main__":
    main()
