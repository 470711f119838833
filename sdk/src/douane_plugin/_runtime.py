"""A plugin's end of the conversation with the engine: load the class, show it the image, send its answer.

What a plugin may do is written in :class:`Runtime` alone. `douane_plugin.testing` and the conformance suite derive from
it.
"""

from __future__ import annotations

import os
import time

from . import wire
from ._answer import AnswerParts, inspected_properties
from ._channel import Channel, Closed
from ._chunks import Chunks, FileChunks, NoChunks, OnlyFiles
from ._contract import API_LEVEL, Transform
from ._exceptions import Defer, Incomplete, Reject
from ._handed import Handed
from ._image import Image
from ._load import check_level, describe, load
from ._settings import SettingError, arguments
from ._streams import flush_streams, reopen_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any, Optional

    from ._reuse import Before
    from ._scratch import Scratch

ALIVE_SECONDS = 1.0
RESERVE_BYTES = 4 << 20
"""Kept free to describe a failure. Without it, a plugin that had filled its memory ended without a word."""

DEBUG = 10
"""As in the logging module: the operator wants to see everything."""

READS_FILE = ("random", "guest", "guest+findings")
READS_FINDINGS = ("findings", "guest+findings")
"""Values of `reads` for which the plugin gets the file of the image."""

UNCHANGED_WITHIN = 4 << 20
"""Bytes that a transform may read before `image.unchanged()`: what the engine can still show to other readers."""


def main(channel_fd: int) -> None:
    """Hold one conversation over the descriptor `channel_fd`, and end the process. Never returns."""
    try:
        Runtime(Channel(channel_fd)).converse()
    except Closed:
        pass  # the engine has gone or needs no more
    flush_streams()
    os._exit(0)  # not sys.exit: a thread of the plugin's must not delay the end


