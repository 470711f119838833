"""Run qemu-img on the image, and read a bounded part of its output."""

from __future__ import annotations

import os
import select
import subprocess

from ._stacks import small_stacks

MAX_BYTES = 1 << 20
"""Of each output. qemu-img prints about 1 KiB for an image, and more only for thousands of snapshots or bitmaps."""


class Completed:
    """A finished program: `status` as in :mod:`subprocess`, `output` and `errors` as bytes; `cut` if there was more."""

    def __init__(self) -> None:
        self.status = 0
        self.output = b""
        self.errors = b""
        self.cut = False

    def __str__(self) -> str:
        return f"status {self.status}, {self.errors[-500:]!r}"


def run(words: list[str], fd: int) -> Completed:
    """Run `words` with `fd` inherited. Raises RuntimeError, with the remedy, if the program cannot be started.

    The program has no time limit of its own: the plugin's limit ends every process in its sandbox.
    """
    pipe = subprocess.PIPE
    try:
        with small_stacks():
            process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[fd])
    except OSError as error:
        raise RuntimeError(
            f"{words[0]} cannot be run here ({error}); write programs = [{words[0]!r}] beside the plugin, "
            "and install it"
        ) from None
    assert process.stdin and process.stdout and process.stderr
    process.stdin.close()
    completed = Completed()
    texts = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    poll = select.poll()
    for end in texts:
        poll.register(end, select.POLLIN)
    open_ends = len(texts)
    while open_ends and not completed.cut:
        for ready, _ in poll.poll():
            piece = os.read(ready, 1 << 16)
            if not piece:
                poll.unregister(ready)
                open_ends -= 1
            texts[ready] += piece
            completed.cut = completed.cut or len(texts[ready]) > MAX_BYTES
    if completed.cut:
        process.kill()
    completed.status = process.wait()
    completed.output, completed.errors = bytes(texts[process.stdout.fileno()]), bytes(texts[process.stderr.fileno()])
    process.stdout.close()
    process.stderr.close()
    return completed
