"""What runs in the cage: loads the plugin, holds the conversation with the engine, gives the answer."""

from __future__ import annotations

import os
import sys
import time

from . import wire
from ._channel import Channel, Closed
from ._chunks import Chunks
from ._contract import API_LEVEL, Defer, Incomplete, Reject, Transform
from ._image import Image
from ._load import LoadError, describe, load
from ._scratch import Scratch
from ._settings import SettingError, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any, Optional

FILE_CHUNK_BYTES = 1 << 20
ALIVE_SECONDS = 1.0
UNCHANGED_WITHIN = 4 << 20
"""Bytes that a transform may read before it says `unchanged`: what the engine can still show to others."""


def main(channel_fd: int) -> None:
    """Hold one conversation over `channel_fd` and end the process. Never returns."""
    try:
        _Runtime(Channel(channel_fd)).converse()
    except Closed:
        pass  # the engine is gone or has seen enough
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more
    os._exit(0)  # not sys.exit: a thread that the plugin left behind must not hold up the end


class _Runtime:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._load: dict[str, Any] = {}
        self._grants: dict[str, Any] = {}
        self._log: Optional[logging.Logger] = None
        self._properties: dict[str, Any] = {}
        self._proposed: dict[str, Any] = {}
        self._scratch: tuple[Scratch, ...] = ()
        self._alive_again = 0.0
        self._output_begun = False
        self._unchanged = False
        self._image: Optional[Image] = None

    # what the plugin reaches through self.log, self.warn, self.grant

    @property
    def log(self) -> logging.Logger:
        if self._log is None:
            from ._logging import make_logger

            self._log = make_logger(self._load["name"], self._load.get("log_level", 20), self._channel)
        return self._log

    def warn(self, code: str, message: str) -> None:
        self._channel.send_json(wire.WARN, {"code": code, "message": message[: wire.MAX_MESSAGE]})

    def propose(self, name: str, value: Any) -> None:
        self._proposed[name] = value
        if len(self._proposed) > wire.MAX_PROPERTIES:
            raise ValueError(f"at most {wire.MAX_PROPERTIES} properties can be proposed")

    def grant(self, name: str) -> Any:
        granted = self._load.get("grants", {})
        if name not in granted:
            have = ", ".join(granted) or "nothing"
            raise LookupError(f"the operator's configuration grants {have} to this plugin, not {name!r}")
        if name not in self._grants:
            fd = granted[name]["fd"]
            if granted[name]["kind"] == "socket":
                import socket

                self._grants[name] = socket.socket(fileno=fd)
            else:
                self._grants[name] = os.fdopen(fd, "rb")
        return self._grants[name]

    @property
    def scratch(self) -> tuple[Scratch, ...]:
        told = self._load.get("scratch")
        if not told:
            raise LookupError(
                "the operator gave this plugin no room to write; a line such as scratch = '20GiB' beside it does"
            )
        if not self._scratch:
            self._scratch = tuple(Scratch(fd, told["bytes"]) for fd in told["fds"])
        return self._scratch

    def alive(self) -> None:
        now = time.monotonic()
        if now >= self._alive_again:
            self._alive_again = now + ALIVE_SECONDS
            self._channel.send(wire.ALIVE)

    # what image.becomes and image.unchanged reach

    def becomes(self, disk_format: Any, container_format: Any, properties: Any) -> None:
        told: dict[str, Any] = {}
        for key, value in (("disk_format", disk_format), ("container_format", container_format)):
            if value is not None:
                if not isinstance(value, str):
                    raise ValueError(f"{key} is a text such as 'raw', not {value!r:.60}")
                told[key] = value
        if properties is not None:
            self._properties.update(properties)
        if told:
            self._channel.send_json(wire.BECOMES, told)

    def unchanged(self, offset: int) -> None:
        if self._output_begun:
            raise ValueError("image.unchanged() comes before the first yield")
        if offset >= UNCHANGED_WITHIN:
            raise ValueError(
                f"image.unchanged() comes before {UNCHANGED_WITHIN} bytes have been read, not after {offset}"
            )
        if not self._unchanged:
            self._unchanged = True
            self._channel.send(wire.UNCHANGED)

    # the conversation

    def converse(self) -> None:
        self._load = self._channel.receive_json(wire.LOAD)
        # Opened anew: the descriptors may have been replaced since the interpreter looked at them, and a text
        # stream that took its pipe for a seekable file fails at its first flush (ESPIPE).
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        stage = "load"
        try:
            cls = load(self._load["use"])
            told = describe(cls)
            told["level"] = API_LEVEL
            self._channel.send_json(wire.DESCRIBED, told)
            if told["api"] > API_LEVEL:
                raise LoadError(f"it is written for contract level {told['api']}, this douane_plugin has {API_LEVEL}")
            stage = "configure"
            given = arguments(cls, self._load.get("config", {}), self._load.get("texts", {}))
            plugin: Any = cls.__new__(cls)  # type: ignore[call-overload]  # mypy reads `type.__new__` here
            plugin._douane = self
            plugin.__init__(**given)
            self._channel.send(wire.READY)
            facts = self._channel.receive_json(wire.IMAGE)
            stage = "run"
            self._image = self._make_image(facts, told["reads"], isinstance(plugin, Transform))
            self._answer(plugin, self._image)
        except Closed:
            raise
        except Reject as answer:
            self._refuse(stage, wire.REFUSE, answer)
        except Incomplete as answer:
            self._refuse(stage, wire.INCOMPLETE, answer)
        except Defer as answer:
            self._finish(wire.DEFER, {"retry_after": answer.retry_after, "message": answer.message[: wire.MAX_MESSAGE]})
        except BaseException as error:  # sys.exit(0) and KeyboardInterrupt are no verdicts either
            self._fail(stage, error)

    def _make_image(self, facts: dict[str, Any], reads: str, transforms: bool) -> Image:
        file = path = None
        source: Any
        if reads == "random":
            fd = self._load["image_fd"]
            file = os.fdopen(fd, "rb", closefd=False)
            path = f"/proc/self/fd/{fd}"
            source = _FileChunks(fd)
        elif reads in ("nothing", "findings"):
            source = _NoChunks()
        else:
            ring = self._load["rings"][facts["ring"]]
            source = Chunks(self._channel, ring["fd"], ring["slot_bytes"])
        return Image(facts, source, reads=reads, file=file, path=path, transforms=self if transforms else None)

    def _answer(self, plugin: Any, image: Image) -> None:
        if isinstance(plugin, Transform):
            self._transform(plugin, image)
            self._accept(self._properties)
            return
        result = plugin.inspect(image)
        if result is None:
            result = {}
        elif not hasattr(result, "keys"):
            raise TypeError(
                f"inspect() returned {result!r:.60}; return None (or a mapping of properties) to accept, "
                "raise Reject to refuse"
            )
        self._accept(dict(result))

    def _accept(self, properties: dict[str, Any]) -> None:
        told: dict[str, Any] = {"properties": properties}
        if self._proposed:
            told["proposed"] = self._proposed
        self._finish(wire.ACCEPT, told)

    def _transform(self, plugin: Transform, image: Image) -> None:
        output = plugin.transform(image)
        if not hasattr(output, "__next__"):
            raise TypeError(f"transform() returned {output!r:.60}; it must be a generator that yields bytes")
        fd = self._load["output_fd"]
        for part in output:
            view = memoryview(part).cast("B")
            del part  # while the generator reads on, nothing of ours may hold a chunk that it has yielded
            if len(view) and self._unchanged:
                raise ValueError("the transform said image.unchanged() and then yielded bytes")
            if len(view) and not self._output_begun:
                self._output_begun = True
                self._channel.send(wire.BEGIN)
            while view:
                try:
                    view = view[os.write(fd, view) :]
                except BrokenPipeError:
                    raise Closed from None
            del view
        os.close(fd)

    def _seen(self) -> int:
        return self._image.offset if self._image is not None else 0

    def _where(self) -> str:
        """How far it had come, for the operator, above the trace."""
        image = self._image
        if image is None:
            return ""
        offset = image.offset
        if not offset and image._file is not None:
            try:
                offset = image._file.tell()
            except ValueError:  # the plugin has closed it
                pass
        return f"at offset {offset} of the image:\n"

    def _refuse(self, stage: str, kind: int, answer: Any) -> None:
        if stage != "run":  # the constructor has seen no image that it could refuse
            self._fail(stage, answer)
            return
        self._finish(kind, {"code": answer.code, "message": answer.message[: wire.MAX_MESSAGE]})

    def _finish(self, kind: int, value: dict[str, Any]) -> None:
        value["seen"] = self._seen()
        try:
            self._channel.send_json(kind, value)
        except TypeError as error:
            raise TypeError(f"the properties cannot be told: {error}") from None

    def _fail(self, stage: str, error: BaseException) -> None:
        from ._failures import explain

        told = explain(error, self._load.get("use", {}), self._where() if stage == "run" else "")
        told["stage"] = stage
        told["seen"] = self._seen()
        if isinstance(error, SettingError):
            told["key"] = error.key
        self._channel.send_json(wire.FAILED, told)


class _FileChunks:
    """Chunks of a file, for a plugin that reads at random and also iterates."""

    ended = False
    goes_on = False

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0

    def take(self) -> Optional[memoryview]:
        data = os.pread(self._fd, FILE_CHUNK_BYTES, self._at)
        self._at += len(data)
        return memoryview(data) if data else None


class _NoChunks:
    """For a plugin that reads nothing."""

    ended = True
    goes_on = True

    def take(self) -> Optional[memoryview]:
        return None
