"""Run a program on the image, and read a bounded part of what it says."""

from __future__ import annotations

import os
import select
import subprocess

MOST_BYTES = 1 << 20
"""Of each output. qemu-img says about 1 KiB of an image, and more only of one with snapshots or bitmaps by the
thousand."""


class Ran:
    """How it ended: `status` as in :mod:`subprocess`, `output` and `errors` as bytes; `cut` if there was more."""

    def __init__(self) -> None:
        self.status = 0
        self.output = b""
        self.errors = b""
        self.cut = False

    def __str__(self) -> str:
        return f"status {self.status}, {self.errors[-500:]!r}"


def run(words: list[str], fd: int) -> Ran:
    """Run it with `fd` inherited. Raises RuntimeError, with what to do, if it cannot be run.

    There is no clock here: the plugin's own ends everything in its cage.
    """
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[fd])
    except OSError as error:
        raise RuntimeError(
            f"{words[0]} cannot be run here ({error}); write programs = [{words[0]!r}] beside the plugin, "
            "and see that it is installed"
        ) from None
    assert process.stdin and process.stdout and process.stderr
    process.stdin.close()
    ran = Ran()
    held = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    watch = select.poll()
    for each in held:
        watch.register(each, select.POLLIN)
    open_ends = len(held)
    while open_ends and not ran.cut:
        for ready, _ in watch.poll():
            piece = os.read(ready, 1 << 16)
            if not piece:
                watch.unregister(ready)
                open_ends -= 1
            held[ready] += piece
            ran.cut = ran.cut or len(held[ready]) > MOST_BYTES
    if ran.cut:
        process.kill()
    ran.status = process.wait()
    ran.output, ran.errors = bytes(held[process.stdout.fileno()]), bytes(held[process.stderr.fileno()])
    process.stdout.close()
    process.stderr.close()
    return ran
