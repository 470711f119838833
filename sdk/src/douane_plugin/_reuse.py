"""Further images for a plugin's process, one after the other, where the operator allows it (``reuse``).

Each image gets a new instance of the class and a new runtime. What modules and classes keep stays: that is the purpose.
What belonged to the image before it is taken away: its descriptors, its temporary files, the environment that it
changed. If a view of its bytes is still in use, the process serves no further image.
"""

from __future__ import annotations

import gc
import os

from . import wire
from ._channel import Closed
from ._json import loads
from ._streams import flush_streams, reopen_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Optional, Protocol

    from ._channel import Channel

    class Runtime(Protocol):
        """What this module uses of :class:`._runtime.Runtime`, which uses this module."""

        spec: dict[str, Any]
        image: Any
        _channel: Channel
        _chunks: Any

        def __init__(self, channel: Channel) -> None: ...

        def serve(self, cls: type, reads: str) -> bool: ...

        def _open_handed(self) -> Any: ...


_MOST_DESCRIPTORS = 4096
_DESCRIPTORS = ("fd", "connect_fd")
"""Keys of rings and grants that have descriptors."""

_OF_THE_IMAGE = (wire.DATA, wire.HOLE, wire.END)
"""Frames that may still come for an image whose plugin answered without reading them."""


class Before:
    """The state of the process before it had loaded the plugin, and before any byte of an image."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._folder = self._environment.get("TMPDIR", "")
        self._files: Optional[set[str]] = set()
        """What stands in the folder for temporary files: granted files whose paths lead through it. None if it cannot
        be listed; then the process serves one image."""

        try:
            if self._folder:
                self._files.update(path for path, _ in _entries(self._folder))
        except OSError:
            self._files = None

        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._descriptors: dict[int, tuple[int, int]] = {}
        self._is_frozen = False

    def note(self, spec: dict[str, Any]) -> None:
        """Note what is open now, without what LOAD has handed over for the first image."""
        self._descriptors = {fd: identity for fd, identity in _open_descriptors() if fd not in _handed(spec)}

    def restore(self, runtime: Runtime) -> bool:
        """Take away what `runtime` had for its image; False if something of that is still in use."""
        try:
            if self._files is None or not _give_back(runtime):
                return False
            if not self._is_frozen:
                gc.freeze()  # a collection need not look at what was loaded: that would take its time for each image
                self._is_frozen = True
            scratch = (runtime.spec.get("scratch") or {}).get("fds", ())
            _close_but({**self._descriptors, **dict.fromkeys(scratch)})
            if self._folder:
                _empty(self._folder, self._files)
            os.environ.clear()
            os.environ.update(self._environment)
            os.umask(self._umask)
            os.chdir("/")
            _stop_timers()
        except OSError:  # a descriptor or a file that the plugin has taken away
            return False
        return True


def serve_further(runtime: Runtime, cls: type, reads: str, before: Before) -> None:
    """Serve the images that the engine sends, until it sends no more, or one is not answered. Raises Closed."""
    channel = runtime._channel
    while before.restore(runtime):
        _flush()
        channel.send(wire.IDLE)
        spec = {**runtime.spec, **_next_spec(channel)}
        runtime = type(runtime)(channel)
        runtime.spec = spec
        if not runtime.serve(cls, reads):
            return


def _give_back(runtime: Runtime) -> bool:
    """Close what the engine has handed over for the image; False if the plugin still has a view of its bytes."""
    runtime.image = None
    gc.collect()
    if runtime._chunks is not None and not runtime._chunks.close():
        return False
    runtime._open_handed().close_grants()
    for ring in runtime.spec["rings"]:
        os.close(ring["fd"])
    return True


def _flush() -> None:
    flush_streams()
    reopen_streams()


def _next_spec(channel: Channel) -> dict[str, Any]:
    """Wait for NEXT, and return the keys of LOAD that it has: the descriptors that came with it in place of indexes."""
    kind, payload = channel.receive_with_descriptors()
    while kind in _OF_THE_IMAGE:
        kind, payload = channel.receive_with_descriptors()
    if kind != wire.NEXT:
        raise Closed
    spec: dict[str, Any] = loads(payload.decode())
    fds = channel.take_descriptors()
    for entry in (*spec["rings"], *spec["grants"].values()):
        for key in _DESCRIPTORS:
            if entry.get(key) is not None:
                entry[key] = fds[entry[key]]
    return spec


def _handed(spec: dict[str, Any]) -> set[int]:
    entries = (*spec.get("rings", ()), *spec.get("grants", {}).values())
    return {entry[key] for entry in entries for key in _DESCRIPTORS if entry.get(key) is not None}


def _open_descriptors() -> list[tuple[int, tuple[int, int]]]:
    """Return the open descriptors, each with the device and the inode of its file."""
    descriptors = []
    for fd in range(min(os.sysconf("SC_OPEN_MAX"), _MOST_DESCRIPTORS)):
        try:
            status = os.fstat(fd)
        except OSError:
            continue
        descriptors.append((fd, (status.st_dev, status.st_ino)))
    return descriptors


def _close_but(kept: dict[int, Any]) -> None:
    """Close all descriptors but `kept`, whose values are None or the identities that they must still have.

    Their numbers stay taken, by a pipe that cannot be read or written: an object of the plugin that still has such a
    number fails when it uses it, and can neither read nor close what comes for the next image.
    """
    stale = [fd for fd, identity in _open_descriptors() if kept.get(fd, 0) not in (None, identity)]
    if not stale:
        return
    reading, writing = os.pipe()
    os.close(reading)
    for fd in stale:
        os.dup2(writing, fd, False)
    os.close(writing)


def _entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield the paths of everything in `folder`, contents first, and True for folders."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder:
            yield from _entries(entry.path)
        yield entry.path, is_folder


def _empty(folder: str, kept: set[str]) -> None:
    """Remove everything in the plugin's own folder for temporary files but `kept`."""
    for path, is_folder in _entries(folder):
        if path not in kept:
            (os.rmdir if is_folder else os.unlink)(path)


def _stop_timers() -> None:
    import _signal  # type: ignore[import-not-found]  # built in; signal itself imports enum

    for timer in (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF):
        _signal.setitimer(timer, 0)
