"""The alternative to the ring: a parent reads an image and writes each block into a pipe for each of N processes.

`python one_pipe_each.py IMAGE N`. Blocks and pipes have 1 MiB, the limit for a user (/proc/sys/fs/pipe-max-size), and a
child reads into one buffer, so that nothing is copied twice or allocated.
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
    """Feed `count` children. Raises SystemExit if a child did not get all of the image."""
    children = []
    pipes = []
    for _ in range(count):
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, BLOCK)
        words = [sys.executable, "-I", "-S", "-c", CHILD]
        children.append(subprocess.Popen(words, stdin=read_end, stdout=subprocess.PIPE))
        os.close(read_end)
        pipes.append(write_end)
    block = memoryview(bytearray(BLOCK))
    total = 0
    with open(image, "rb", buffering=0) as file:
        while length := file.readinto(block):
            total += length
            for pipe in pipes:
                sent = 0
                while sent < length:
                    sent += os.write(pipe, block[sent:length])
    for pipe in pipes:
        os.close(pipe)
    for child in children:
        output, _ = child.communicate()
        if child.returncode or int(output) != total:
            raise SystemExit(f"a child got {output!r} of {total} bytes")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
