"""The way not taken: a parent reads an image and writes each block into a pipe for every one of N processes.

`python one_pipe_each.py IMAGE N`. Blocks and pipes are 1 MiB, as much as an ordinary user's pipe may hold
(/proc/sys/fs/pipe-max-size), and a child reads into one buffer, so that nothing is copied twice or allocated.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

BLOCK = 1 << 20
CHILD = f"""
import os
block = bytearray({BLOCK})
seen = total = 0
while got := os.readv(0, [block]):
    seen ^= block[0]
    total += got
print(total)
"""


def main(image: str, count: int) -> None:
    """Feed `count` children; raises if one of them did not get all of the image."""
    children = []
    pipes = []
    for _ in range(count):
        there, here = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(here, fcntl.F_SETPIPE_SZ, BLOCK)
        words = [sys.executable, "-I", "-S", "-c", CHILD]
        children.append(subprocess.Popen(words, stdin=there, stdout=subprocess.PIPE))
        os.close(there)
        pipes.append(here)
    block = memoryview(bytearray(BLOCK))
    total = 0
    with open(image, "rb", buffering=0) as file:
        while got := file.readinto(block):
            total += got
            for pipe in pipes:
                done = 0
                while done < got:
                    done += os.write(pipe, block[done:got])
    for pipe in pipes:
        os.close(pipe)
    for child in children:
        said, _ = child.communicate()
        if child.returncode or int(said) != total:
            raise SystemExit(f"a child got {said!r} of {total} bytes")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
