"""Bring the bytes of a file to an image, over as many lines as it takes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from douane.errors import UploadError
from douane.stream.image_file import require_end

from .http import Answer, number
from .images import VERSION, Images
from .patience import Patience
from .sums import Sums

PIECE = 1 << 20
NOTICE_SECONDS = 20
_IMAGE = {"Content-Type": "application/octet-stream"}
_PART = {"Content-Type": "application/partial-upload", **VERSION}

ShowProgress = Callable[[int, int | None], None]


class SentFile:
    """The file that is sent: read from any offset, unless it is a pipe."""

    def __init__(self, file: BinaryIO, name: str, progress: ShowProgress) -> None:
        self._file = file
        self._progress = progress
        self.name = name
        self.sums = Sums()
        self.sent = 0
        """Bytes that were sent, also to a line that broke."""

        status = os.fstat(file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None

    @classmethod
    def open(cls, path: str, progress: ShowProgress) -> SentFile:
        """Raises OSError, and PlanError for a file that has no end."""
        file = os.fdopen(os.dup(0), "rb") if path == "-" else Path(path).open("rb")  # noqa: SIM115  # closed by `close`
        name = "the image" if path == "-" else path
        try:
            require_end(file.fileno(), name)
        except BaseException:
            file.close()
            raise
        return cls(file, name, progress)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The pieces from `start` to `stop`, or to the end. Raises UploadError if the file cannot be read."""
        try:
            if self.size is not None:
                self._digest_before(start)
                self._file.seek(start)
            position = start
            while piece := self._file.read(PIECE if stop is None else min(PIECE, stop - position)):
                self.sums.add(position, piece)
                position += len(piece)
                self.sent += len(piece)
                self._progress(position, self.size)
                yield piece
        except OSError as error:
            raise UploadError(f"{self.name} cannot be read: {error.strerror}") from error
        if stop is not None and position != stop:
            raise UploadError(f"{self.name} has become shorter while it was sent")

    def digest_rest(self) -> None:
        """Digest what is not digested yet: the service had it from before."""
        if self.size is not None:
            self._digest_before(self.size)

    def _digest_before(self, offset: int) -> None:
        self._file.seek(self.sums.position)
        while self.sums.position < offset:
            piece = self._file.read(min(PIECE, offset - self.sums.position))
            if not piece:
                raise UploadError(f"{self.name} is shorter than what the service has of it")
            self.sums.add(self.sums.position, piece)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes go."""

    image_id: str
    door: str
    """``file`` or ``stage``."""

    headers: dict[str, str] = {}

    @property
    def path(self) -> str:
        """Of the first request."""
        return f"/v2/images/{self.image_id}/{self.door}"


def send_file(images: Images, target: Target, file: SentFile, patience: Patience) -> Answer | None:
    """Send the file; the answer about the image, or None if it was lost: then the image says what became of it.

    Raises UploadError.
    """
    limits = None if file.size is None else images.limits(target.path)
    if limits is None or file.size is None:
        return _send_at_once(images, target, file, patience)
    if file.size > limits.get("max-size", file.size):
        raise UploadError(
            f"{file.name} has {file.size} bytes, and the service takes {limits['max-size']} at most",
            code="request-refused",
        )
    return _Resumable(images, target, file, file.size, patience, limits.get("max-append-size")).send()


class _Resumable:
    """An upload that goes on where the service says."""

    def __init__(
        self, images: Images, target: Target, file: SentFile, size: int, patience: Patience, part_size: int | None
    ) -> None:
        self._images = images
        self._target = target
        self._file = file
        self._size = size
        self._patience = patience
        self._part_size = part_size or size
        self._place = ""
        self._offset: int | None = None
        """Where the service goes on; None: it has to be asked."""

        self._furthest = 0

    def send(self) -> Answer | None:
        self._begin()
        while True:
            if self._offset is None and self._is_complete():
                return None
            assert self._offset is not None, "the service was asked"
            try:
                answer = self._append(self._offset)
            except OSError as error:
                self._offset = None
                self._patience.wait(f"the line broke ({error})")
                continue
            if (end := self._judge(answer)) is not None:
                return end

    def _begin(self) -> None:
        headers = {
            **_IMAGE,
            **VERSION,
            **self._target.headers,
            "Upload-Complete": "?0",
            "Upload-Length": str(self._size),
        }
        answer = self._images.ask("PUT", self._target.path, headers, b"")
        place = answer.headers.get("location")
        if answer.status in (201, 409) and place:
            place = self._images.path_of(place, self._target.path)
        if answer.status == 201 and place:
            self._place = place
            self._go_to(number(answer.headers.get("upload-offset")) or 0)
        elif answer.status == 409 and place:
            # It was begun before: by an attempt whose answer was lost, or by another run.
            self._place, self._offset = place, None
        else:
            raise UploadError(f"the upload is refused: {answer.sentence()}", code="request-refused")

    def _is_complete(self) -> bool:
        """Ask for the offset."""
        answer = self._images.ask("HEAD", self._place, VERSION)
        offset = number(answer.headers.get("upload-offset"))
        if answer.status >= 300 or offset is None:
            raise UploadError(f"the upload cannot go on: {answer.sentence()}")
        length = number(answer.headers.get("upload-length"))
        if length not in (None, self._size) or offset > self._size:
            raise UploadError(
                f"the upload of the image is of another file: it has {length or offset} bytes, and {self._file.name} "
                f"has {self._size}; cancel it, or name another image"
            )
        self._go_to(offset)
        return answer.headers.get("upload-complete") == "?1"

    def _append(self, offset: int) -> Answer:
        stop = min(self._size, offset + self._part_size)
        headers = {
            **_PART,
            "Upload-Offset": str(offset),
            "Upload-Complete": f"?{int(stop == self._size)}",
            "Content-Length": str(stop - offset),
        }
        return self._images.send("PATCH", self._place, headers, lambda: self._file.read(offset, stop))

    def _judge(self, answer: Answer) -> Answer | None:
        """The answer, if it is about the image; otherwise go on, or raise UploadError."""
        if answer.headers.get("upload-complete") == "?1":
            return answer
        offset = number(answer.headers.get("upload-offset"))
        if answer.status < 300 and offset is not None:
            if not self._go_to(offset):
                self._patience.wait(f"the image service has kept nothing new, and goes on at {offset}")
            return None
        self._offset = None
        if answer.status in (408, 409, 425, 429) or answer.status >= 500:
            self._patience.wait(f"the image service answers: {answer.sentence()}", answer.headers)
            return None
        raise UploadError(f"the upload is refused: {answer.sentence()}", code="request-refused")

    def _go_to(self, offset: int) -> bool:
        """True if it went forward. Raises UploadError if the service has more than the file."""
        if offset > self._size:
            raise UploadError(f"the service says that it has {offset} bytes, and {self._file.name} has {self._size}")
        self._offset = offset
        if offset <= self._furthest:
            return False
        self._furthest = offset
        self._patience.reset()
        return True


def _send_at_once(images: Images, target: Target, file: SentFile, patience: Patience) -> Answer | None:
    """An upload in one request, which begins anew if the line breaks: as often as the file can be read again."""
    headers = {**_IMAGE, **target.headers}
    if file.size is not None:
        headers["Content-Length"] = str(file.size)
    while True:
        try:
            answer = images.send("PUT", target.path, headers, lambda: file.read(0, file.size))
        except OSError as error:
            if file.size is None:
                raise UploadError(
                    f"the line broke ({error}), and what comes from a pipe cannot be sent again"
                ) from error
            patience.wait(f"the line broke ({error})")
            if not _is_queued(images, target.image_id):
                return None
            continue
        if answer.status not in (408, 429, 502, 503, 504) or file.size is None:
            return answer
        patience.wait(f"the image service answers: {answer.sentence()}", answer.headers)


def _is_queued(images: Images, image_id: str) -> bool:
    """True if the image takes bytes again: the service may need a while to notice that the line broke. False if it has
    them."""
    for _ in range(NOTICE_SECONDS):
        status = images.image(image_id).get("status")
        if status in ("queued", "active"):
            return bool(status == "queued")
        time.sleep(1.0)
    return False