class Runtime:
    """One plugin and its image: the plugin's `_douane`. `spec` is the LOAD frame, `image` the image it was shown."""

    def __init__(self, channel: Channel) -> None:
        self.spec: dict[str, Any] = {}
        self.image: Optional[Image] = None
        self._channel = channel
        self._handed: Optional[Handed] = None
        self._log: Optional[logging.Logger] = None
        self._parts = AnswerParts()
        self._next_alive = 0.0
        self._has_output = False
        self._is_unchanged = False
        self._reserve = b""
        self._chunks: Optional[Chunks] = None

    # methods behind those of the plugin: self.log, self.warn, self.grant ...

    @property
    def log(self) -> logging.Logger:
        """The logger whose records are LOG frames."""
        if self._log is None:
            from ._logging import make_logger

            self._log = make_logger(self.spec["name"], self.spec.get("log_level", 20), self._channel)
        return self._log

    def warn(self, code: str, message: str) -> None:
        """Send a WARN frame."""
        self._channel.send_json(wire.WARN, {"code": code, "message": message[: wire.MAX_MESSAGE]})

    def propose(self, name: str, value: Any) -> None:
        """Note a property of the image for the ACCEPT frame. Raises ValueError if there are too many."""
        self._parts.propose(name, value)

    def attach(self, name: str, document: Any) -> None:
        """Note a document for the answer. Raises ValueError if it is not JSON, or if the documents are too many."""
        self._parts.attach(name, document)

    def grant(self, name: str) -> Any:
        """Return the file or socket of the grant `name`. Raises LookupError."""
        return self._open_handed().grant(name)

    @property
    def scratch(self) -> tuple[Scratch, ...]:
        """The scratch files. Raises LookupError if there are none."""
        return self._open_handed().scratch

    def _open_handed(self) -> Handed:
        if self._handed is None:
            self._handed = Handed(self.spec)
        return self._handed

    def alive(self) -> None:
        """Send an ALIVE frame, at most one a second."""
        now = time.monotonic()
        if now >= self._next_alive:
            self._next_alive = now + ALIVE_SECONDS
            self._channel.send(wire.ALIVE)

    # methods behind those of the image: image.becomes, image.unchanged

    def becomes(self, disk_format: Any, container_format: Any, properties: Any) -> None:
        """Send a BECOMES frame with the formats, and keep the properties for ACCEPT. Raises ValueError."""
        formats: dict[str, Any] = {}
        for key, value in (("disk_format", disk_format), ("container_format", container_format)):
            if value is not None:
                if not isinstance(value, str):
                    raise ValueError(f"{key} must be a str such as 'raw', not {value!r:.60}")
                formats[key] = value
        if properties is not None:
            self._parts.properties.update(properties)
        if formats:
            self._channel.send_json(wire.BECOMES, formats)

    def unchanged(self, offset: int) -> None:
        """Send an UNCHANGED frame. Raises ValueError after output, or if `offset` bytes are too many to have read."""
        if self._has_output:
            raise ValueError("image.unchanged() must be called before the first yield")
        if offset >= UNCHANGED_WITHIN:
            raise ValueError(
                f"image.unchanged() must be called before {UNCHANGED_WITHIN} bytes have been read; {offset} have been"
            )
        if not self._is_unchanged:
            self._is_unchanged = True
            self._channel.send(wire.UNCHANGED)

    # the conversation

    def converse(self) -> None:
        """Load the plugin, show it the image, send its answer. Raises Closed if the engine hangs up."""
        self.spec = self._channel.receive_json(wire.LOAD)
        reopen_streams()
        self._reserve = bytes(RESERVE_BYTES)  # calloc(3): counts for RLIMIT_DATA, and takes no page of memory
        before = None
        if self.spec.get("reuse"):
            from ._reuse import Before

            before = Before()
        try:
            cls = load(self.spec["use"])
            description = describe(cls)
            description["level"] = API_LEVEL
            if before is not None:
                description["reuse"] = True
            self._channel.send_json(wire.DESCRIBED, description)
            check_level(description)
        except Closed:
            raise
        except Defer as answer:
            self._defer(answer)
            return
        except BaseException as error:
            self._fail("load", error)
            return
        is_answered = self.serve(cls, description["reads"], before)
        if is_answered and before is not None:
            from ._reuse import serve_further

            serve_further(self, cls, description["reads"], before)

    def serve(self, cls: type, reads: str, before: Optional[Before] = None) -> bool:
        """Configure a new instance, show it an image, and send its answer. Return False if it failed.

        `before` notes the state of the process between the two. Raises Closed if the engine hangs up.
        """
        self._reserve = self._reserve or bytes(RESERVE_BYTES)
        stage = "configure"
        try:
            settings = arguments(cls, self.spec.get("config", {}), self.spec.get("texts", {}))
            if reads == "files":
                self._channel.send(wire.ALIVE)  # the image may come: its files wait until the constructor is done
            plugin = self.instantiate(cls, settings)
            if before is not None:
                before.note(self.spec)
            self._channel.send(wire.READY)
            facts = self._channel.receive_json(wire.IMAGE)
            stage = "run"
            self.image = self.make_image(facts, reads, isinstance(plugin, Transform))
            self.decide(plugin, self.image)
            return True
        except Closed:
            raise
        except Defer as answer:  # raised in the constructor; the engine calls it a breach of the protocol
            self._defer(answer)
        except BaseException as error:  # sys.exit(0) and KeyboardInterrupt are not verdicts either
            self._fail(stage, error)
        return False

    def instantiate(self, cls: type, settings: dict[str, Any]) -> Any:
        """Return an instance of `cls` that is bound to this runtime before its constructor runs."""
        plugin: Any = cls.__new__(cls)  # type: ignore[call-overload]  # mypy reads `type.__new__` here
        plugin._douane = self
        plugin.__init__(**settings)
        return plugin

    def make_image(self, facts: dict[str, Any], reads: str, transforms: bool) -> Image:
        """Return the image with the declared `facts`, as `reads` shows it."""
        source = self._source(facts, reads)
        if reads == "files":
            from ._files import ImageFiles

            return Image(facts, OnlyFiles(), reads=reads, files=ImageFiles(source.take))
        file = path = None
        if reads in READS_FILE:
            fd = self.spec["image_fd"]
            file = os.fdopen(fd, "rb", closefd=False)
            path = f"/proc/self/fd/{fd}"
        return Image(facts, source, reads=reads, file=file, path=path, transforms=self if transforms else None)

    def _source(self, facts: dict[str, Any], reads: str) -> Any:
        if reads in READS_FILE:
            return FileChunks(self.spec["image_fd"])
        if reads in ("nothing", "findings"):
            return NoChunks()
        ring = self.spec["rings"][facts["ring"]]
        self._chunks = Chunks(self._channel, ring["fd"], ring["slot_bytes"])
        return self._chunks

    def decide(self, plugin: Any, image: Image) -> None:
        """Send the answer of `plugin` to `image`. Raises what the plugin raises, unless that is an answer."""
        try:
            if isinstance(plugin, Transform):
                self._transform(plugin, image)
                self._finish(wire.ACCEPT, self._parts.accept(self._parts.properties))
            else:
                properties = inspected_properties(plugin.inspect(image))
                self.check_unread(image)
                self._finish(wire.ACCEPT, self._parts.accept(properties, unread=image._has_shown_unread()))
        except Reject as answer:
            self._refuse(wire.REFUSE, answer)
        except Incomplete as answer:
            self._refuse(wire.INCOMPLETE, answer)
        except Defer as answer:
            self._defer(answer)

    def check_unread(self, image: Image) -> None:
        """Raise Incomplete in the place of an accept if the plugin has not asked what of its guest is unread.

        For a plugin that reads files, the engine does so: it knows the end of the list, here it would be waited for.
        """
        if image._reads.startswith("guest"):
            image.guest._check_unread()
        elif image._files is not None and image._files.failure is not None:
            raise image._files.failure

    def _transform(self, plugin: Transform, image: Image) -> None:
        output = plugin.transform(image)
        if not hasattr(output, "__next__"):
            raise TypeError(f"transform() returned {output!r:.60}; it must be a generator that yields bytes")
        for part in output:
            view = memoryview(part).cast("B")
            del part  # while the generator reads on, the runtime must not hold a chunk that it has yielded
            if len(view) and self._is_unchanged:
                raise ValueError("the transform called image.unchanged() and then yielded bytes")
            if len(view) and not self._has_output:
                self._has_output = True
                self._channel.send(wire.BEGIN)
            self._write(view)
            del view
        self._end_output()

    def _write(self, view: memoryview) -> None:
        fd = self.spec["output_fd"]
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BrokenPipeError:
                raise Closed from None

    def _end_output(self) -> None:
        os.close(self.spec["output_fd"])

    def bytes_seen(self) -> int:
        """Return how many bytes of the image the plugin was given."""
        return self.image.offset if self.image is not None else 0

    def position(self) -> str:
        """Return the offset that the plugin has reached, as a line for the operator; empty before the image."""
        image = self.image
        if image is None:
            return ""
        if image._files is not None:
            return image._files.position()
        offset = image.offset
        if not offset and image._file is not None:
            try:
                offset = image._file.tell()
            except (ValueError, OSError):  # the plugin, or the test, has closed the file
                pass
        return f"at offset {offset} of the image:\n"

    def _refuse(self, kind: int, answer: Any) -> None:
        self._finish(kind, {"code": answer.code, "message": answer.message[: wire.MAX_MESSAGE]})

    def _defer(self, answer: Defer) -> None:
        self._finish(wire.DEFER, {"retry_after": answer.retry_after, "message": answer.message[: wire.MAX_MESSAGE]})

    def _finish(self, kind: int, answer: dict[str, Any]) -> None:
        self._parts.add_documents(answer)
        answer["seen"] = self.bytes_seen()
        try:
            self._channel.send_json(kind, answer)
        except TypeError as error:
            raise TypeError(f"the properties cannot be sent: {error}") from None

    def _fail(self, stage: str, error: BaseException) -> None:
        self._reserve = b""
        from ._cause import is_bug
        from ._failures import authors_files, explain

        use = self.spec.get("use", {})
        position = self.position() if stage == "run" else ""
        everything = self.spec.get("log_level", 20) <= DEBUG
        failure = explain(error, use, position, all_frames=everything, remedy="; --verbose shows them")
        failure["stage"] = stage
        failure["is_bug"] = stage == "configure" and is_bug(error, authors_files(use))
        failure["seen"] = self.bytes_seen()
        if isinstance(error, SettingError):
            failure["key"] = error.key
        self._channel.send_json(wire.FAILED, failure)
