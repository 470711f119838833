"""A plugin that takes over its channel and does what a script says, however hostile."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import stat
import struct
import time

from douane_plugin import Inspector


def find_channel() -> int:
    """The descriptor of the channel: the highest-numbered connected unix socket that was not granted."""
    for fd in range(3, 1024):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
    raise RuntimeError("no channel")


class Scripted(Inspector):
    """Execute the steps of `script`, JSON: lists of a verb and its argument."""

    reads = "stream"

    def __init__(self, script: str) -> None:
        self.steps = json.loads(script)
        self.kept: list[bytearray] = []

    def inspect(self, image):
        """Execute the steps, then end without a word."""
        with socket.socket(fileno=os.dup(find_channel())) as self.channel:
            for verb, argument in self.steps:
                with contextlib.suppress(OSError):
                    getattr(self, verb)(argument)
        os._exit(0)

    def send(self, digits):
        """Send bytes, as hexadecimal digits."""
        self.channel.sendall(bytes.fromhex(digits))

    def repeat(self, argument):
        """Send the same bytes so many times."""
        digits, count = argument
        data = bytes.fromhex(digits) * 64
        for _ in range(count // 64):
            self.channel.sendall(data)

    def listen(self, frames):
        """Receive frames for a moment; answer every DATA with PROGRESS and never with RELEASE."""
        self.channel.settimeout(0.2)
        data = b""
        with contextlib.suppress(OSError):
            while True:
                data += self.channel.recv(65536)
                while len(data) >= 8:
                    kind, length = struct.unpack("<II", data[:8])
                    payload, data = data[8 : 8 + length], data[8 + length :]
                    if kind == frames["data"]:
                        start, _, size = struct.unpack("<QQQ", payload)
                        self.channel.sendall(struct.pack("<IIQ", frames["progress"], 8, start + size))
        self.channel.settimeout(None)

    def descriptors(self, count):
        """Pass open sockets over the channel, with SO_LINGER where that can be set."""
        for _ in range(count):
            left, right = socket.socketpair()
            with contextlib.suppress(OSError):
                left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [left.fileno(), right.fileno()]))]
            self.channel.sendmsg([b"\0"], rights)

    def allocate(self, size):
        """Fill memory and keep it."""
        self.kept.append(bytearray(b"x") * size)

    def protect(self, size):
        """Fill memory, and make it read-only, so that RLIMIT_DATA no longer counts it."""
        import ctypes
        import mmap

        libc = ctypes.CDLL(None)
        for _ in range(size >> 26):
            memory = mmap.mmap(-1, 1 << 26, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for _ in range(64):
                memory.write(b"x" * (1 << 20))
            libc.mprotect(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), 1 << 26, 1)
            self.kept.append(memory)

    def sleep(self, seconds):
        """Do nothing for a while."""
        time.sleep(seconds)

    def close(self, _):
        """Close the channel in all its copies."""
        for fd in range(3, 1024):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.fstat(fd).st_mode):
                    os.close(fd)
