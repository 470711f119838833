"""Plugins whose processes may serve several images."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from douane_plugin import Defer, Incomplete, Inspector, Reject

LOADED = f"{random.SystemRandom().getrandbits(64):016x}"
"""What took long to load: another value in each process."""

KEPT: list = []
"""What an image leaves behind."""


@functools.cache
def load(name: str) -> str:
    return f"{name}-{random.SystemRandom().getrandbits(32):08x}"


def whole(scratch) -> bytes:
    scratch.file.seek(0)
    return scratch.file.read()


class Keeping(Inspector):
    """Reports what it is, and what earlier images left."""

    def __init__(self, text: str = "") -> None:
        self.images: list = []
        self.text = text
        self.model = load(text)

    def inspect(self, image):
        seen = b"".join(map(bytes, image))
        self.images.append(seen)
        self.log.info("saw %d bytes", len(seen))
        if seen.startswith(b"warn"):
            self.warn("careful", "a warning")
        if seen.startswith(b"refuse"):
            raise Reject("unwanted", "it is refused")
        if seen.startswith(b"incomplete"):
            raise Incomplete("partial", "it is incomplete")
        if seen.startswith(b"defer"):
            raise Defer(60, "later")
        if seen.startswith(b"fail"):
            raise RuntimeError("a fault")
        if seen.startswith(b"die"):
            os._exit(0)
        if seen.startswith(b"hang"):
            time.sleep(1000)
        return {"process": LOADED, "model": self.model, "images": len(self.images), "size": len(seen)}


class Gated(Keeping):
    """Answers when there is a byte in the granted file "gate"."""

    def inspect(self, image):
        answer = super().inspect(image)
        gate = self.grant("gate")
        while not gate.read(1):
            gate.seek(0)
            self.alive()
            time.sleep(0.02)
        return answer


class Early(Keeping):
    """Answers by the first bytes, and does not read what follows them."""

    reads = "head:600000"

    def inspect(self, image):
        return {"process": LOADED, "size": len(image.read(6))}


class Leaving(Keeping):
    """Leaves something behind, by the first word of the image."""

    def inspect(self, image):
        word = bytes(next(image)).partition(b"\n")[0].decode()
        getattr(self, f"leave_{word}")(image)
        return {"process": LOADED, **self.look()}

    def leave_nothing(self, image):
        pass

    def leave_thread(self, image):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()

    def leave_joined(self, image):
        threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def leave_chatter(self, image):
        def chat():
            while True:
                os.write(1, b"chatter " * 1000)

        threading.Thread(target=chat, daemon=True).start()

    def leave_child(self, image):
        subprocess.Popen(["sleep", "1000"])

    def leave_descriptor(self, image):
        KEPT.append(os.dup(self.grant("rules").fileno()))

    def leave_file(self, image):
        KEPT.append(self.grant("rules"))

    def leave_view(self, image):
        KEPT.append(next(image)[10:])

    def leave_scratch(self, image):
        for scratch in self.scratch:
            scratch.file.write(b"secret of an image")

    def leave_temporary(self, image):
        folder = tempfile.mkdtemp()
        os.symlink("/", os.path.join(folder, "link"))
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(b"secret of an image")

    def leave_environment(self, image):
        os.environ["LEFT"] = "behind"
        os.environ.pop("LANG", None)
        os.umask(0o077)

    def leave_output(self, image):
        sys.stdout.write("half a line")

    def look(self):
        """What is there at the end of an image."""
        kinds = []
        for thing in KEPT:
            if isinstance(thing, memoryview):
                continue
            try:
                os.read(thing, 1) if isinstance(thing, int) else thing.read(1)
                kinds.append("readable")
            except (OSError, ValueError) as error:
                kinds.append(type(error).__name__)
        umask = os.umask(0o022)
        os.umask(umask)
        files = [name for _, _, names in os.walk(tempfile.gettempdir()) for name in names if name != "rules"]
        facts = {
            "temporary": len(files),
            "kept": ",".join(kinds),
            "environment": "LEFT" in os.environ,
            "umask": umask,
        }
        with contextlib.suppress(LookupError):
            facts["rules"] = self.grant("rules").read().decode()
        with contextlib.suppress(LookupError):
            facts["scratch"] = b"".join(map(whole, self.scratch)).decode()
        return facts


class Connected(Keeping):
    """Says something to a granted service, and reports the answer."""

    def inspect(self, image):
        service = self.grant("service")
        service.sendall(b"hello")
        with service.connect() as another:
            another.sendall(b"again")
            further = another.recv(100).decode()
        return {"process": LOADED, "answer": service.recv(100).decode(), "further": further}


class OnceOnly(Keeping):
    """Can be made only once in a process."""

    made = False

    def __init__(self) -> None:
        if OnceOnly.made:
            raise ValueError("it was made before")
        OnceOnly.made = True
        super().__init__()


class Mapped(Inspector):
    """Keeps a mapping of a granted file that it made when it was loaded."""

    mapping = None

    def __init__(self) -> None:
        if Mapped.mapping is None:
            Mapped.mapping = mmap.mmap(self.grant("rules").fileno(), 0, prot=mmap.PROT_READ)

    def inspect(self, image):
        return {"process": LOADED, "rules": bytes(Mapped.mapping[:]).decode()}


class AtRandom(Keeping):
    """Reads at random, which no reused process can."""

    reads = "random"
