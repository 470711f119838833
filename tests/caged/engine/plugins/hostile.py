"""Plugins that do everything wrong, for the tests. One class, one fault."""

import os
import signal
import sys
import threading
import time

from douane_plugin import Inspector, Reject, Transform


def frame(kind, payload=b""):
    return kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload


class Raises(Inspector):
    def inspect(self, image):
        raise RuntimeError("a secret of the site")


class SysExit(Inspector):
    def inspect(self, image):
        sys.exit(0)


class OsExit(Inspector):
    def inspect(self, image):
        os._exit(0)


class KillsItself(Inspector):
    def inspect(self, image):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(3600)


class Aborts(Inspector):
    def inspect(self, image):
        os.abort()


class Loops(Inspector):
    def inspect(self, image):
        while True:
            pass


class Sleeps(Inspector):
    def inspect(self, image):
        time.sleep(3600)


class ReadsSlowly(Inspector):
    """Makes progress, but never comes to an end in its time."""

    def inspect(self, image):
        for _ in image:
            time.sleep(0.4)


class SleepsAtStart(Inspector):
    def __init__(self):
        time.sleep(3600)


class Allocates(Inspector):
    def inspect(self, image):
        hoard = []
        while True:
            hoard.append(bytearray(8 << 20))


class FillsItsMemory(Inspector):
    """In small pieces, which outlive the exception: no room is left to describe it."""

    def inspect(self, image):
        self.hoard = []
        while True:
            self.hoard.append(bytes(4096))


class AllocatesShared(Inspector):
    """Shared anonymous memory does not count as data (RLIMIT_DATA)."""

    def inspect(self, image):
        import mmap

        hoard = []
        while True:
            part = mmap.mmap(-1, 8 << 20)
            part.write(b"x" * (8 << 20))
            hoard.append(part)


class HidesItsMemory(Inspector):
    """Fills memory that no limit counts (made read-only), from a thread that outlives the first one."""

    def inspect(self, image):
        import ctypes

        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
        libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

        def fill():
            for _ in range(64):
                at = libc.mmap(None, 8 << 20, 3, 0x22, -1, 0)
                libc.memset(at, 1, 8 << 20)
                libc.mprotect(at, 8 << 20, 1)
            time.sleep(3600)

        threading.Thread(target=fill).start()
        libc.syscall(60, 0)


class Forks(Inspector):
    def inspect(self, image):
        while True:
            os.fork()


class Threads(Inspector):
    def inspect(self, image):
        while True:
            threading.Thread(target=time.sleep, args=(3600,)).start()


class FloodsLog(Inspector):
    def inspect(self, image):
        while True:
            self.log.info("x" * 4000)


class FloodsOutput(Inspector):
    def inspect(self, image):
        while True:
            print("y" * 4000)


class FloodsWarnings(Inspector):
    def inspect(self, image):
        while True:
            self.warn("w", "again")


class WrongType(Inspector):
    def inspect(self, image):
        return True


class WrongValue(Inspector):
    def inspect(self, image):
        return {"key": object()}


class OutsideNamespace(Inspector):
    def inspect(self, image):
        return {"other.state": "active"}


class TooManyProperties(Inspector):
    def inspect(self, image):
        return {f"k{number}": number for number in range(65)}


class TooLargeProperty(Inspector):
    def inspect(self, image):
        return {"key": "x" * 5000}


class HugeAnswer(Inspector):
    def inspect(self, image):
        return {"key": "x" * (6 << 20)}


class ClosesChannel(Inspector):
    def inspect(self, image):
        os.close(self._douane._channel._fd)
        time.sleep(3600)


class WritesRubbish(Inspector):
    def inspect(self, image):
        os.write(self._douane._channel._fd, os.urandom(4096))
        time.sleep(3600)


class AnswersTwice(Inspector):
    def inspect(self, image):
        accept = frame(16, b'{"properties": {}, "seen": 0}')
        os.write(self._douane._channel._fd, accept + accept)
        time.sleep(3600)


class AcceptsAndRefuses(Inspector):
    """A forged accept, and then the runtime's own refusal."""

    def inspect(self, image):
        os.write(self._douane._channel._fd, frame(16, b'{"properties": {}, "seen": 0}'))
        raise Reject("refused-after-all", "no")


class AcceptsAndStays(Inspector):
    def inspect(self, image):
        os.write(self._douane._channel._fd, frame(16, b'{"properties": {}, "seen": 0}'))
        time.sleep(3600)


class LetsGoOfTheFuture(Inspector):
    def inspect(self, image):
        os.write(self._douane._channel._fd, frame(4, (1 << 60).to_bytes(8, "little")))
        time.sleep(3600)


class KeepsChunks(Inspector):
    def inspect(self, image):
        chunks = list(image)
        return {"first": chunks[0][0]}


class KeepsSlices(Inspector):
    def inspect(self, image):
        chunks = [chunk[:16] for chunk in image]
        return {"first": chunks[0][0]}


class DiesInConstructor(Inspector):
    def __init__(self):
        raise RuntimeError("cannot start")


class ExitsInConstructor(Inspector):
    def __init__(self):
        os._exit(0)


class RejectsInConstructor(Inspector):
    def __init__(self):
        raise Reject("early", "before it has seen anything")


class HalfATransform(Transform):
    def transform(self, image):
        yield bytes(next(image))
        os._exit(0)


class RaisingTransform(Transform):
    def transform(self, image):
        yield bytes(next(image))
        raise RuntimeError("broken")


class Bomb(Transform):
    def __init__(self, of: str = "zeros"):
        self.block = bytes(1 << 20) if of == "zeros" else of.encode() + bytes((1 << 16) - len(of))

    def transform(self, image):
        while True:
            yield self.block


class YieldsText(Transform):
    def transform(self, image):
        yield "text"


class Accepts(Inspector):
    def inspect(self, image):
        return {"bytes": sum(len(chunk) for chunk in image)}


class BecomesTransformLater(Inspector):
    """Says UNCHANGED and BEGIN, as only a transform may."""

    def inspect(self, image):
        os.write(self._douane._channel._fd, frame(9))
        time.sleep(3600)
